"""The tables and numbers of a page, as Markdown made from result sets.

A table is described in TOML:

    sets = ["uno/auc-row"]              # or {LABEL = "uno/auc-row", ...}: labels of the columns
    parts = ["test", "validation"]      # default: test
    metrics = ["mse", "r2", "nnse.*"]   # `.*` is every variant of a metric; default: all metrics
    kind = "scores"                     # a row for each metric, a column for each model
    kind = "comparison"                 # a row for each score beside the best baseline
    rows = [{set = "...", part = "...", metric = "...", OTHER = "text of a column"}]
                                        # against = "SET" compares with that model instead
    baselines = ["ridge"]               # default: all
    published = true                    # beside scores: figures of the runner's published.toml
    labels = {mse = "squared error"}    # of metrics, parts and baselines
    trivial = {false_negative = ["all_cloud"]}   # baselines that reach a metric without skill
    digits = 3                          # digits of each number

    script = "cloudmask/transfer"       # instead of all others: the table that a script measured

The label of `brier.night` is that of the whole name, or of `brier` and of `night`, or of `night`.
A trivial baseline is printed, but neither marked as best nor compared with.

Below each table are commit, date, data, versions and command of its runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sciml_data.bench.record.record import SHORT_DIGEST, SHORT_ID, budget_remark
from sciml_data.bench.record.report import SYNTHETIC
from sciml_data.bench.scoring.metrics import MISSING
from sciml_data.bench.task.task import load_task
from sciml_data.errors import CallError, nearest
from sciml_data.progress import counted
from sciml_data.registry.layout import find_registry
from sciml_data.results.board.published import load_published
from sciml_data.results.board.render import markdown_table
from sciml_data.results.board.summary import MetricSummary
from sciml_data.results.pages.evidence import Evidence, find_evidence
from sciml_data.results.pages.script_tables import load_script_table, script_origin
from sciml_data.results.pages.stored import ResultSet, load_result_set
from sciml_data.results.submission.files import data_commands, run_command


@dataclass(frozen=True)
class Lookup:
    """Loads what is stored in a folder of results, each set once."""

    results: Path
    loaded: dict[str, ResultSet] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        """Return whether a result set or a table of a script is stored."""
        return (self.results / name).is_dir()

    def has(self, name: str, part: str, key: str) -> bool:
        """Return whether a result set has a metric of a part.

        A variant can be missing because the part has no such sample, as a scene in twilight. For a
        metric that the benchmark does not define, the answer is True, so that reading it fails.
        """
        if not name or name not in self or part not in self(name).parts:
            return False
        defined = {block["metric_id"] for block in self(name).records[0]["metric_definitions"]}
        return (part, key) in self(name).metrics or key.partition(".")[0] not in defined

    def __call__(self, name: str) -> ResultSet:
        """Return a result set by its name; see `load_result_set` for the errors."""
        if name not in self.loaded:
            self.loaded[name] = load_result_set(self.results, name)
        return self.loaded[name]


NOT_MEASURED = "not measured"
SCORES, COMPARISON = "scores", "comparison"
INTERVAL, SEEDS = "95 % interval", "seeds, least to most"
VERDICT = "than the best baseline"
OTHER, DIFFERENCE, OUTCOME = "compared with", "difference, 95 % interval", "result"
PLACE = ("set", "part", "metric", "against")  # of a row; its other keys are columns of text
MAX_DECIMALS = 8
# Libraries that change numbers; a record lists more.
LIBRARIES = ("tensorflow", "jax", "torch", "keras", "numpy", "scikit-learn", "lightgbm")


@dataclass(frozen=True)
class PageWords:
    """What holds for all tables of a page: names, and trivial baselines by metric."""

    labels: Mapping[str, str] = field(default_factory=dict)
    trivial: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class TableRequest:
    """The description of a table; the fields are explained at the top of this module."""

    sets: Mapping[str, str] = field(default_factory=dict)
    script: str | None = None
    parts: tuple[str, ...] = ("test",)
    metrics: tuple[str, ...] = ("*",)
    kind: str = SCORES
    rows: tuple[Mapping[str, str], ...] = ()
    baselines: tuple[str, ...] | None = None
    published: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    trivial: Mapping[str, Sequence[str]] = field(default_factory=dict)
    digits: int = 3

    @classmethod
    def of(cls, document: Mapping[str, Any], words: PageWords) -> TableRequest:
        """Return the request that a page describes.

        Args:
            document: keys of the table.
            words: of the whole page; those of the table come first.

        Raises:
            CallError: a key or kind does not exist.
        """
        for key in document:
            if key not in cls.__dataclass_fields__:
                known = cls.__dataclass_fields__
                raise CallError(f"a table has no key {key!r}{nearest(key, known)}")
        if (kind := document.get("kind", SCORES)) not in {SCORES, COMPARISON}:
            raise CallError(f"no kind of table {kind!r}: {SCORES} or {COMPARISON}")
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in document.items()
        }
        sets = document.get("sets", {})
        values["sets"] = sets if isinstance(sets, Mapping) else {name: name for name in sets}
        for key in ("labels", "trivial"):
            values[key] = {**getattr(words, key), **document.get(key, {})}
        return cls(**values)

    def rivals(self, key: str, known: Iterable[str]) -> list[str]:
        """Return the baselines that a model is compared with in a metric, of those with a score."""
        trivial = trivial_baselines(self.trivial, key)
        return [name for name in known if name in (self.baselines or known) and name not in trivial]


def trivial_baselines(trivial: Mapping[str, Sequence[str]], key: str) -> Sequence[str]:
    """Return the trivial baselines of a metric key: of the key itself, or of its metric."""
    return trivial.get(key) or trivial.get(key.partition(".")[0]) or ()


def table_text(request: TableRequest, lookup: Lookup) -> str:
    """Return a table as Markdown, followed by where its numbers come from.

    Args:
        request: what to print.
        lookup: returns a result set by its name.

    Raises:
        CallError: a part, metric or baseline does not exist. A result set that does not exist is
            not an error: the text says that it was not measured.
    """
    if request.script is not None:
        return _script_table(request, request.script, lookup)
    sets = {label: lookup(name) for label, name in request.sets.items() if name in lookup}
    missing = [f"`{name}`" for name in request.sets.values() if name not in lookup]
    missing += [
        f"part {part} of `{stored.name}`"
        for stored in sets.values()
        for part in request.parts
        if part not in stored.parts
    ]
    if request.sets and not any(set(request.parts) & set(each.parts) for each in sets.values()):
        return f"Not measured: {', '.join(missing)}."
    if request.kind == COMPARISON:
        rows, sets = _comparison(request, sets, lookup)
    else:
        rows = _scores(request, sets)
    known = {stored.name: stored for stored in sets.values()}.values()
    is_synthetic = any(stored.summary.first["synthetic"] for stored in known)
    marks = [f"**{SYNTHETIC}.**"] if is_synthetic else []
    ends = [f"Not measured: {', '.join(missing)}."] if missing else []
    table = markdown_table(rows[0], rows[1:])
    return "\n\n".join([*marks, table, *ends, *map(origin, known)])


def origin(stored: ResultSet) -> str:
    """Return a line with commit, date, data, versions and command of the runs of a result set."""
    first, data = stored.summary.first, stored.summary.first["dataset"]
    commits = {str(record["code"]["commit"])[:SHORT_ID] for record in stored.records}
    days = {record["timing"]["start_time"][:10] for record in stored.records}
    ready = f", ready {data['ready_digest'][:SHORT_DIGEST]}" if data["ready_digest"] else ""
    duration, device = stored.summary.time_to_train.median, _device(first)
    versions = _versions(first["software"])
    commands = [run_command(stored.records)]
    if data["sample_seed"] is not None:
        commands.insert(0, data_commands(first)[0])
    changed = " with uncommitted changes" if first["code"]["is_dirty"] else ""
    facts = [
        counted(len(stored.records), "run"),
        f"commit {', '.join(sorted(commits))}{changed}",
        *[remark for record in stored.records[:1] if (remark := budget_remark(record))],
        *([f"{duration:,.0f} s to train on {device}"] if duration is not None else []),
        ", ".join(sorted(days)),
        f"data {data['id']} {data['version']} {data['manifest_digest'][:SHORT_DIGEST]}{ready}",
        ", ".join([f"Python {first['software']['python_version']}", *versions]),
        *_resampled(first),
    ]
    lines = "".join(f"<br>`{command}`" for command in commands)
    return f"<sub>Runs `{stored.name}`: {'; '.join(facts)}.{lines}</sub>"


def _device(record: Mapping[str, Any]) -> str:
    hardware = record["hardware"]
    if hardware["accelerators_per_node"]:
        return str(hardware["accelerator_model_name"])
    cores = hardware["intra_op_threads"] or hardware["host_processor_available_cores"]
    return f"{cores} core{'s' if cores != 1 else ''}"


def _resampled(record: Mapping[str, Any]) -> list[str]:
    """Return what the intervals of each part resample, or why a part has none."""
    return [
        f"no interval of {part}: {sampling['reason']}"
        if sampling["reason"]
        else f"95 % intervals of {part} by "
        + " and ".join(f"{count:,} x {kind}" for kind, count in sampling["units"].items())
        for part, sampling in record.get("resampling", {}).get("parts", {}).items()
    ]


def _versions(software: Mapping[str, Any]) -> list[str]:
    known = software["libraries"]
    return [f"{name} {known[name]}" for name in LIBRARIES if known.get(name)]


def _script_table(request: TableRequest, name: str, lookup: Lookup) -> str:
    if name not in lookup:
        return f"Not measured: `{name}`."
    document = load_script_table(lookup.results, name)
    labels, digits = request.labels, request.digits
    rows = [
        [labels.get(cell, cell) if isinstance(cell, str) else _plain(cell, digits) for cell in row]
        for row in document["rows"]
    ]
    head = [labels.get(name, name) for name in document["columns"]]
    origin_line = script_origin(name, document, _versions(document["software"]))
    return f"{markdown_table(head, rows)}\n\n{origin_line}"


def _plain(value: object, digits: int) -> str:
    return (
        number(value, digits)
        if isinstance(value, float)
        else MISSING
        if value is None
        else f"{value:,}"
    )


def number(value: float | None, digits: int) -> str:
    """Return a number with as many decimals, and small numbers with as many digits.

    Trailing zeros stay, and no number is written with an exponent, so columns can be compared.
    """
    if value is None:
        return MISSING
    decimals = digits
    while decimals < MAX_DECIMALS and value and abs(value) < 10.0 ** (digits - decimals - 1):
        decimals += 1
    return f"{value:,.{decimals}f}"


# Scores: a row for each metric, a column for each model and baseline


def _scores(request: TableRequest, sets: Mapping[str, ResultSet]) -> list[list[str]]:
    """Return the rows, head first; a single model has its interval, seeds and verdict, too."""
    keys = {key: None for stored in sets.values() for key in _keys(request, stored)}
    baselines = _baselines(request, sets.values(), keys)
    (first, *others) = sets.values()
    figures = _published(first) if request.published else {}
    models = [_model(*item, is_single=not others) for item in sets.items()]
    names = [*(_label(request, name) for name in baselines), *figures]
    head = ["", *models, *([] if others else [INTERVAL, SEEDS]), *names]
    rows = [[*head, *([] if others else [VERDICT])]]
    for part, key in keys:
        found = [stored.metrics.get((part, key)) for stored in sets.values()]
        cells = _marked(found, baselines, request, key)
        evidence = None if others else evidence_of(request, first, part, key)
        if evidence:
            ends = [_interval(evidence, request.digits), _range(evidence.metric, request.digits)]
            cells[1:1] = ends
        cells += [str(scores.get((part, key), MISSING)) for scores in figures.values()]
        if evidence:  # a row that has the same value throughout is a fact of the part, no score
            cells.append(MISSING if _is_constant(found, baselines) else evidence.verdict)
        rows.append([_label(request, key), *cells])
        if len(request.parts) > 1:
            rows[-1][0] = f"{_label(request, part)}: {rows[-1][0]}"
    return _without_empty(rows)


def _published(stored: ResultSet) -> dict[str, dict[tuple[str, str], float]]:
    """Return the published scores on the split of a result set: heading -> part and metric."""
    first = stored.summary.first
    task = load_task(find_registry(None).runner(first["benchmark"]["name"]))
    figures: dict[str, dict[tuple[str, str], float]] = {}
    for figure in load_published(task).get("figure", []):
        if figure.get("split") == first["split"]["name"] and {"metric", "value"} <= set(figure):
            place = (figure["part"], figure["metric"])
            figures.setdefault(f"published {figure['model']}", {})[place] = figure["value"]
    return figures


def _keys(request: TableRequest, stored: ResultSet) -> list[tuple[str, str]]:
    """Return the parts and metrics of a result set that a request names, in its order.

    A part that was not scored is left out.

    Raises:
        CallError: the part has no such metric.
    """
    chosen = []
    for part in (part for part in request.parts if part in stored.parts):
        for pattern in request.metrics:
            found = [
                (row_part, key)
                for row_part, key in stored.metrics
                if row_part == part and _fits(key, pattern)
            ]
            if not found:
                known = ", ".join(dict.fromkeys(key for _, key in stored.metrics))
                raise CallError(
                    f"{stored.name} has no metric {pattern!r} of part {part!r}; it has {known:.400}"
                )
            chosen += found
    return list(dict.fromkeys(chosen))


def _fits(key: str, pattern: str) -> bool:
    if pattern == "*":
        return True
    return key == pattern or (pattern.endswith(".*") and key.startswith(pattern[:-1]))


def _baselines(
    request: TableRequest, sets: Iterable[ResultSet], keys: Iterable[tuple[str, str]]
) -> list[str]:
    known = dict.fromkeys(
        name
        for stored in sets
        for key in keys
        if (row := stored.metrics.get(key))
        for name in row.baselines
    )
    for name in request.baselines or ():
        if name not in known:
            raise CallError(f"no baseline {name!r}{nearest(name, known)}")
    return list(known if request.baselines is None else request.baselines)


def evidence_of(request: TableRequest, stored: ResultSet, part: str, key: str) -> Evidence:
    """Return what a result set shows beside the baselines that are not trivial."""
    metric = stored.metrics.get((part, key))
    names = request.rivals(key, metric.baselines) if metric else None
    return find_evidence(stored, part, key, baselines=names)


def _values(
    metrics: Sequence[MetricSummary | None], baselines: Sequence[str]
) -> list[float | None]:
    """Return the scores of models and baselines."""
    values = [metric.spread.median if metric else None for metric in metrics]
    for name in baselines:
        scores = (metric.baselines.get(name) for metric in metrics if metric is not None)
        values.append(next((score for score in scores if score is not None), None))
    return values


def _is_constant(metrics: Sequence[MetricSummary | None], baselines: Sequence[str]) -> bool:
    """Return whether all of at least three scores are equal: the metric tells no models apart."""
    known = [value for value in _values(metrics, baselines) if value is not None]
    return len(known) > 2 and len(set(known)) == 1


def _marked(
    metrics: Sequence[MetricSummary | None],
    baselines: Sequence[str],
    request: TableRequest,
    key: str,
) -> list[str]:
    """Return the scores of models and baselines, the best of those that are not trivial in bold."""
    values, digits = _values(metrics, baselines), request.digits
    trivial = trivial_baselines(request.trivial, key)
    names = [*[""] * len(metrics), *baselines]
    counted = [
        value
        for name, value in zip(names, values, strict=True)
        if value is not None and name not in trivial
    ]
    is_lower_better = next(metric.lower_is_better for metric in metrics if metric is not None)
    best = (min if is_lower_better else max)(counted, default=None)
    if _is_constant(metrics, baselines):
        best = None
    return [
        f"**{number(value, digits)}**"
        if value is not None and value == best and name not in trivial
        else number(value, digits)
        for name, value in zip(names, values, strict=True)
    ]


def _without_empty(rows: list[list[str]]) -> list[list[str]]:
    """Return rows without the columns of intervals and seeds in which no row has a value."""
    optional = {INTERVAL, SEEDS, DIFFERENCE}
    kept = [
        at
        for at, name in enumerate(rows[0])
        if name not in optional or any(row[at] not in {MISSING, ""} for row in rows[1:])
    ]
    return [[row[at] for at in kept] for row in rows]


# Comparisons: a row for each score of a model beside the best baseline


def _comparison(
    request: TableRequest, sets: Mapping[str, ResultSet], lookup: Lookup
) -> tuple[list[list[str]], dict[str, ResultSet]]:
    """Return the rows, head first, and the result sets that they are of."""
    requests = request.rows or tuple(
        {"model": _model(label, stored, is_single=False), "set": stored.name}
        | {"part": part, "metric": key}
        for label, stored in sets.items()
        for part, key in _keys(request, stored)
    )
    texts = list(dict.fromkeys(key for row in requests for key in row if key not in PLACE))
    heads = ["part", "metric"] if not request.rows else []
    rows = [[*texts, *heads, "score", INTERVAL, SEEDS, OTHER, DIFFERENCE, OUTCOME]]
    used: dict[str, ResultSet] = {}
    for row in requests:
        words = [row.get(key, "") for key in texts]
        words += [_label(request, row["part"]), _label(request, row["metric"])] if heads else []
        place = (row.get("part", ""), row.get("metric", ""))
        if not all(lookup.has(row.get(key, ""), *place) for key in _sets_of(row)):
            rows.append([*words, NOT_MEASURED, *[""] * 5])
            continue
        used |= {row[key]: lookup(row[key]) for key in _sets_of(row)}
        stored, against = used[row["set"]], used[row["against"]] if "against" in row else None
        found = (
            find_evidence(stored, *place, against=against)
            if against
            else evidence_of(request, stored, *place)
        )
        rows.append([*words, *_compared(found, request)])
    return _without_empty(rows), used


def _sets_of(row: Mapping[str, str]) -> list[str]:
    return ["set", "against"] if "against" in row else ["set"]


def _compared(evidence: Evidence, request: TableRequest) -> list[str]:
    other, digits = evidence.other, request.digits
    ends = evidence.difference
    return [
        number(evidence.metric.spread.median, digits),
        _interval(evidence, digits),
        _range(evidence.metric, digits),
        f"{_label(request, other[0])} {number(other[1], digits)}" if other else MISSING,
        f"{signed(ends[0], digits)} ({signed(ends[1], digits)} to {signed(ends[2], digits)})"
        if ends
        else MISSING,
        evidence.verdict,
    ]


def _interval(evidence: Evidence, digits: int) -> str:
    ends = evidence.interval
    return f"{number(ends[0], digits)} to {number(ends[1], digits)}" if ends else MISSING


def signed(value: float, digits: int) -> str:
    """Return a difference with its sign."""
    return f"{'+' if value > 0 else ''}{number(value, digits)}"


def _range(metric: MetricSummary, digits: int) -> str:
    spread = metric.spread
    if spread.runs < 2:
        return MISSING
    return f"{number(spread.minimum, digits)} to {number(spread.maximum, digits)}"


def _label(request: TableRequest, name: str) -> str:
    """Return the label of a metric, part or baseline, as the top of this module describes it."""
    labels, (metric, _, variant) = request.labels, name.rpartition(".")
    both = metric in labels and variant in labels
    return labels.get(name) or (
        f"{labels[metric]}, {labels[variant]}" if both else labels.get(variant, name)
    )


def _model(label: str, stored: ResultSet, *, is_single: bool) -> str:
    """Return the heading of a model: its label, or its name in the record."""
    if is_single and label == stored.name:
        return str(stored.summary.first["model"]["name"])
    return label
