"""The columns of a board: for each its title, what stands in a cell, and what it is sorted by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from sciml_data.bench.record.record import SHORT
from sciml_data.bench.record.report import MISSING, SYNTHETIC
from sciml_data.results.board.cells import (
    NOT_MEASURED,
    deviation,
    energy_words,
    number,
    samples_per_s,
    seconds,
)
from sciml_data.results.board.row import PUBLISHED, Row, TargetOf

DIGEST_SHOWN = 12  # digits of a manifest's hash: enough to tell versions apart by eye
NOT_COMPARABLE = "Published, not rescored: read beside the measured rows, never ranked with them"


@dataclass(frozen=True)
class Column:
    """A column; `key` gives a number to sort by where the text is one."""

    title: str
    text: Callable[[Row], str]
    key: Callable[[Row], float | None] | None = None


@dataclass(frozen=True)
class Table:
    """Rows of one benchmark and kind, under the columns that fit them.

    `told` is a sentence that has to stand with it; None where there is nothing to tell.
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    told: str | None


def tables(rows: Iterable[Row]) -> Iterator[tuple[str, list[Table]]]:
    """Yield each benchmark's name and its tables: measured, published, synthetic."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[_benchmark(row)].append(row)
    for name, group in groups.items():
        kinds = {
            "measured on real data": (MEASURED_COLUMNS, _real(group), None),
            "published by others": (PUBLISHED_COLUMNS, _published(group), NOT_COMPARABLE),
            "synthetic samples": (MEASURED_COLUMNS, _synthetic(group), SYNTHETIC),
        }
        yield (
            name,
            [
                Table(f"{name}: {title}", columns, found, told)
                for title, (columns, found, told) in kinds.items()
                if found
            ],
        )


def _real(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row.kind != PUBLISHED and not row.data.is_synthetic]


def _published(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row.kind == PUBLISHED]


def _synthetic(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row.kind != PUBLISHED and row.data.is_synthetic]


def _benchmark(row: Row) -> str:
    return f"{row.benchmark} {row.variant}" if row.variant else row.benchmark


def _model(row: Row) -> str:
    size = row.made_by.parameters
    return row.made_by.model + (f" ({size:,} parameters)" if size else "")


def _rank(row: Row) -> str:
    return MISSING if row.rank is None else f"{row.rank} of {row.ranked}"


def _rank_key(row: Row) -> float | None:
    return row.rank


def _dataset(row: Row) -> str:
    return f"{row.data.dataset} {row.data.version}"


def _manifest(row: Row) -> str:
    return (row.data.manifest_digest or MISSING).removeprefix("sha256:")[:DIGEST_SHOWN]


def _origin(row: Row) -> str:
    return "synthetic" if row.data.is_synthetic else "real"


def _split(row: Row) -> str:
    headline = " (headline)" if row.data.is_headline else ""
    return f"{row.data.split}{headline}, {row.data.part}"


def _metric(row: Row) -> str:
    metric = row.metric
    unit = f" [{metric.unit}]" if metric.unit not in {None, "1"} else ""
    name = metric.key or metric.name
    if metric.lower_is_better is None:
        return f"{name}{unit}"
    return f"{name}{unit}, {'lower' if metric.lower_is_better else 'higher'} is better"


def _measure(row: Row) -> str:
    beside = f" (beside {row.metric.key}, {row.data.part})" if row.metric.key else ""
    return f"{row.metric.name}{beside}"


def _targets(row: Row) -> str:
    return "; ".join(_target(one, row) for one in row.targets) or MISSING


def _target(target: TargetOf, row: Row) -> str:
    words = f"{target.comparison} {target.value:g}"
    if row.data.is_synthetic:
        return f"{words}: not comparable"
    runs = target.reached + target.missed
    words += f": reached by {target.reached} of {runs}"
    words += f" in {seconds(target.seconds)}" if target.seconds is not None else ""
    others = target.reached_by_baselines
    return words + (f", by baseline {', '.join(others)} too" if others else "")


def _runs(row: Row) -> str:
    score = row.score
    if score is None or score.runs is None:
        return _best_of(row) or MISSING
    missed = f", {score.misses} missed" if score.misses else ""
    best = f", {_best_of(row)}" if score.best_of else ""
    return f"{score.runs}{missed}{best}"


def _best_of(row: Row) -> str:
    return f"best of {row.score.best_of}" if row.score and row.score.best_of else ""


def _runs_key(row: Row) -> float | None:
    return row.score.runs if row.score else None


def _score(row: Row) -> str:
    if row.score is None:
        return MISSING
    spread = f" ± {deviation(row.score.std)}" if row.score.std is not None else ""
    return f"{number(row.score.median)}{spread}"


def _published_score(row: Row) -> str:
    """Return a value without places that nobody published; `reported` has it as printed."""
    if row.score is None or row.score.median is None:
        return MISSING
    spread = f" ± {row.score.std:g}" if row.score.std is not None else ""
    return f"{row.score.median:g}{spread}"


def _score_key(row: Row) -> float | None:
    return row.score.median if row.score else None


def _baseline(row: Row) -> str:
    return f"{row.baseline.name} {number(row.baseline.score)}" if row.baseline else MISSING


def _baseline_key(row: Row) -> float | None:
    return row.baseline.score if row.baseline else None


def _beats(row: Row) -> str:
    if row.baseline is None or row.baseline.is_beaten is None:
        return MISSING
    return "yes" if row.baseline.is_beaten else "no"


def _time(row: Row) -> str:
    return _with(seconds(row.costs.time_to_train_s), row.costs.time_remark)


def _time_key(row: Row) -> float | None:
    return row.costs.time_to_train_s


def _speed(row: Row) -> str:
    return _with(samples_per_s(row.costs.train_samples_per_s), row.costs.speed_remark)


def _speed_key(row: Row) -> float | None:
    return row.costs.train_samples_per_s


def _with(words: str, remark: str | None) -> str:
    return f"{words} ({remark})" if remark else words


def _energy(row: Row) -> str:
    """Return the energy; why there is none stands in the JSON and the CSV: it is long."""
    if row.costs.energy.is_measured:
        return energy_words(row.costs.energy)
    return MISSING if row.kind == PUBLISHED else NOT_MEASURED


def _state(row: Row) -> str:
    return row.state.replace("_", "-")


def _code(row: Row) -> str:
    commit = row.made_by.commit
    words = commit[:SHORT] if commit else MISSING
    return f"{words}, changed" if row.made_by.is_dirty else words


def _system(row: Row) -> str:
    return row.made_by.system or MISSING


def _submitter(row: Row) -> str:
    return row.made_by.submitter or MISSING


def _remarks(row: Row) -> str:
    return "; ".join(row.remarks) or MISSING


def _run_ids(row: Row) -> str:
    return " ".join(one[:SHORT] for one in row.made_by.run_ids) or MISSING


def _data_words(row: Row) -> str:
    known = [row.data.dataset, row.data.split and f"nearest to our split {row.data.split}"]
    beside = ", ".join(filter(None, known))
    return f"{row.data.words}" + (f" ({beside})" if beside else "")


def _reported(row: Row) -> str:
    return row.published.reported if row.published else MISSING


def _why_not(row: Row) -> str:
    return row.published.not_comparable if row.published else MISSING


def _source(row: Row) -> str:
    if row.published is None:
        return MISSING
    return f"{row.published.source} {row.published.url or ''}".rstrip()


RUNS_TITLE, SOURCE_TITLE = "Runs", "Source"  # these become links in HTML
MEASURED_COLUMNS = (
    Column("Model", _model),
    Column("Rank", _rank, _rank_key),
    Column("Dataset", _dataset),
    Column("Manifest", _manifest),
    Column("Data", _origin),
    Column("Split, part", _split),
    Column("Metric", _metric),
    Column("N", _runs, _runs_key),
    Column("Median ± std", _score, _score_key),
    Column("Best baseline", _baseline, _baseline_key),
    Column("Beats it", _beats),
    Column("Target", _targets),
    Column("Time to train", _time, _time_key),
    Column("Training speed", _speed, _speed_key),
    Column("Energy", _energy),
    Column("State", _state),
    Column("System", _system),
    Column("Code", _code),
    Column("Submitter", _submitter),
    Column("Remarks", _remarks),
    Column(RUNS_TITLE, _run_ids),
)
PUBLISHED_COLUMNS = (
    Column("Model", _model),
    Column("Measure", _measure),
    Column("Value", _published_score, _score_key),
    Column("N", _runs, _runs_key),
    Column("Reported", _reported),
    Column("Data", _data_words),
    Column("Why it has no rank", _why_not),
    Column("Time", _time, _time_key),
    Column("Training speed", _speed, _speed_key),
    Column("Energy", _energy),
    Column("System", _system),
    Column("State", _state),
    Column(SOURCE_TITLE, _source),
)
