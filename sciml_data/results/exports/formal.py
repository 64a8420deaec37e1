"""Write a benchmark in the formal model of the MLCommons Science working group, as Markdown.

The model has seven parts, B = (I, D, T or W, M, C, R, V): infrastructure, dataset, task or
workflow, metrics, constraints, results and version. All of them are stated elsewhere (task.toml,
descriptors, stored splits, published records); this page arranges them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sciml_data import __version__
from sciml_data.bench.monitoring.machine import runner_digest
from sciml_data.bench.scoring.metrics import Metric, row_key
from sciml_data.bench.task.split import load_split, split_names
from sciml_data.metadata.facts import Facts, facts_of
from sciml_data.results.exports.croissant_task import CONSTRAINTS
from sciml_data.results.exports.request import BenchmarkRequest
from sciml_data.results.rating.questions import Subject

HEADINGS = (
    "Infrastructure (I)", "Dataset (D)", "Task and workflow (T, W)", "Metrics (M)",
    "Constraints (C)", "Results (R)", "Version (V)",
)  # fmt: skip
NOT_STATED = "not stated"
NOT_MEASURED = "not measured"
WORKFLOW = (
    ("get", "fetches the files and compares each with its hash"),
    ("convert", "makes NetCDF files, with the same bytes each time"),
    ("run", "computes baselines, trains, chooses the epoch by validation, predicts and scores"),
    ("show", "prints scores beside baselines"),
    ("rescore", "computes the scores again from the stored predictions"),
)

Rows = Iterable[Sequence[Any]]


def export_benchmark(request: BenchmarkRequest) -> str:
    """Return the page of a benchmark in seven sections."""
    subject = Subject(request.task, request.registry)
    datasets = tuple(map(facts_of, subject.descriptors))
    parts = (
        _infrastructure(subject),
        _dataset(subject, datasets),
        _task(subject),
        _metrics(subject),
        _constraints(subject),
        _results(subject),
        _version(subject, datasets),
    )
    lines = [
        f"# {request.task.title}",
        "",
        f"The benchmark `{request.task.name}` as B = (I, D, T or "
        "W, M, C, R, V), the formal model of the MLCommons Science working group.",
        "",
    ]
    for heading, part in zip(HEADINGS, parts, strict=True):
        lines += [f"## {heading}", "", *part, ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _infrastructure(subject: Subject) -> Iterator[str]:
    yield (
        "One process on a processor or a GPU, several devices, or several nodes under Slurm, with "
        "TensorFlow; JAX on one device is experimental. Software is a wheel with extras, or a "
        "container (docs/how-to/install.md)."
    )
    yield ""
    blocks = subject.about.get("system", ())
    if not blocks:
        yield f"Memory, disk and hours of a run: {NOT_STATED}."
        return
    columns = ("data", "memory, GiB", "disk, GiB", "hours", "accelerator", "how that is known")
    yield from _table(
        columns,
        (
            (
                f"{block['tier']}: {block['data']}",
                block.get("memory_gib", NOT_MEASURED),
                block.get("disk_gib", NOT_MEASURED),
                block.get("hours", NOT_MEASURED),
                block.get("accelerator", NOT_STATED),
                block["basis"],
            )
            for block in blocks
        ),
    )


def _dataset(subject: Subject, datasets: Sequence[Facts]) -> Iterator[str]:
    columns = ("dataset", "what", "size", "licence", "place, time, instrument", "manifest")
    yield from _table(
        columns,
        (
            (
                f"`{facts.dataset}` {facts.version}",
                facts.title,
                facts.size_sentence,
                ", ".join(licence.label for licence in facts.licences),
                _coverage(facts),
                f"`sha256:{facts.manifest_digest}`" if facts.manifest_digest else "not pinned",
            )
            for facts in datasets
        ),
    )
    yield ""
    yield from _table(
        ("split", "parts", "how members were assigned", "digest"),
        (
            (f"`{split.name}`", ", ".join(split.members), split.strategy, f"`{split.digest}`")
            for split in (load_split(subject.runner, name) for name in split_names(subject.runner))
        ),
    )


def _coverage(facts: Facts) -> str:
    coverage = facts.coverage
    known = [
        coverage.place or "",
        (coverage.interval or "").replace("/", " to ").replace("..", "now"),
        *(instrument.label for instrument in coverage.instruments),
    ]
    return "; ".join(filter(None, known)) or "does not apply"


def _task(subject: Subject) -> Iterator[str]:
    task, output = subject.task, subject.about.get("output")
    yield task.description or NOT_STATED
    for key in ("background", "motivation"):
        if text := subject.catalogue.get(key):
            yield ""
            yield f"**{key.capitalize()}.** {text}"
    yield ""
    yield from _table(
        ("input", "meaning", "unit"),
        (
            (f"`{block['name']}`", block["meaning"], block.get("unit", "none"))
            for block in subject.about.get("input", ())
        ),
    )
    if output:
        yield ""
        axes = ", ".join(f"`{axis}` ({meaning})" for axis, meaning in output["axes"].items())
        yield f"**Output.** {output['meaning']}; unit: {output['unit']}; axes: {axes}."
    if task.variants:
        yield ""
        names = (f"`{name}`: {item.title or task.title}" for name, item in task.variants.items())
        yield f"**Variants.** {'; '.join(names)}."
    yield ""
    yield f"**Reference solutions.** {', '.join(f'`{model}`' for model in task.models)}."
    yield ""
    yield "**Workflow.**"
    yield ""
    yield from (f"1. `sciml-data {verb}` {what}." for verb, what in WORKFLOW)


def _metrics(subject: Subject) -> Iterator[str]:
    headline = subject.task.headline_metric
    yield from _table(
        ("metric", "name", "direction", "bounds", "unit", "version", "formula"),
        (
            (
                f"`{metric.id}`",
                metric.name,
                "lower is better" if metric.lower_is_better else "higher is better",
                _bounds(metric),
                metric.unit,
                metric.version,
                metric.formula,
            )
            for metric in subject.task.metrics
        ),
    )
    yield ""
    yield f"Runs are ranked by `{headline}`." if headline else "No metric ranks runs."
    if reason := subject.catalogue.get("goal_reason"):
        goal = subject.catalogue.get("goal", "unknown")
        words = {"full": "capture the goal", "part": "capture the goal in part"}
        yield ""
        yield f"The metrics {words.get(goal, 'may or may not capture the goal')}: {reason}."


def _bounds(metric: Metric) -> str:
    low, high = metric.minimum, metric.maximum
    return f"{'none' if low is None else f'{low:g}'} to {'none' if high is None else f'{high:g}'}"


def _constraints(subject: Subject) -> Iterator[str]:
    yield CONSTRAINTS
    yield ""
    targets = subject.task.targets
    if not targets:
        yield "No value has to be reached: no target is published."
        return
    yield "Published values to compare with:"
    yield ""
    yield from _table(
        ("metric", "part", "split", "value", "source"),
        (
            (
                f"`{target.metric}`",
                target.part,
                target.split or "every",
                f"{'at least' if target.comparison == '>=' else 'at most'} {target.value:g}",
                target.source,
            )
            for target in targets
        ),
    )


def _results(subject: Subject) -> Iterator[str]:
    rows = [
        row
        for path, record in subject.records.items()
        if (row := _result(path, record)) is not None
    ]
    if not rows:
        yield "No record of a run on real data is published with this registry."
        return
    columns = ("record", "model", "data", "split", "seed", "metric", "part", "score", "interval")
    yield from _table(columns, rows)


def _result(path: str, record: Mapping[str, Any]) -> Sequence[Any] | None:
    """Return the headline score of a record on the test part; None if it has none."""
    headline = record["benchmark"]["headline_metric"]
    found = [row for row in record["metrics"] if row_key(row) == headline]
    scored = [row for row in found if row["score"] is not None]
    row = next((row for row in scored if row["part"] == "test"), scored[-1] if scored else None)
    if row is None:
        return None
    interval = row.get("interval")
    ends = f"{interval['lower']:.4g} to {interval['upper']:.4g}" if interval else "none"
    return (
        f"`{path}`",
        record["model"]["name"],
        f"{record['dataset']['id']} {record['dataset']['version']}",
        record["split"]["name"],
        record["seeds"]["seed"],
        f"`{headline}`",
        row["part"],
        f"{row['score']:.4g}",
        ends,
    )


def _version(subject: Subject, datasets: Sequence[Facts]) -> Iterator[str]:
    yield from _table(
        ("part", "version"),
        (
            ("software", f"sciml-data {__version__}"),
            ("code, task and splits", f"`{runner_digest(subject.runner)}`"),
            *((f"`{facts.dataset}`", facts.version) for facts in datasets),
        ),
    )
    yield ""
    yield (
        "A version of a dataset never changes: other files are another version. A metric whose "
        "formula changes has another version, and scores of two versions are not compared."
    )


def _table(columns: Sequence[str], rows: Rows) -> Iterator[str]:
    """Yield the lines of a Markdown table."""
    yield _row(columns)
    yield _row(["---"] * len(columns))
    yield from (_row(row) for row in rows)


def _row(cells: Sequence[Any]) -> str:
    texts = (str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells)
    return f"| {' | '.join(texts)} |"
