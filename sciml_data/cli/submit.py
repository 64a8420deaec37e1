"""`sciml-data submit`: runs to a folder that a pull request can carry, and the verdict on one."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sciml_data.cli.options import home_option, registry_option
from sciml_data.errors import CallError

if TYPE_CHECKING:
    from sciml_data.results.submission.check import Verdict

PATH = click.Path(path_type=Path)
repository_option = click.option(
    "--repository",
    type=PATH,
    help="Checkout of the code, whose history must know the runs' commit; else the one this "
    "command runs from, if it does.",
)


@click.group(
    epilog="""\b
Examples:
  sciml-data submit pack latest --org lab --system node-a --descriptor first --to results
  sciml-data submit check results/lab/earthquake/node-a/first
  sciml-data submit pr results/lab/earthquake/node-a/first --dry-run
"""
)
def command() -> None:
    """Pack runs as a submission, check one, make a branch of it, compare a run with it."""


@command.command(
    epilog="""\b
Examples:
  sciml-data submit pack latest --org lab --system node-a --descriptor first --to results
  sciml-data submit pack RUN RUN RUN --org lab --system node-a --descriptor five-seeds \\
      --to results --contribution text.md --poc-name 'A. Person' --poc-email a@example.org
"""
)
@click.argument("runs", nargs=-1, required=True)
@click.option("--org", required=True, help="Organisation: a folder's name.")
@click.option("--system", required=True, help="The computer: a folder's name.")
@click.option("--descriptor", required=True, help="What is special, such as experiment-1.")
@click.option("--to", type=PATH, required=True, help="Root of the tree; may hold others.")
@click.option(
    "--status",
    default="research",
    show_default=True,
    help="Of the system: research, onprem, cloud or preview.",
)
@click.option("--platform", help="Key of the log; else the system's name.")
@click.option("--poc-name", help="Whom to ask.")
@click.option("--poc-email", help="Where to ask.")
@click.option("--contribution", type=PATH, help="Markdown of your own, for the document.")
@click.option("--system-file", type=PATH, help="JSON with fields that no record knows.")
@click.option("--reference", metavar="RUN", help="A run of the reference model, for the table.")
@click.option("--no-predictions", is_flag=True, help="Keep predictions; pack their digests.")
@click.option("--allow-dirty", is_flag=True, help="Take runs of code with uncommitted changes.")
@home_option
def pack(runs: Sequence[str], *, to: Path, home: Path | None, **options: Any) -> None:
    """Write RUNS (paths, ids or `latest`) as `{org}/{application}/{system}/{descriptor}`.

    The runs are repeats of one thing: they differ in their seeds only. Prints the folder.
    """
    from sciml_data.bench.record.runs import find_run
    from sciml_data.home import find_home
    from sciml_data.results.submission.names import Terms
    from sciml_data.results.submission.pack import Extras
    from sciml_data.results.submission.pack import pack as pack_runs
    from sciml_data.results.submission.system import read_system_file

    place = find_home(home)
    folders = [find_run(place, run) for run in runs]
    given = {key: options[key] for key in Terms.__dataclass_fields__}
    extras = Extras(
        contribution=_own_text(options["contribution"]),
        system=read_system_file(options["system_file"]) if options["system_file"] else None,
        with_predictions=not options["no_predictions"],
        reference=find_run(place, options["reference"]) if options["reference"] else None,
    )
    click.echo(pack_runs(folders, Terms(**given), to=to, extras=extras))


@command.command(
    epilog="""\b
Examples:
  sciml-data submit check results/lab/earthquake/node-a/first
  sciml-data submit check results --json
  sciml-data submit check . --since origin/main
"""
)
@click.argument("folder", type=PATH)
@click.option("--since", metavar="COMMIT", help="Only what was changed since a commit, and how.")
@repository_option
@registry_option
@click.option("--json", "as_json", is_flag=True, help="Print the verdicts as JSON.")
def check(
    folder: Path,
    *,
    since: str | None,
    repository: Path | None,
    registry: Path | None,
    as_json: bool,
) -> None:
    """Print the verdict on every submission in FOLDER; exit 1 if any is refused.

    The verdict is kept in `verification.json`. It is the same here and in a pull request's checks.
    """
    from dataclasses import replace

    from sciml_data.registry.layout import find_registry
    from sciml_data.results.submission.check import check as check_one
    from sciml_data.results.submission.elsewhere import runs_below

    folders, refused = _folders(folder, since)
    known = runs_below(folder)
    verdicts = [
        check_one(one, find_registry(registry), repository=repository, known=known)
        for one in folders
    ]
    if refused:
        verdicts.append(replace(_nothing(folder), problems=refused))
    if as_json:
        click.echo(json.dumps([verdict.document() for verdict in verdicts], indent=2))
    else:
        click.echo("\n\n".join(map(_text, verdicts)) or "no submission was changed")
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
@click.option("--dry-run", is_flag=True, help="Print branch, message and body; make nothing.")
@click.option("--to", type=PATH, help="With --dry-run: write them as files into this folder.")
@click.option("--checkout", type=PATH, help="Git checkout in which the branch is made.")
@click.option("--under", default="", metavar="DIR", help="Folder of the checkout for the tree.")
@click.option("--repo", metavar="OWNER/NAME", help="Where the pull request will go; only told.")
@repository_option
@registry_option
def pull_request(folder: Path, *, dry_run: bool, checkout: Path | None, **options: Any) -> None:
    """Make a local branch of the submission in FOLDER; nothing is pushed or sent, ever."""
    from sciml_data.registry.layout import find_registry
    from sciml_data.results.submission import pull_request as requests
    from sciml_data.results.submission.check import check as check_one

    if dry_run == (checkout is not None):
        raise CallError("give --dry-run or --checkout DIR", untouched="no branch was made")
    folders, _ = _folders(folder, None)
    if len(folders) > 1:
        raise CallError(f"{folder} has {len(folders)} submissions", hint="name one of them")
    registry = find_registry(options["registry"])
    verdict = check_one(folders[0], registry, repository=options["repository"])
    request = requests.pull_request(folders[0], verdict)
    if checkout is not None:
        commit = requests.commit_locally(
            folders[0].resolve(), request, checkout, under=options["under"]
        )
        click.echo(f"{request.branch} {commit}")
        click.echo("not pushed; the body is printed by --dry-run", err=True)
    elif options["to"] is not None:
        for name, text in _parts(request, options["repo"]).items():
            options["to"].mkdir(parents=True, exist_ok=True)
            (options["to"] / name).write_text(text, encoding="utf-8")
            click.echo(options["to"] / name)
    else:
        click.echo("\n".join(f"--- {k}\n{v}" for k, v in _parts(request, options["repo"]).items()))


@command.command(
    epilog="""\b
Examples:
  sciml-data submit compare results/lab/earthquake/node-a/first latest
"""
)
@click.argument("folder", type=PATH)
@click.argument("run")
@click.option("--tolerance", type=click.FloatRange(0, 1), help="Share of the median.")
@home_option
def compare(folder: Path, run: str, *, tolerance: float | None, home: Path | None) -> None:
    """Say whether RUN, made by somebody else, reproduces the rescored submission in FOLDER."""
    from sciml_data.bench.record.runs import find_run
    from sciml_data.home import find_home
    from sciml_data.results.submission import reproduced

    width = reproduced.TOLERANCE if tolerance is None else tolerance
    problems = reproduced.compare_run(folder, find_run(find_home(home), run), tolerance=width)
    for problem in problems:
        click.echo(problem)
    click.echo(f"not reproduced: {len(problems)} problems" if problems else "reproduced")
    if problems:
        sys.exit(1)


def _own_text(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CallError(f"{path.name} cannot be read: {error}") from error


def _folders(folder: Path, since: str | None) -> tuple[list[Path], tuple[Any, ...]]:
    """Return the submissions to be checked, and what is wrong with how they were changed.

    Raises:
        CallError: there are none where some were asked for.
    """
    from sciml_data.results.submission.changed import changed_since
    from sciml_data.results.submission.names import TERMS, VERIFICATION
    from sciml_data.results.submission.tree import find_submissions

    if since is not None:
        changed = changed_since(folder, since)
        for one in changed.verdicts:  # the submitter's word on themselves
            (one / VERIFICATION).unlink(missing_ok=True)
            click.echo(f"{one.name}: the verdict that came with it is not looked at", err=True)
        return list(changed.folders), changed.problems
    if found := find_submissions(folder):
        return found, ()
    raise CallError(
        f"{folder} holds no submission: no {TERMS} is in it or below it",
        hint="sciml-data submit pack writes one",
    )


def _nothing(folder: Path) -> Verdict:
    from sciml_data.results.submission.check import Verdict

    return Verdict(folder.resolve().name, (), (), 0, False, "unchecked")


def _text(verdict: Verdict) -> str:
    """Return a verdict as lines; what strangers wrote cannot break out of its line."""
    word = "accepted" if verdict.is_accepted else "refused"
    runs = f"{verdict.runs} run{'' if verdict.runs == 1 else 's'}"
    lines = [f"{verdict.folder}: {word}, {runs}, {verdict.state}"]
    lines += [f"  warning    {warning}" for warning in verdict.warnings]
    lines += [f"  {problem}" for problem in verdict.problems]
    if verdict.problems:
        kinds = sorted({problem.kind for problem in verdict.problems})
        lines.append(f"  {len(verdict.problems)} problems: {', '.join(kinds)}")
    return "\n".join(_printable(line) for line in lines)


def _printable(line: str) -> str:
    return "".join(sign if sign.isprintable() else f"\\x{ord(sign):02x}" for sign in line)


def _parts(request: Any, repo: str | None) -> dict[str, str]:
    told = f"gh pr create --repo {repo} --head {request.branch} --body-file body.md\n"
    push = f"git push origin {request.branch}\n"
    return {
        "branch.txt": f"{request.branch}\n",
        "message.txt": request.message,
        "body.md": request.body,
        "next.txt": push + (told if repo else ""),
    }
