"""The group of verbs behind `sciml-data`, and the texts of the errors that end it.

Standard output carries data, standard error carries messages. With --json a failure is data, too:
`{"error": {...}}`. Exit code 0: success; 1: the data
are wrong; 2: the call is wrong; 130: stopped by Ctrl-C, 143: by SIGTERM.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import io
import json
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn, TextIO

import click

from sciml_data import __version__
from sciml_data.errors import UNPRINTABLE, CallError, SciMLDataError, nearest, show_controls

# Section of --help -> verb -> its line of help. The module sciml_data.cli.<verb> has a click
# command named `command`; --help imports none of these modules.
GROUPS = {
    "Data": {
        "list": "List the datasets, versions and benchmarks of the registry.",
        "search": "Find datasets and benchmarks by words.",
        "describe": "Print licence, size, variables, splits and mirrors (info).",
        "get": "Fetch a dataset, or make its synthetic sample.",
        "adopt": "Import a local folder as a dataset's files.",
        "verify": "Check files against the manifest; repair wrong files.",
        "convert": "Convert verified files to analysis-ready NetCDF.",
        "overview": "Draw what a sample of a dataset looks like.",
        "sample-report": "Print percentiles of a sample beside those of real data.",
        "cache": "Print what the home has stored; free space.",
        "config": "Print the settings, versions and extras in force.",
    },
    "Benchmarks": {
        "run": "Train and score a benchmark, and write its record.",
        "sbatch": "Write or submit a Slurm job: a run or a conversion.",
        "runs": "List, filter, note and remove the runs in the home.",
        "show": "Print a run's scores and baselines; draw its figures.",
        "score": "Score predictions that another program made.",
        "split": "Write the ids of the samples in each part of a split.",
        "rescore": "Recompute a run's scores from its stored predictions.",
        "log": "Print a run's MLPerf log, or check a log.",
    },
    "Results": {
        "aggregate": "Summarise repeats of a run: median, spread, time to target.",
        "board": "Print a board of runs: Markdown, CSV, JSON or HTML.",
        "submit": "Pack and check a submission, and make a branch of it.",
        "site": "Build a static site of datasets, benchmarks and runs.",
        "export": "Write a dataset or a run in a standard format.",
        "results": "Store records of runs; write pages of results from them.",
    },
    "Registry": {
        "new": "Start the folder of a new dataset.",
        "check": "Check descriptors, manifests, tasks and links.",
        "derive": "Update derived files: catalogue, checksums, tables of pages.",
        "diff": "Compare two versions of a dataset: files, descriptor, values.",
        "pin": "Record checksums of fetched files in the registry.",
        "fair": "Assess a dataset by the FAIRsFAIR metrics.",
        "rate": "Rate a benchmark by the rubric of MLCommons Science.",
        "cite": "Print how to cite a dataset and this software.",
        "mirror": "Make DataLad mirrors of the registry.",
        "publish": "Send a dataset to Zenodo or another InvenioRDM server.",
        "catalog": "Write an Intake catalogue of the ready files in the home.",
    },
}
VERBS = {verb: text for section in GROUPS.values() for verb, text in section.items()}
ALIASES = {"info": "describe"}  # the usual name in other tools
# Verb of other tools -> what to type here.
OTHER_WORDS = {
    "ls": "`sciml-data list` prints the registry, `sciml-data cache` what the home has",
    "download": "`sciml-data get ID` fetches a dataset",
    "fetch": "`sciml-data get ID` fetches a dataset",
    "pull": "`sciml-data get ID` fetches a dataset",
    "rm": "`sciml-data cache rm ID` removes a dataset from the home",
    "remove": "`sciml-data cache rm ID` removes a dataset from the home",
    "train": "`sciml-data run BENCHMARK` trains and scores",
    "open": "`sciml_data.open_dataset(ID)` opens a dataset in Python",
    "load": "`sciml_data.load(ID)` fetches, converts and opens a dataset in Python",
    "plot": "`sciml-data overview ID` draws a dataset, `sciml-data show RUN` a run",
    "update": "`sciml-data get ID` fetches what is missing",
    "clean": "`sciml-data cache prune` removes what was not used for long",
    "evaluate": "`sciml-data score BENCHMARK FILE` scores predictions",
    "help": "`sciml-data --help`, `sciml-data VERB --help`",
}
# Error of a disk -> (its usual name, what the user can do). Any other error of the operating
# system is a fault of this program, and keeps its traceback.
DISK_ERRORS = {
    errno.ENOSPC: ("no space left on the disk", "free some space"),
    errno.EDQUOT: ("disk quota exceeded", "free some space"),
    errno.EFBIG: ("file size limit exceeded", "raise the limit (ulimit -f)"),
    errno.EROFS: ("read-only file system", "mount it for writing"),
    errno.EACCES: ("permission denied", "change its permissions"),
}


# Levels of the log, those of `logging`, which is imported only where a command runs.
DEBUG, VERBOSE, NORMAL, QUIET = 1, 10, 20, 30
IGNORED_S = 2.0  # after the first Ctrl-C: a second one that soon is the same wish
# Verb -> what is kept when it is stopped, and how to resume.
KEPT = {
    "get": "complete files and the parts of others are kept; the same command resumes",
    "adopt": "files that were taken are kept; the same command resumes",
    "convert": "finished files are kept; the same command resumes",
    "verify": "hashes of files that were read are kept; the same command resumes",
    "mirror": "finished commits are kept; the same command resumes",
    "publish": "the draft and its complete files are kept; the same command resumes",
    "run": "whole epochs of a run that has begun are kept",  # the run prints how to resume it
}
NOTHING_HALF = "no file was left half written; repeat the command"


class CleanText(io.TextIOWrapper):
    """Standard output or error, in which control characters are shown and not obeyed.

    All text of a command passes here, so no descriptor, record or log of a stranger can move the
    cursor, change the title of the terminal or hide a line.
    """

    def __init__(self, stream: TextIO) -> None:
        """Write to the bytes of a stream; its `original` text stream obeys control characters."""
        super().__init__(
            stream.buffer,
            encoding=stream.encoding,
            errors="backslashreplace",
            line_buffering=stream.line_buffering if isinstance(stream, io.TextIOWrapper) else True,
        )
        self.original = stream
        self.is_used = False

    def write(self, text: str) -> int:
        """Write a text, and return its length."""
        self.is_used = True
        if UNPRINTABLE.search(text):
            text = show_controls(text)
        return super().write(text)


class UserPath(click.Path):
    """A path on the command line, in which `~` is the user's home.

    A shell expands it only at the start of a word: `--to=~/x` arrives as it was typed.
    """

    def __init__(self, **options: Any) -> None:
        """Take the options of `click.Path`."""
        super().__init__(path_type=Path, **options)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path that was typed."""
        return Path(str(super().convert(str(Path(value).expanduser()), param, ctx)))


def set_trust(ctx: click.Context, _param: click.Parameter, value: bool) -> None:  # noqa: FBT001
    """Let the code of other registries run in a command, if --trust-code or an answer says so."""
    from sciml_data.registry import trusting

    def ask(question: str) -> bool:
        return click.confirm(question, err=True)

    can_ask = sys.stdin.isatty() and sys.stderr.isatty()
    ctx.with_resource(trusting(trust_code=value, ask=ask if can_ask else None))


VERBOSITY = "sciml_data.verbosity"  # in the context of click: the level of the log


def _set_level(level: int) -> Callable[[click.Context, click.Parameter, bool], None]:
    """Return a callback that sets the level of the log if its option was given."""

    def callback(ctx: click.Context, _param: click.Parameter, value: bool) -> None:  # noqa: FBT001
        if value:
            ctx.meta[VERBOSITY] = level

    return callback


def _switch(*names: str, level: int, text: str) -> click.Option:
    callback = _set_level(level)
    return click.Option([*names], is_flag=True, expose_value=False, callback=callback, help=text)


# Options of every verb; `sciml-data -q get …` and `sciml-data get -q …` mean the same.
COMMON = (
    _switch("-q", "--quiet", level=QUIET, text="Print no messages and no progress, only errors."),
    _switch("-v", "--verbose", level=VERBOSE, text="Print more messages: each file, try and step."),
    _switch(
        "--debug", level=DEBUG, text="Print all messages with time and module, and tracebacks."
    ),
)


class _CommonOptions:
    """Add the options that every verb has, and send the log to standard error."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the parameters of the command, the common ones last."""
        *own, help_option = super().get_params(ctx)  # type: ignore[misc]
        return [*own, *COMMON, help_option]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Print the options, in sections where there are many."""
        from sciml_data.cli.help import write_options

        write_options(self.get_params(ctx), ctx, formatter)
        if isinstance(self, click.Group):
            self.format_commands(ctx, formatter)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; lines of the log go to standard error."""
        from sciml_data.cli.output import logging_to_stderr

        with logging_to_stderr(ctx.meta.get(VERBOSITY, NORMAL)):
            return super().invoke(ctx)  # type: ignore[misc]


class Verb(_CommonOptions, click.Command):
    """A command of `sciml-data`."""


class VerbGroup(_CommonOptions, click.Group):
    """A command of `sciml-data` that has commands below it."""

    command_class = Verb


class LazyGroup(VerbGroup):
    """A group that imports a command only when it is used, which keeps --help fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the verbs in the order of --help."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the module of a verb and return its command."""
        cmd_name = ALIASES.get(cmd_name, cmd_name)
        if cmd_name not in VERBS:
            return None
        name = cmd_name.replace("list", "list_").replace("-", "_")
        module = importlib.import_module(f"sciml_data.cli.{name}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Suggest the nearest verb for an unknown verb."""
        if args[0] not in {*VERBS, *ALIASES} and not args[0].startswith("-"):
            pointer = OTHER_WORDS.get(args[0])
            meant = f"; {pointer}" if pointer else nearest(args[0], VERBS)
            ctx.fail(f"no such verb: {args[0]!r}{meant}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Print the verbs in sections, without importing them."""
        width = max(map(len, VERBS))  # the help texts of all sections start in the same column
        for section, verbs in GROUPS.items():
            with formatter.section(section):
                formatter.write_dl([(verb.ljust(width), text) for verb, text in verbs.items()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Examples:
  sciml-data list                         what there is
  sciml-data info tevolop_socal           size, licence, variables, splits
  sciml-data get tevolop_socal            fetch it
  sciml-data convert tevolop_socal        make NetCDF files of it
  sciml-data run tevolop --sample         train and score on synthetic data
  sciml-data VERB --help                  options and examples of a verb

\b
Exit codes: 0 done, 1 the data are wrong, 2 the call is wrong, 130 Ctrl-C.
Completion: eval "$(_SCIML_DATA_COMPLETE=bash_source sciml-data)"
""",
)
@click.version_option(
    __version__, "-V", "--version", prog_name="sciml-data", help="Print the version and exit."
)
def group() -> None:
    """Scientific machine-learning datasets: find, fetch, verify, convert, open, train, score."""


def main() -> None:
    """Run the command line; an expected error becomes a message and an exit code."""
    _use_utf8()
    try:
        with _clean_streams(), _stopping() as stop:
            _run_group(stop)
    except BrokenPipeError:  # `sciml-data list | head` is not a failure
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def _use_utf8() -> None:
    """Start again in Python's UTF-8 mode if the locale encodes file names in another way (Latin-1).

    Names of published files are UTF-8; they would have other bytes on the disk, or none at all. In
    the C locale Python does this itself. A value of PYTHONUTF8 is the user's own choice.
    """
    is_utf8 = sys.getfilesystemencoding() == "utf-8"
    if not is_utf8 and not os.environ.get("PYTHONUTF8"):
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - this command


@contextlib.contextmanager
def _clean_streams() -> Iterator[None]:
    """Let all text of the block pass through `CleanText`."""
    before = sys.stdout, sys.stderr
    clean = [CleanText(stream) if hasattr(stream, "buffer") else stream for stream in before]
    sys.stdout, sys.stderr = clean
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        for stream in clean:
            if isinstance(stream, CleanText):
                stream.detach()  # flushes; a stream that is collected would close the bytes


class Stop:
    """What the command does on Ctrl-C (SIGINT), and on SIGTERM, which batch systems send.

    The first signal raises KeyboardInterrupt, so that files are closed and a run is recorded. Those
    that follow at once are ignored: whoever presses Ctrl-C twice means one stop. A later Ctrl-C
    ends the process, for the case that closing hangs.

    Attributes:
        number: of the first signal; 0 before it.
    """

    def __init__(self) -> None:
        """Wait for the first signal."""
        self.number = 0
        self._at_s = 0.0

    def receive(self, number: int, _frame: object) -> None:
        """Handle a signal."""
        if not self.number:
            self.number, self._at_s = number, time.monotonic()
            raise KeyboardInterrupt
        if number == signal.SIGINT and time.monotonic() - self._at_s > IGNORED_S:
            self.end("stopped at once")

    def lost(self, unraisable: sys.UnraisableHookArgs) -> None:
        """End if KeyboardInterrupt was raised where Python drops it, as in a finalizer."""
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            self.end("stopped")
        sys.__unraisablehook__(unraisable)

    def end(self, message: str) -> NoReturn:
        """Print what is kept, and end without waiting for threads that read from a slow server."""
        verb = next((word for word in sys.argv[1:] if word in VERBS), "")
        kept = KEPT.get(verb, NOTHING_HALF)
        if verb == "get" and "--sample" in sys.argv:
            kept = NOTHING_HALF  # a sample is made as a whole
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, RuntimeError):
                stream.flush()
        # `os.write`, because a signal may have come in the middle of a write to the stream.
        with contextlib.suppress(OSError):
            os.write(2, f"\n{message}: {kept}\n".encode())
        os._exit(128 + (self.number or signal.SIGINT))


@contextlib.contextmanager
def _stopping() -> Iterator[Stop]:
    """Handle signals during the block, unless they are ignored or belong to another program."""
    stop, before = Stop(), {}
    hook = sys.unraisablehook
    # Python allows signal handlers in the main thread only.
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
                before[number] = signal.signal(number, stop.receive)
        sys.unraisablehook = stop.lost
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        sys.unraisablehook = hook


def _run_group(stop: Stop) -> None:
    try:
        sys.exit(group.main(prog_name="sciml-data", standalone_mode=False) or 0)
    except (KeyboardInterrupt, click.Abort) as error:
        _end_interrupted(stop, error)
    except click.exceptions.NoArgsIsHelpError as error:  # its text is the help
        click.echo(error.format_message(), err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        _print_json(_show_usage_error(error), error.exit_code)
        sys.exit(error.exit_code)
    except SciMLDataError as error:
        _end_failed(error)
    except BrokenPipeError:
        raise
    except (OSError, RuntimeError) as error:
        if (expected := _disk_error(error) or _no_home_error(error)) is None:
            raise
        _end_failed(expected)


def _show_usage_error(error: click.ClickException) -> CallError:
    """Print a wrong call as other errors are printed: how to call, what is wrong, an example."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    message = error.format_message().replace("a valid integer range", "a whole number").rstrip(".")
    hint = ""
    if context is not None:
        click.echo(context.get_usage(), err=True)
        examples = re.findall(
            r"^ +(sciml-data .*?)(?: {3}.*)?$", context.command.epilog or "", re.MULTILINE
        )
        hint = "; ".join([*examples[:1], f"{context.command_path} --help"])
    wrong = CallError(message[0].lower() + message[1:], untouched="nothing was done", hint=hint)
    click.echo(f"error: {wrong}", err=True)
    return wrong


def _end_failed(error: SciMLDataError) -> NoReturn:
    if "--debug" in sys.argv:
        import traceback

        traceback.print_exc()
    click.echo(f"error: {error}", err=True)
    _print_json(error, error.exit_code)
    sys.exit(error.exit_code)


def _print_json(error: SciMLDataError, exit_code: int) -> None:
    """Print an error to stdout as JSON if the verb has --json and has printed nothing itself."""
    is_silent = isinstance(sys.stdout, CleanText) and not sys.stdout.is_used
    if "--json" not in sys.argv or not is_silent:
        return
    parts = {
        "kind": type(error).__name__,
        "message": error.message,
        "problems": [asdict(problem) for problem in error.problems],
        "done": error.done,
        "untouched": error.untouched,
        "hint": error.hint,
        "exit_code": exit_code,
    }
    click.echo(json.dumps({"error": parts}, indent=2))


def _end_interrupted(stop: Stop, error: BaseException) -> NoReturn:
    """End after a signal, or after a question that got no answer."""
    if not stop.number:
        if not isinstance(error.__cause__, KeyboardInterrupt):  # the end of standard input
            click.echo("stopped: a question had no answer; nothing was written", err=True)
            sys.exit(1)
        stop.number = signal.SIGTERM  # which a run handles itself
    name = signal.Signals(stop.number).name
    stop.end("stopped by Ctrl-C" if stop.number == signal.SIGINT else f"stopped by {name}")


def _no_home_error(error: BaseException) -> SciMLDataError | None:
    """Return the error of a user without a home folder, as in some containers and batch jobs.

    `Path.expanduser` raises a RuntimeError without HOME if the user id has no entry in passwd.
    """
    if "home directory" not in str(error):
        return None
    return CallError(
        "this user has no home folder: HOME is not set, and the user id has no name",
        untouched="nothing was changed",
        hint="--home DIR, SCIML_DATA_HOME=DIR or HOME=DIR",
    )


def _disk_error(error: BaseException | None) -> SciMLDataError | None:
    """Return the disk's error behind an exception, or None.

    The contexts are searched too: HDF5 raises a RuntimeError when it cannot close a file after
    the disk failed.
    """
    while error is not None and getattr(error, "errno", None) not in DISK_ERRORS:
        error = error.__context__
    if not isinstance(error, OSError):
        return None
    name, remedy = DISK_ERRORS[error.errno or 0]
    return SciMLDataError(
        f"{name}: {error.filename}" if error.filename else name,
        untouched="files that were already complete were not touched",
        hint=f"{remedy}, or choose another folder (--home, --to); then repeat the command",
    )
