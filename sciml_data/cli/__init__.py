"""The command `sciml-data`: one module a verb, loaded only when the verb is typed.

Stdout is data, stderr is talk. Exit 0: done; 1: the data are wrong; 2: the call is wrong.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys

import click

from sciml_data import __version__
from sciml_data.errors import SciMLDataError, nearest

# verb -> one line of help; the module sciml_data.cli.<verb> has a click command named `command`.
VERBS = {
    "list": "Print the datasets, versions and benchmarks of the registry.",
    "describe": "Print what the registry says of one dataset.",
    "get": "Fetch a dataset, or make its synthetic sample.",
    "adopt": "Take files that are here already as those of a dataset.",
    "verify": "Hold fetched files against the manifest; --repair fetches what differs.",
    "convert": "Convert verified files to analysis-ready NetCDF.",
    "run": "Train and score a benchmark; writes a record.",
    "sbatch": "Write the job script of a run under Slurm.",
    "show": "Print a run's scores beside the baselines, and draw its figures.",
    "rescore": "Compute a run's scores again from its stored predictions.",
    "log": "Print a run's MLPerf log, or check one.",
    "aggregate": "Put repeats of a run together: median, olympic mean, spread, time to target.",
    "board": "Print a board of runs, published figures beside them: Markdown, CSV, JSON or HTML.",
    "submit": "Pack runs as a submission, check one, make a branch of it.",
    "site": "Make a static site of datasets, benchmarks and runs.",
    "new": "Start the folder of a new dataset.",
    "diff": "Compare two versions of a dataset: files, descriptor, values.",
    "pin": "Write the hashes of fetched files into the registry, for everybody to hold.",
    "mirror": "Make DataLad mirrors: names, hashes and addresses of files, for `datalad clone`.",
    "export": "Write a dataset's description, or a run, in a form that other programs read.",
    "cite": "Print how to cite a dataset, and this software.",
    "fair": "Judge a dataset by the FAIRsFAIR metrics, or write its landing page.",
    "check": "Check every descriptor, manifest and task of the registry.",
    "catalog": "Write an Intake catalogue of ready files, for users without sciml-data.",
    "derive": "Write what follows from the registry: catalogue, checksums, README tables.",
}
# What a disk refuses, and what to do; any other error of the system is a fault of ours.
REFUSALS = {
    errno.ENOSPC: ("the disk is full", "make room"),
    errno.EDQUOT: ("the quota of the disk is used up", "make room"),
    errno.EFBIG: ("a file may not become so large here", "raise the limit (ulimit -f)"),
    errno.EROFS: ("the file system may only be read", "mount it for writing"),
    errno.EACCES: ("there is no permission", "ask for it"),
}


class LazyGroup(click.Group):
    """A group whose commands are imported one by one, so that --help stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the verbs in the order of the flow."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import one verb's module and return its command."""
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"sciml_data.cli.{cmd_name.replace('list', 'list_')}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest verb where an unknown one is typed."""
        if args[0] not in VERBS and not args[0].startswith("-"):
            ctx.fail(f"there is no verb {args[0]!r}{nearest(args[0], VERBS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Print the verbs without importing them."""
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start here: sciml-data run tevolop --sample",
)
@click.version_option(__version__, prog_name="sciml-data")
def group() -> None:
    """Scientific machine-learning datasets: find, fetch, verify, convert, open, train, score."""


def main() -> None:
    """Run the command line; our errors become sentences on stderr and an exit code."""
    try:
        group(prog_name="sciml-data")
    except SciMLDataError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # `sciml-data list | head` is no failure
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except (OSError, RuntimeError) as error:
        if (refusal := _refusal(error)) is None:
            raise
        click.echo(f"error: {refusal}", err=True)
        sys.exit(1)


def _refusal(error: BaseException | None) -> SciMLDataError | None:
    """Return what a disk refused, also where HDF5 then failed to close the file."""
    while error is not None and getattr(error, "errno", None) not in REFUSALS:
        error = error.__context__
    if not isinstance(error, OSError):
        return None
    what, remedy = REFUSALS[error.errno or 0]
    said = str(error.strerror or error).partition(" (")[0]
    return SciMLDataError(
        f"{what}: {error.filename or said}",
        untouched="what was whole before is as it was",
        hint=f"{remedy}, or name another home with --home; the same command then goes on",
    )
