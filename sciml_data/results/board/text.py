"""A board for a terminal: a small table for each part of a split, published figures after all.

It has what fits into 80 columns: rank, model, runs, score, interval, the best baseline, time and
energy. The other forms have all columns (`table.py`).
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from sciml_data.bench.record.report import SYNTHETIC
from sciml_data.bench.scoring.intervals import NO_DIFFERENCE
from sciml_data.bench.scoring.metrics import MISSING, distinct_numbers
from sciml_data.results.board.row import PUBLISHED, Row
from sciml_data.results.board.table import (
    EMPTY,
    LOAD_SHOWN,
    benchmark_name,
    footnotes,
    published_note,
)

WIDTH = 80
MIN_MODEL = 16  # characters of a model's name that are never cut
TITLES = (
    "rank", "model", "runs", "median", "95 % interval", "vs baseline", "time", "energy",
)  # fmt: skip
SHORT_S = 100.0  # below it, a tenth of a second counts
BASELINE = "base"  # in place of a rank
NOT_SHOWN = "not shown"  # shorter than `NO_DIFFERENCE`
MEANING = "no difference from the best baseline is shown, its 95 % interval includes 0."
Cells = list[str]


def to_text(rows: Iterable[Row], *, width: int = WIDTH) -> str:
    """Return a board as plain text; published figures follow all measured rows.

    Args:
        rows: in order (`board_rows`).
        width: of a line, in characters.
    """
    shown = list(rows)
    measured = [row for row in shown if row.kind != PUBLISHED]
    blocks = []
    for is_synthetic in (False, True):
        groups: dict[tuple[object, ...], list[Row]] = {}
        for row in measured:
            if row.data.is_synthetic == is_synthetic:
                place = (row.benchmark, row.variant, replace(row.data, is_headline=False))
                groups.setdefault(place, []).append(row)
        blocks += [SYNTHETIC] if is_synthetic and groups else []
        blocks += [_block(group, width) for group in groups.values()]
    if any(_verdict(row) == NOT_SHOWN for row in measured):
        blocks.append(textwrap.fill(f"{NOT_SHOWN}: {MEANING}", width))
    blocks += _published(shown, width)
    return "\n\n".join(blocks or [EMPTY]) + "\n"


def _block(rows: Sequence[Row], width: int) -> str:
    """Return the rows of a part of a split: a table with a line above the rows of each metric."""
    data = rows[0].data
    headline = " (headline)" if data.is_headline else ""
    head = (
        f"{benchmark_name(rows[0])}: {data.dataset} {data.version}, split {data.split}{headline}, "
        f"part {data.part}"
    )
    metrics: dict[str, list[Row]] = {}
    for row in rows:
        metrics.setdefault(row.metric.key or row.metric.name, []).append(row)
    cells = [line for group in metrics.values() for line in _metric_rows(group)]
    title, *lines = _grid(cells, width)
    below = [textwrap.fill(head, width, subsequent_indent="  "), title]
    for group in metrics.values():
        below.append(_metric(group[0], width))
        size = len(_metric_rows(group))
        below += lines[:size]
        lines = lines[size:]
    return "\n".join([*below, *_notes(metrics, width)])


def _metric(row: Row, width: int) -> str:
    """Return key, unit and direction of a metric, and its name if there is room for it."""
    metric = row.metric
    unit = f" [{metric.unit}]" if metric.unit not in {None, "1"} else ""
    direction = "lower" if metric.lower_is_better else "higher"
    text = f"{metric.key}{unit}, {direction} is better"
    with_name = f"{text} ({metric.name})"
    return with_name if len(with_name) <= width else text


def _metric_rows(rows: Sequence[Row]) -> list[Cells]:
    """Return the cells of the rows of a metric, best baseline last."""
    baseline = next((row.baseline for row in rows if row.baseline), None)
    medians = [row.score.median if row.score else None for row in rows]
    scores = distinct_numbers([*medians, *([baseline.score] if baseline else [])])
    lines = [
        [
            str(row.rank or MISSING),
            _model(row),
            str(row.score.runs if row.score else 0),
            score,
            _interval(row),
            _verdict(row),
            _time(row),
            _energy(row),
        ]
        for row, score in zip(rows, scores, strict=False)
    ]
    if baseline:
        lines.append([BASELINE, baseline.name, "", scores[-1], "", "", "", ""])
    return lines


def _grid(lines: Sequence[Cells], width: int) -> list[str]:
    """Return the lines of a table, headings first; columns without any value are left out."""
    columns = [
        [title, *cells]
        for title, *cells in zip(TITLES, *lines, strict=True)
        if set(cells) - {MISSING, ""} or title == "rank"
    ]
    _cut_models(columns, width)
    return _aligned(columns, left={"rank", "model"})


def _aligned(columns: Sequence[Cells], *, left: set[str]) -> list[str]:
    """Return columns as lines; cells of columns with a heading in `left` begin at the left."""
    padded = []
    for cells in columns:
        width = max(map(len, cells))
        pad = str.ljust if cells[0] in left else str.rjust
        padded.append([pad(cell, width) for cell in cells])
    return ["  ".join(line).rstrip() for line in zip(*padded, strict=True)]


def _cut_models(columns: Sequence[Cells], width: int) -> None:
    """Shorten the names of models to the room that the other columns leave."""
    room = width - 2 * (len(columns) - 1)
    room -= sum(max(map(len, cells)) for cells in columns if cells[0] != "model")
    for cells in columns:
        if cells[0] == "model":
            cells[:] = [_cut(cell, max(room, MIN_MODEL)) for cell in cells]


def _cut(text: str, room: int) -> str:
    text = " ".join(text.split())  # names of strangers stay on one line
    return text if len(text) <= room else f"{text[: room - 1].rstrip()}…"


def _model(row: Row) -> str:
    return row.made_by.model + (f" [{row.made_by.mark}]" if row.made_by.mark else "")


def _interval(row: Row) -> str:
    if row.score is None or row.score.lower is None or row.score.upper is None:
        return MISSING
    return f"{row.score.lower:.3g} to {row.score.upper:.3g}"


def _verdict(row: Row) -> str:
    if row.baseline is None or row.baseline.is_beaten is None:
        return MISSING
    if row.score and row.score.median == row.baseline.score:
        return "equal"
    verdict = row.baseline.verdict or ("better" if row.baseline.is_beaten else "not better")
    return NOT_SHOWN if verdict == NO_DIFFERENCE else verdict


def _time(row: Row) -> str:
    seconds, load = row.costs.time_to_train_s, row.costs.other_load
    if seconds is None:
        return MISSING
    shared = f" ({100 * load:.0f} % shared)" if load is not None and load >= LOAD_SHOWN else ""
    return f"{_seconds(seconds)}{shared}"


def _seconds(value: float) -> str:
    return f"{value:,.1f} s" if value < SHORT_S else f"{value:,.0f} s"


def _energy(row: Row) -> str:
    energy = row.costs.energy
    known = [joules for joules in (energy.cpu_j, energy.gpu_j) if joules is not None]
    return f"{sum(known):,.0f} J" if energy.is_measured and known else MISSING


def _notes(metrics: Mapping[str, Sequence[Row]], width: int) -> Iterator[str]:
    """Yield lines below a table: ties, marks, shared computers, remarks."""
    notes = [
        f"{key}: ranks {tied[0]} to {tied[1]} are a tie, no difference from the first is shown."
        for key, group in metrics.items()
        for tied in dict.fromkeys(row.tied for row in group if row.tied)
    ]
    rows = [row for group in metrics.values() for row in group]
    notes += footnotes(rows)
    if any("shared" in _time(row) for row in rows):
        notes.append(
            "shared: share of the computer that other programs used; such a time says little."
        )
    for row in rows:
        model = _model(row) if row.rank is None else f"rank {row.rank}, {_model(row)}"
        notes += [f"{model}: {', '.join(row.made_by.settings)}"] if row.made_by.settings else []
        notes += [f"{_model(row)}: {remark}" for remark in row.remarks]
    for note in dict.fromkeys(notes):
        yield textwrap.fill(note, width, initial_indent="  ", subsequent_indent="    ")


def _published(rows: Sequence[Row], width: int) -> Iterator[str]:
    """Yield the published figures of the benchmarks that have rows, and counts of the others."""
    groups: dict[str, list[Row]] = {}
    measured: dict[str, list[Row]] = {}
    for row in rows:
        of = groups if row.kind == PUBLISHED else measured
        of.setdefault(benchmark_name(row), []).append(row)
    own = set(groups) if len(groups) == 1 else set(measured)
    notes = {name: published_note(measured.get(name, ())) for name in groups if name in own}
    for note in dict.fromkeys(notes.values()):
        yield textwrap.fill(f"{note}. `--format markdown` has source and data.", width)
        for name in (name for name in notes if notes[name] == note):
            yield f"{name}: published by others\n{_figures(groups[name], width)}"
    others = [f"{name} ({len(group)})" for name, group in groups.items() if name not in own]
    if others:
        text = (
            f"Numbers of figures that others published on benchmarks without a run of yours: "
            f"{', '.join(others)}. `--benchmark NAME` prints them."
        )
        yield textwrap.fill(text, width)


def _figures(rows: Sequence[Row], width: int) -> str:
    columns: list[Cells] = [
        ["value", *(_value(row) for row in rows)],
        ["model", *(row.made_by.model for row in rows)],
        ["measure", *(row.metric.name for row in rows)],
    ]
    room = width - max(map(len, columns[0])) - 4
    for cells, share in zip(columns[1:], (room // 2, room), strict=True):
        cells[:] = [_cut(cell, max(share, MIN_MODEL)) for cell in cells]
        room -= max(map(len, cells))
    return "\n".join(_aligned(columns, left={"model", "measure"}))


def _value(row: Row) -> str:
    """Return the score, or the cost if no score was published."""
    costs = row.costs
    if row.score is not None and row.score.median is not None:
        return f"{row.score.median:g}"
    if costs.time_to_train_s is not None:
        return _seconds(costs.time_to_train_s)
    if costs.train_samples_per_s is not None:
        return f"{costs.train_samples_per_s:,.0f} samples/s"
    return _energy(row)
