"""`sciml-data submit`: pack runs as a submission, check it, and make a branch of it."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sciml_data.cli import completion
from sciml_data.cli.options import home_of, home_option, registry_option, runs_option
from sciml_data.cli.output import log_one_left_out
from sciml_data.cli.program import UserPath, VerbGroup
from sciml_data.errors import CallError, one_line
from sciml_data.progress import counted

if TYPE_CHECKING:
    from sciml_data.registry import RegistryPath
    from sciml_data.results.submission import Verdict

PATH = UserPath()
repository_option = click.option(
    "--repository",
    metavar="DIR",
    type=PATH,
    help="Checkout of the code; its history must contain the commit of the runs. Default: the "
    "checkout this command runs from.",
)


@click.group(
    cls=VerbGroup,
    epilog="""\b
Examples:
  sciml-data submit pack latest --org lab --system node-a --descriptor first --to results
  sciml-data submit check results/lab/earthquake/node-a/first
  sciml-data submit pr results/lab/earthquake/node-a/first --dry-run
""",
)
def command() -> None:
    """Pack runs as a submission, check it, make a branch of it, or compare a run with it."""


@command.command(
    short_help="Write the folder of a submission.",
    epilog="""\b
Examples:
  sciml-data submit pack latest --org lab --system node-a --descriptor first --to results
  sciml-data submit pack RUN RUN RUN --org lab --system node-a --descriptor five-seeds \\
      --to results --contribution text.md --poc-name 'A. Person' --poc-email a@example.org
""",
)
@click.argument("runs", nargs=-1, required=True, shell_complete=completion.runs)
@click.option("--org", metavar="NAME", required=True, help="Organisation; the name of a folder.")
@click.option("--system", metavar="NAME", required=True, help="Computer; the name of a folder.")
@click.option(
    "--descriptor",
    metavar="NAME",
    required=True,
    help="Name of this submission, such as experiment-1.",
)
@click.option(
    "--to", metavar="DIR", type=PATH, required=True, help="Root of the tree of submissions."
)
@click.option(
    "--status",
    metavar="STATUS",
    default="research",
    show_default=True,
    help="Status of the system: research, onprem, cloud or preview.",
)
@click.option("--platform", metavar="NAME", help="Platform in the MLPerf log. Default: the system.")
@click.option("--poc-name", metavar="NAME", help="Name of the point of contact.")
@click.option("--poc-email", metavar="ADDRESS", help="E-mail address of the point of contact.")
@click.option(
    "--contribution", metavar="FILE", type=PATH, help="Markdown file to include in the document."
)
@click.option(
    "--system-file",
    metavar="FILE",
    type=PATH,
    help="JSON file that describes the system, for fields that records lack.",
)
@click.option("--reference", metavar="RUN", help="Run of the reference model, for the table.")
@click.option(
    "--no-predictions",
    is_flag=True,
    help="Pack the digests of predictions instead of the predictions.",
)
@click.option("--allow-dirty", is_flag=True, help="Accept runs of code with uncommitted changes.")
@home_option
@runs_option
def pack(
    runs: Sequence[str],
    *,
    to: Path,
    **options: Any,
) -> None:
    """Write RUNS (paths, ids or `latest`) as `{org}/{application}/{system}/{descriptor}`.

    The runs must be repeats that differ only in their seeds. Prints the folder.
    """
    from sciml_data.bench import find_run
    from sciml_data.results.submission import Extras, Terms, pack_runs, read_system_file

    place = home_of(options)
    folders = [find_run(place, run, on_left_out=log_one_left_out) for run in runs]
    given = {key: options[key] for key in Terms.__dataclass_fields__}
    extras = Extras(
        contribution=_own_text(options["contribution"]),
        system=read_system_file(options["system_file"]) if options["system_file"] else None,
        with_predictions=not options["no_predictions"],
        reference=find_run(place, options["reference"]) if options["reference"] else None,
    )
    click.echo(pack_runs(folders, Terms(**given), to=to, extras=extras))


@command.command(
    short_help="Print the verdict on every submission in a folder.",
    epilog="""\b
Examples:
  sciml-data submit check results/lab/earthquake/node-a/first
  sciml-data submit check results --json
  sciml-data submit check . --since origin/main
""",
)
@click.argument("folder", type=PATH)
@click.option(
    "--since",
    metavar="COMMIT",
    help="Check only submissions changed since this commit, and how they were changed.",
)
@repository_option
@registry_option
@click.option("--json", "as_json", is_flag=True, help="Print the verdicts as JSON.")
def check(
    folder: Path,
    *,
    since: str | None,
    repository: Path | None,
    registry: RegistryPath,
    as_json: bool,
) -> None:
    """Print the verdict on every submission in FOLDER; exit with 1 if any is refused.

    The verdict is stored in `verification.json`, beside the results of earlier checks. The checks
    of a pull request give the same verdict. `sciml-data rescore FOLDER` recomputes the scores.
    """
    from dataclasses import replace

    from sciml_data.registry import find_registry
    from sciml_data.results.submission import check_submission, runs_below

    folders, refused = _folders(folder, since)
    known = runs_below(folder)
    verdicts = [
        check_submission(submission, find_registry(registry), repository=repository, known=known)
        for submission in folders
    ]
    if refused:
        verdicts.append(replace(_nothing(folder), problems=refused))
    if as_json:
        click.echo(json.dumps([verdict.document() for verdict in verdicts], indent=2))
    else:
        places = [*folders, *([folder] if refused else [])]
        texts = [_text(v, place) for v, place in zip(verdicts, places, strict=True)]
        click.echo("\n\n".join(texts) or "no submission was changed")
    if not all(verdict.is_accepted for verdict in verdicts):
        sys.exit(1)


@command.command(
    name="pr",
    epilog="""\b
Examples:
  sciml-data submit pr results/lab/earthquake/node-a/first --dry-run
  sciml-data submit pr results/lab/earthquake/node-a/first --dry-run --to request
  sciml-data submit pr results/lab/earthquake/node-a/first --checkout ../science_results
""",
)
@click.argument("folder", type=PATH)
@click.option("--dry-run", is_flag=True, help="Print branch, message and body; make no branch.")
@click.option(
    "--to", metavar="DIR", type=PATH, help="Folder for the files of --dry-run. Default: stdout."
)
@click.option("--checkout", metavar="DIR", type=PATH, help="Git checkout to make the branch in.")
@click.option(
    "--under", default="", metavar="DIR", help="Folder in the checkout for the tree of submissions."
)
@click.option(
    "--repo",
    metavar="OWNER/NAME",
    help="Target of the pull request, for the printed commands only.",
)
@repository_option
@registry_option
def pull_request(folder: Path, *, dry_run: bool, checkout: Path | None, **options: Any) -> None:
    """Make a local branch of the submission in FOLDER. Nothing is pushed or sent."""
    from sciml_data.registry import find_registry
    from sciml_data.results.submission import check_submission, commit_locally, make_pull_request

    if dry_run == (checkout is not None):
        raise CallError("give --dry-run or --checkout DIR", untouched="no branch was made")
    folders, _ = _folders(folder, None)
    if len(folders) > 1:
        raise CallError(
            f"{folder} has {len(folders)} submissions",
            hint="give the folder of a single submission",
        )
    registry = find_registry(options["registry"])
    verdict = check_submission(folders[0], registry, repository=options["repository"])
    request = make_pull_request(folders[0], verdict)
    if checkout is not None:
        commit = commit_locally(folders[0].resolve(), request, checkout, under=options["under"])
        click.echo(f"{request.branch} {commit}")
        click.echo("not pushed; --dry-run prints the body of the pull request", err=True)
    elif options["to"] is not None:
        for name, text in _parts(request, options["repo"]).items():
            options["to"].mkdir(parents=True, exist_ok=True)
            (options["to"] / name).write_text(text, encoding="utf-8")
            click.echo(options["to"] / name)
    else:
        click.echo("\n".join(f"--- {k}\n{v}" for k, v in _parts(request, options["repo"]).items()))


@command.command(
    short_help="Check whether a run of your own reproduces a submission.",
    epilog="""\b
Examples:
  sciml-data submit compare results/lab/earthquake/node-a/first latest
""",
)
@click.argument("folder", type=PATH)
@click.argument("run", shell_complete=completion.runs)
@click.option(
    "--tolerance",
    metavar="X",
    type=click.FloatRange(0, 1),
    help="Allowed deviation as a fraction of the median.",
)
@home_option
@runs_option
def compare(
    folder: Path,
    run: str,
    *,
    tolerance: float | None,
    **places: Any,
) -> None:
    """Check whether RUN, made independently, reproduces the rescored submission in FOLDER."""
    from sciml_data.bench import find_run
    from sciml_data.results.submission import TOLERANCE, compare_run

    width = TOLERANCE if tolerance is None else tolerance
    problems = compare_run(
        folder, find_run(home_of(places), run, on_left_out=log_one_left_out), tolerance=width
    )
    for problem in problems:
        click.echo(problem)
    click.echo(f"not reproduced: {counted(len(problems), 'problem')}" if problems else "reproduced")
    if problems:
        sys.exit(1)


@command.command(
    short_help="Write submissions as MLPerf Training packages.",
    epilog="""\b
Examples:
  sciml-data submit mlperf results/lab --to mlperf
  sciml-data submit mlperf results/lab/earthquake/node-a/first --to mlperf --json
""",
)
@click.argument("folder", type=PATH)
@click.option("--to", metavar="DIR", type=PATH, required=True, help="Folder for the packages.")
@registry_option
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def mlperf(folder: Path, *, to: Path, registry: RegistryPath, as_json: bool) -> None:
    """Write the submissions in FOLDER as MLPerf Training packages, and check these.

    Runs system_desc_checker, package_checker and result_summarizer of mlperf-logging, with the
    rules of our benchmarks. Exits with 1 if any of these finds an error.
    """
    from dataclasses import asdict

    from sciml_data.registry import find_registry
    from sciml_data.results.submission import run_programs, write_package

    folders, _ = _folders(folder, None)
    known = find_registry(registry)
    results = {
        package.folder: run_programs(package, known) for package in write_package(folders, to)
    }
    if as_json:
        document = {str(place): [asdict(r) for r in found] for place, found in results.items()}
        click.echo(json.dumps(document, indent=2))
    else:
        for place, found in results.items():
            click.echo(place)
            for result in found:
                word = {True: "passed", False: "failed", None: "not run"}[result.passed]
                click.echo(f"  {result.program}: {word}")
                for message in result.messages:
                    click.echo(one_line(f"    {message}"))
    if any(result.passed is False for found in results.values() for result in found):
        sys.exit(1)


def _own_text(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CallError(f"{path.name} cannot be read: {error}") from error


def _folders(folder: Path, since: str | None) -> tuple[list[Path], tuple[Any, ...]]:
    """Return the submissions to check, and problems with how they were changed since a commit.

    Raises:
        CallError: the folder has no submission.
    """
    from sciml_data.results.submission import TERMS, VERIFICATION, changed_since, find_submissions

    if since is not None:
        changed = changed_since(folder, since)
        for submission in changed.verdicts:  # written by the submitter, so it proves nothing
            (submission / VERIFICATION).unlink(missing_ok=True)
            click.echo(f"{submission.name}: the verdict in the submission is ignored", err=True)
        return list(changed.folders), changed.problems
    if not folder.exists():
        raise CallError(f"no such folder: {folder}", untouched="nothing was checked")
    if submissions := find_submissions(folder):
        return submissions, ()
    raise CallError(
        f"{folder} has no submission: no {TERMS} in it or below it",
        untouched="nothing was checked",
        hint="`sciml-data submit pack` writes a submission",
    )


def _nothing(folder: Path) -> Verdict:
    from sciml_data.results.submission import Verdict

    return Verdict(folder.resolve().name, (), (), 0, False, "unchecked")


# State -> what was found, by which command. The file of states comes with the folder, so it may be
# the submitter's.
STATE_TEXTS = {
    "unchecked": "not compared with predictions",
    "self_checked": "as the records state them; this check recomputes no score",
    "rescored": "recomputed by an earlier `rescore`, as {file} in this folder says; this check "
    "recomputed none",
    "reproduced": "recomputed, and reproduced by another run, as {file} in this folder says; this "
    "check did neither",
}


def _text(verdict: Verdict, place: Path) -> str:
    """Return a verdict as lines; text of the submitter is escaped, so it cannot forge a line."""
    from sciml_data.results.submission import VERIFICATION

    word = "accepted" if verdict.is_accepted else "refused"
    lines = [f"{place}: {word}, {counted(verdict.runs, 'run')}, {verdict.state}"]
    if verdict.runs:
        lines.append(f"  scores     {STATE_TEXTS[verdict.state].format(file=VERIFICATION)}")
    lines += [f"  warning    {warning}" for warning in _joined(verdict.warnings)]
    lines += [f"  {problem}" for problem in verdict.problems]
    if verdict.problems:
        kinds = sorted({problem.kind for problem in verdict.problems})
        lines.append(f"  {counted(len(verdict.problems), 'problem')}: {', '.join(kinds)}")
    elif verdict.runs:
        needs = "" if list(place.glob("predictions-*.nc")) else "  (needs the predictions files)"
        done = "" if verdict.state in ("unchecked", "self_checked") else "  (unless you ran it)"
        lines.append(f"  next       sciml-data rescore {shlex.quote(str(place))}{needs}{done}")
    return "\n".join(map(one_line, lines))


def _joined(warnings: Iterable[str]) -> list[str]:
    """Return warnings with the files that they are about; files with the same warning share it."""
    files: dict[str, list[str]] = {}
    for warning in warnings:
        file, separator, text = warning.partition(": ")
        files.setdefault(text if separator else warning, []).extend([file] if separator else [])
    return [f"{', '.join(names)}: {text}" if names else text for text, names in files.items()]


def _parts(request: Any, repo: str | None) -> dict[str, str]:
    create = f"gh pr create --repo {repo} --head {request.branch} --body-file body.md\n"
    push = f"git push origin {request.branch}\n"
    return {
        "branch.txt": f"{request.branch}\n",
        "message.txt": request.message,
        "body.md": request.body,
        "next.txt": push + (create if repo else ""),
    }
