"""How numbers read in a table, and tables of pipes: aligned for a terminal, plain for Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sciml_data.bench.record.report import MISSING
from sciml_data.results.board.measured import Energy

NOT_MEASURED = "not measured"


def number(value: float | None) -> str:
    """Return a score to four places, or to four digits where it is large or below a tenth."""
    if value is None:
        return MISSING
    is_plain = value == 0 or 0.1 <= abs(value) < 1000  # where places read well
    return f"{value:.4f}" if is_plain else f"{value:.4g}"


def deviation(value: float | None) -> str:
    """Return a standard deviation: of few runs more than two digits say nothing."""
    return MISSING if value is None else f"{value:.2g}"


def seconds(value: float | None) -> str:
    """Return a duration in seconds."""
    return MISSING if value is None else f"{value:,.1f} s"


def samples_per_s(value: float | None) -> str:
    """Return a throughput."""
    return MISSING if value is None else f"{value:,.0f} samples/s"


def energy_words(energy: Energy) -> str:
    """Return the joules of processor and accelerator and how they were measured, or why not."""
    if not energy.is_measured:
        return f"{NOT_MEASURED} ({energy.reason})" if energy.reason else NOT_MEASURED
    parts = {"CPU": energy.cpu_j, "GPU": energy.gpu_j}
    known = [f"{name} {joules:,.0f} J" for name, joules in parts.items() if joules is not None]
    return f"{', '.join(known) or MISSING} ({energy.method})"


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of pipes for a program to lay out: no blanks to fill columns."""
    lines = [[_plain(cell) for cell in row] for row in [columns, *rows]]
    lines.insert(1, ["---"] * len(columns))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def pipe_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, text_columns: int = 1
) -> str:
    """Return an aligned table whose first columns are words, to the left, and others numbers."""
    head = [_plain(name) for name in columns]
    lines = [[_plain(cell) for cell in row] for row in rows]
    widths = [max(3, *(len(line[at]) for line in [head, *lines])) for at in range(len(head))]
    rule = [
        "-" * width if at < text_columns else f"{'-' * (width - 1)}:"
        for at, width in enumerate(widths)
    ]
    return "\n".join(
        "| "
        + " | ".join(
            cell.ljust(width) if at < text_columns else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        + " |"
        for line in [head, rule, *lines]
    )


def _plain(text: str) -> str:
    """Return text that stays in its cell and is no markup: some of it was sent in by others."""
    for mark, instead in (("&", "&amp;"), ("<", "&lt;"), ("|", "\\|"), ("`", "\\`"), ("[", "\\[")):
        text = text.replace(mark, instead)
    return " ".join(text.split())
