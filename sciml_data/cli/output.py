"""Output that several verbs share: messages and progress on stderr, lists of files for JSON.

Progress is a bar on a terminal, and a line per minute in a log file.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciml_data.errors import MAX_PRINTED_PROBLEMS, CallError, Problem

if TYPE_CHECKING:
    from sciml_data.registry import Manifest

logger = logging.getLogger(__name__)
MIN_CUT = 12  # characters of a cell that is cut


class StderrHandler(logging.Handler):
    """Prints lines of the log to standard error as it is at that moment, above a progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a line."""
        import click

        with _above_bars():
            click.echo(self.format(record), err=True)


@contextlib.contextmanager
def logging_to_stderr(level: int) -> Iterator[None]:
    """Print the log of the package to standard error during the block.

    A block inside of another one, of a command below another command, changes the level only.

    Args:
        level: least level that is printed, as in `logging`. Below DEBUG, each line has its time
            and module.
    """
    package = logging.getLogger("sciml_data")
    outer = next((each for each in package.handlers if isinstance(each, StderrHandler)), None)
    handler = outer or StderrHandler()
    if level < logging.DEBUG:
        handler.setFormatter(logging.Formatter("%(asctime)s %(name)s: %(message)s"))
    before = package.level, package.propagate
    # A handler of the root logger, which some libraries add, would print each line again.
    package.propagate = False
    package.setLevel(level)
    package.addHandler(handler)  # once: a second time has no effect
    try:
        yield
    finally:
        if outer is None:
            package.removeHandler(handler)
        package.setLevel(before[0])
        package.propagate = before[1]


def shows_bars() -> bool:
    """Return whether progress is a bar: on a terminal, and not with -q."""
    return sys.stderr.isatty() and logger.isEnabledFor(logging.INFO)


def _above_bars() -> AbstractContextManager[Any]:
    """Return a block in which progress bars are not on the terminal."""
    if "tqdm" not in sys.modules:
        return contextlib.nullcontext()
    import tqdm

    block: AbstractContextManager[Any] = tqdm.tqdm.external_write_mode(file=_obeying_stderr())
    return block


def log(line: str) -> None:
    """Log a line that a user should read: it is printed to standard error, except with -q."""
    logger.info(line)


def log_left_out(problems: Sequence[Problem]) -> None:
    """Print how many entries were left out, and the reason for each, to stderr."""
    is_of_runs = not {problem.kind for problem in problems} & {"dataset", "benchmark"}
    one, many = ("run", "runs") if is_of_runs else ("entry", "entries")
    lines = [f"{problem.place}: {problem.message}" for problem in problems]
    if len(lines) == 1:
        log(f"1 {one} left out: {lines[0]}")
    elif lines:
        more = len(lines) - MAX_PRINTED_PROBLEMS
        shown = lines[:MAX_PRINTED_PROBLEMS] + ([f"and {more} more"] if more > 0 else [])
        log("\n  ".join([f"{len(lines)} {many} left out:", *shown]))


def log_one_left_out(problem: Problem) -> None:
    """Print why an entry was left out, to stderr."""
    log_left_out([problem])


def table(cells: Sequence[Sequence[str]], *, optional: Sequence[str] = ()) -> str:
    """Return rows of cells as lines of aligned columns; the first row has the headings.

    In a pipe all cells are whole. On a terminal where the lines would be too long, optional columns
    are left out, the first one first; then the last column is cut.

    Args:
        cells: rows of cells.
        optional: headings of columns that may be left out.
    """
    if optional and sys.stdout.isatty():
        lengths = [max(map(len, column)) + 2 for column in zip(*cells, strict=True)]
        if sum(lengths) - 2 > shutil.get_terminal_size().columns:
            place = cells[0].index(optional[0])
            fewer = [[*row[:place], *row[place + 1 :]] for row in cells]
            return table(fewer, optional=optional[1:])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)][:-1]
    lines = []
    for row in cells:
        start = "".join(f"{text:<{width}}  " for text, width in zip(row, widths, strict=False))
        lines.append(_fitted(start, row[-1]).rstrip() + "\n")
    return "".join(lines)


def _fitted(start: str, last: str) -> str:
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    left = columns - len(start)
    # Where hardly a word is left, the terminal may rather wrap the line.
    if MIN_CUT <= left < len(last):
        last = f"{last[: left - 1].rstrip()}…"
    return start + last


def file_rows(manifest: Manifest) -> list[dict[str, Any]]:
    """Return path, size and hash of each file, for JSON."""
    return [{"path": e.path, "bytes": e.size_bytes, "hash": e.hash} for e in manifest]


def check_output(path: Path, *, file_name: str = "") -> None:
    """Check that a file can be written, before the work that makes its text.

    Args:
        path: of the file.
        file_name: usual name of such a file, for the hint.

    Raises:
        CallError: the path is a folder, or its folder does not exist.
    """
    if path.is_dir():
        raise CallError(
            f"{path} is a folder, not a file",
            untouched="nothing was written",
            hint=f"--to {path / file_name}" if file_name else "",
        )
    if not path.parent.is_dir():
        raise CallError(
            f"no such folder: {path.parent}",
            untouched="nothing was written",
            hint=f"mkdir -p {path.parent}",
        )


def print_or_write(text: str, path: Path | None) -> None:
    """Print a text to stdout, or write it to a file, pipe or device that the user named."""
    if path is None:
        import click

        click.echo(text, nl=False)
        return
    write_output(path, text)


def write_output(path: Path, text: str) -> None:
    """Write a text to a path that a user named, such as the file of `--to`.

    A pipe or a device (`/dev/stdout`) is written into: replacing it would leave its reader without
    the text. A symbolic link stays a link, and the file it leads to is written. Any other file is
    replaced in one step, as by `write_atomically`.

    Args:
        path: file, symbolic link, pipe or device; it need not exist.
        text: written as UTF-8.
    """
    from sciml_data.home import write_atomically

    if path.exists() and not path.is_file():
        with path.open("w", encoding="utf-8") as stream:
            stream.write(text)
    else:
        write_atomically(path.resolve(), text)


@contextlib.contextmanager
def byte_bar(activity: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a `progress` callback (bytes done, bytes to do) for `fetch` and `verify`."""
    from sciml_data.progress import byte_lines, draw_bar, repeated

    if not shows_bars():
        with repeated(byte_lines(activity, log)) as lines:
            yield lines
        return
    with draw_bar(activity, file=_obeying_stderr()) as show:
        yield show


@contextlib.contextmanager
def part_bar(activity: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a `progress` callback (parts done, all parts) for `make_sample`."""
    if not shows_bars():
        from sciml_data.synthetic import progress_lines

        yield progress_lines(activity, log)
        return
    from sciml_data.progress import draw_bar

    with draw_bar(activity, unit="part", file=_obeying_stderr()) as show:
        yield show


def _obeying_stderr() -> Any:
    """Return the stream of stderr that obeys control characters.

    A bar returns to the start of its line by one; `program.CleanText` would show it.
    """
    return getattr(sys.stderr, "original", sys.stderr)
