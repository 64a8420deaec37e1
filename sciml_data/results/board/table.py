"""The tables of a board: which rows are shown together, their columns, and how each cell reads.

A benchmark has up to three tables: measured on real data, published by others, and synthetic
samples. Each column has a title, a function that returns a cell's text, and for numbers a function
that returns the value to sort by. All forms (Markdown, HTML) are made from these tables.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from sciml_data.bench.record.record import SHORT_ID
from sciml_data.bench.record.report import SYNTHETIC
from sciml_data.bench.scoring.metrics import MISSING
from sciml_data.results.board.row import PUBLISHED, Row, RowTarget
from sciml_data.results.board.rows import comparable_key
from sciml_data.results.board.summary import Energy

DIGEST_SHOWN = 12  # digits of a manifest's hash: enough to tell versions apart by eye
NOT_COMPARABLE = "Published, not rescored: read beside the measured rows, never ranked with them"
ONLY_SYNTHETIC = (
    "Published, not rescored. No run here is on real data: scores of synthetic runs cannot be "
    "compared with these figures"
)
NOT_MEASURED = "not measured"
EMPTY = "No run and no published figure to show."
LOAD_SHOWN = 0.05  # a computer's own services take less
SORTS = ("rank", "time", "energy")


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        title: its heading.
        text: returns the text of a cell.
        key: returns the number to sort by, for columns of numbers.
        links: what the cells link to in HTML: the pages of the runs, or the published source.
    """

    title: str
    text: Callable[[Row], str]
    key: Callable[[Row], float | None] | None = None
    links: Literal["runs", "source"] | None = None


@dataclass(frozen=True)
class Table:
    """Rows of one benchmark and kind, with the columns that fit them.

    `note` is a sentence that must be shown with the table; None if there is none. `footnotes`
    explain marks in its cells.
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    note: str | None
    footnotes: Sequence[str] = ()

    @property
    def heading(self) -> str:
        """Return the title without the benchmark's name."""
        return self.title.partition(": ")[2].capitalize()


def tables(rows: Iterable[Row]) -> Iterator[tuple[str, list[Table]]]:
    """Yield each benchmark's name and its tables: measured on real data, synthetic, published.

    Benchmarks without a run of ours come last, so that they do not bury the others.
    """
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[benchmark_name(row)].append(row)
    has_no_run = {name: all(row.kind == PUBLISHED for row in rows) for name, rows in groups.items()}
    for name in sorted(groups, key=has_no_run.__getitem__):
        group = groups[name]
        published = [row for row in group if row.kind == PUBLISHED]
        measured = [row for row in group if row.kind != PUBLISHED]
        real = [row for row in measured if not row.data.is_synthetic]
        synthetic = [row for row in measured if row.data.is_synthetic]
        candidates = [
            _measured_table(f"{name}: measured on real data", real, None),
            _measured_table(f"{name}: synthetic samples", synthetic, SYNTHETIC),
            Table(
                f"{name}: published by others",
                PUBLISHED_COLUMNS,
                published,
                published_note(measured),
            ),
        ]
        yield name, [table for table in candidates if table.rows]


def published_note(measured: Sequence[Row]) -> str:
    """Return how published figures are read beside the measured rows of their benchmark."""
    are_synthetic = bool(measured) and all(row.data.is_synthetic for row in measured)
    return ONLY_SYNTHETIC if are_synthetic else NOT_COMPARABLE


def benchmark_name(row: Row) -> str:
    """Return the name of a row's benchmark, and of its variant."""
    return f"{row.benchmark} {row.variant}" if row.variant else row.benchmark


def arrange(rows: Sequence[Row], by: str) -> list[Row]:
    """Return the rows sorted within their metric and split.

    Args:
        rows: in the order of a board.
        by: `rank`, `time` or `energy`; the least is first, and rows without a value are last.
    """
    if by == "rank":
        return list(rows)
    cost = {"time": _time_key, "energy": _energy_key}[by]
    places = {key: at for at, key in reversed(list(enumerate(comparable_key(row) for row in rows)))}

    def order(row: Row) -> tuple[object, ...]:
        value = cost(row)
        is_published = row.kind == PUBLISHED  # these keep the order of their file
        place = () if is_published else (places[comparable_key(row)],)
        return (
            *(row.benchmark, row.variant or "", is_published, *place),
            *(() if is_published else (value is None, value or 0.0)),
        )

    return sorted(rows, key=order)


def _measured_table(title: str, rows: Sequence[Row], note: str | None) -> Table:
    return Table(title, MEASURED_COLUMNS, rows, note, tuple(footnotes(rows)))


def footnotes(rows: Iterable[Row]) -> Iterator[str]:
    """Yield what the marks of rows mean."""
    digests = {row.made_by.mark: row.made_by.runner_digest for row in rows if row.made_by.mark}
    if digests:
        shown = ", ".join(
            f"[{mark}] {short_digest(digests[mark])}" for mark in sorted(digests, key=_by_length)
        )
        yield (
            f"The files of the benchmark differ between these runs (digests {shown}): a difference "
            "of scores can come from them."
        )


def _by_length(mark: str) -> tuple[int, str]:
    return len(mark), mark


def short_digest(digest: str | None) -> str:
    """Return the first digits of a digest."""
    return (digest or MISSING).removeprefix("sha256:")[:DIGEST_SHOWN]


def number(value: float | None) -> str:
    """Return a score with four decimals, or with four digits if it is large or below a tenth."""
    if value is None:
        return MISSING
    is_plain = value == 0 or 0.1 <= abs(value) < 1000
    return f"{value:.4f}" if is_plain else f"{value:.4g}"


def deviation(value: float | None) -> str:
    """Return a standard deviation with two digits: from few runs, more digits mean nothing."""
    return MISSING if value is None else f"{value:.2g}"


def seconds(value: float | None) -> str:
    """Return a duration in seconds."""
    return MISSING if value is None else f"{value:,.1f} s"


def samples_per_s(value: float | None) -> str:
    """Return a throughput."""
    return MISSING if value is None else f"{value:,.0f} samples/s"


def energy_text(energy: Energy) -> str:
    """Return the joules of processor and accelerator and how they were measured, or why not."""
    if not energy.is_measured:
        return f"{NOT_MEASURED} ({energy.reason})" if energy.reason else NOT_MEASURED
    devices = {"CPU": energy.cpu_j, "GPU": energy.gpu_j}
    known = [f"{name} {joules:,.0f} J" for name, joules in devices.items() if joules is not None]
    return f"{', '.join(known) or MISSING} ({energy.method})"


def _model(row: Row) -> str:
    size = row.made_by.parameters
    return model_name(row) + (f" ({size:,} parameters)" if size else "")


def model_name(row: Row) -> str:
    """Return the name of the model, its changed settings, and the mark of its code."""
    mark = f" [{row.made_by.mark}]" if row.made_by.mark else ""
    return ", ".join([row.made_by.model, *row.made_by.settings]) + mark


def _rank(row: Row) -> str:
    if row.rank is None:
        return MISSING
    tie = f", {row.tied[0]} to {row.tied[1]} are a tie" if row.tied else ""
    return f"{row.rank} of {row.ranked}{tie}"


def _rank_key(row: Row) -> float | None:
    return row.rank


def _dataset(row: Row) -> str:
    return f"{row.data.dataset} {row.data.version}"


def _manifest(row: Row) -> str:
    return short_digest(row.data.manifest_digest)


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
    return "; ".join(_target(target, row) for target in row.targets) or MISSING


def _target(target: RowTarget, row: Row) -> str:
    text = f"{target.comparison} {target.value:g}"
    if row.data.is_synthetic:
        return f"{text}: not comparable"
    runs = target.reached + target.missed
    text += f": reached by {target.reached} of {runs}"
    text += f" in {seconds(target.seconds)}" if target.seconds is not None else ""
    baselines = target.reached_by_baselines
    return text + (f", by baseline {', '.join(baselines)} too" if baselines else "")


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
    """Return a value without decimals that nobody published; `reported` has it as printed."""
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


def _beats_baseline(row: Row) -> str:
    if row.baseline is None or row.baseline.is_beaten is None:
        return MISSING
    return row.baseline.verdict or ("yes" if row.baseline.is_beaten else "no")


def _interval(row: Row) -> str:
    if row.score is None or row.score.lower is None or row.score.upper is None:
        return MISSING
    return f"{number(row.score.lower)} to {number(row.score.upper)}"


def _time(row: Row) -> str:
    load = row.costs.other_load
    remarks = [
        row.costs.time_remark,
        f"other programs used {100 * load:.0f} % of the computer"
        if load is not None and load >= LOAD_SHOWN
        else None,
    ]
    text = "; ".join(remark for remark in remarks if remark)
    return _with_remark(seconds(row.costs.time_to_train_s), text)


def _time_key(row: Row) -> float | None:
    return row.costs.time_to_train_s


def _speed(row: Row) -> str:
    return _with_remark(samples_per_s(row.costs.train_samples_per_s), row.costs.speed_remark)


def _speed_key(row: Row) -> float | None:
    return row.costs.train_samples_per_s


def _with_remark(text: str, remark: str | None) -> str:
    return f"{text} ({remark})" if remark else text


def _energy(row: Row) -> str:
    """Return the energy; the reason for a missing one is long, so only JSON and CSV have it."""
    if row.costs.energy.is_measured:
        return energy_text(row.costs.energy)
    return MISSING if row.kind == PUBLISHED else NOT_MEASURED


def _energy_key(row: Row) -> float | None:
    known = [
        joules for joules in (row.costs.energy.cpu_j, row.costs.energy.gpu_j) if joules is not None
    ]
    return sum(known) if known else None


def _state(row: Row) -> str:
    return row.state.replace("_", "-")


def _code(row: Row) -> str:
    commit = row.made_by.commit
    text = commit[:SHORT_ID] if commit else MISSING
    if row.made_by.registry:
        return f"{text}, runner of {row.made_by.registry}"
    return f"{text}, changed" if row.made_by.is_dirty else text


def _system(row: Row) -> str:
    return row.made_by.system or MISSING


def _submitter(row: Row) -> str:
    return row.made_by.submitter or MISSING


def _remarks(row: Row) -> str:
    return "; ".join(row.remarks) or MISSING


def _run_ids(row: Row) -> str:
    return " ".join(run_id[:SHORT_ID] for run_id in row.made_by.run_ids) or MISSING


def _published_data(row: Row) -> str:
    nearest = row.data.split and f"nearest to our split {row.data.split}"
    ours = ", ".join(filter(None, [row.data.dataset, nearest]))
    return f"{row.data.words}" + (f" ({ours})" if ours else "")


def _reported(row: Row) -> str:
    return row.published.reported if row.published else MISSING


def _why_not_ranked(row: Row) -> str:
    return row.published.not_comparable if row.published else MISSING


def _source(row: Row) -> str:
    if row.published is None:
        return MISSING
    return f"{row.published.source} {row.published.url or ''}".rstrip()


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
    Column("95 % interval", _interval),
    Column("Best baseline", _baseline, _baseline_key),
    Column("Beats it", _beats_baseline),
    Column("Target", _targets),
    Column("Time to train", _time, _time_key),
    Column("Training speed", _speed, _speed_key),
    Column("Energy", _energy, _energy_key),
    Column("State", _state),
    Column("System", _system),
    Column("Code", _code),
    Column("Submitter", _submitter),
    Column("Remarks", _remarks),
    Column("Runs", _run_ids, links="runs"),
)
PUBLISHED_COLUMNS = (
    Column("Model", _model),
    Column("Measure", _measure),
    Column("Value", _published_score, _score_key),
    Column("N", _runs, _runs_key),
    Column("Reported", _reported),
    Column("Data", _published_data),
    Column("Why it has no rank", _why_not_ranked),
    Column("Time", _time, _time_key),
    Column("Training speed", _speed, _speed_key),
    Column("Energy", _energy, _energy_key),
    Column("System", _system),
    Column("State", _state),
    Column("Source", _source, links="source"),
)
