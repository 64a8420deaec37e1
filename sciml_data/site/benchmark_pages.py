"""The page of a benchmark: task, board, runs, curves, splits, metrics, targets, README."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from sciml_data.bench.scoring.metrics import Metric
from sciml_data.bench.task.split import load_split, split_names
from sciml_data.bench.task.task import Target, Task, datasets_of
from sciml_data.errors import CallError
from sciml_data.metadata.addresses import registry_identity, source_address
from sciml_data.metadata.landing import card_html
from sciml_data.results.board import board_rows, published_rows, to_html
from sciml_data.results.exports import BenchmarkRequest, export_benchmark
from sciml_data.site.charts import Chart, comparison_chart, monitored_name
from sciml_data.site.content import Content, Run
from sciml_data.site.frame import (
    HOME_PATH,
    INDEX,
    Page,
    benchmark_path,
    dataset_path,
    relative_link,
    run_path,
)
from sciml_data.site.pictures import Picture
from sciml_data.site.record_tables import headline_row, run_table
from sciml_data.site.tables import Cell, Column, Columns, Rows, Table, format_score, make_table

README = "README.md"
# Form of the export -> name of its file beside a benchmark's page.
BENCHMARK_FILES = {
    "croissant-task": "croissant-task.json",
    "catalogue": "catalogue.yaml",
    "formal": "formal.md",
}
FORMAL_NAME = "formal.html"  # page of the formal model, beside that of the benchmark
Record = Mapping[str, Any]


@dataclass(frozen=True)
class ComparableRuns:
    """Runs that can be compared: same data, split and variant, all real or all synthetic."""

    title: str
    is_synthetic: bool
    chart: Chart | None
    baselines: Table | None


def benchmark_page(task: Task, content: Content, drawn: tuple[Picture, str] | None = None) -> Page:
    """Return the page of a benchmark.

    Args:
        task: the benchmark.
        content: everything else that has a page.
        drawn: overview of its first dataset and the picture's path in the site, or None.
    """
    path, runs = benchmark_path(task.name), content.runs_of(task.name)
    board, refusal = board_html(task, content)
    return Page(
        path=path,
        title=task.title,
        template="benchmark.html",
        description=task.description or f"{task.title}: splits, metrics, targets, runs.",
        trail=(("Benchmarks", f"{HOME_PATH}#benchmarks"), (task.name, "")),
        values={
            "task": task,
            "picture": drawn[0] if drawn else None,
            "picture_path": drawn[1] if drawn else "",
            "exports": BENCHMARK_FILES,
            "formal": FORMAL_NAME,
            "board": board,
            "refusal": refusal,
            "contents": _contents(has_runs=bool(runs)),
            "datasets": _dataset_links(task, content),
            "about": task.about,
            "needs": needs_table(task) if "system" in task.about else None,
            "splits": splits_table(task),
            "metrics": metrics_table(task.metrics),
            "targets": targets_table(task.targets) if task.targets else None,
            "variants": variants_table(task) if task.variants else None,
            "groups": list(comparable_runs(runs)),
            "runs": run_table(f"All runs of {task.name}", runs, path) if runs else None,
            "readme": _readme(task),
        },
    )


def files_beside(task: Task, content: Content) -> dict[str, bytes]:
    """Return the files beside a benchmark's page, by path in the site.

    They are its exports and its stored splits, to which addresses in the exports lead.
    """
    folder = benchmark_path(task.name).removesuffix(INDEX)
    request = BenchmarkRequest(task, content.registry)
    texts = {BENCHMARK_FILES[form]: export_benchmark(form, request) for form in BENCHMARK_FILES}
    files = {f"{folder}{name}": text.encode("utf-8") for name, text in texts.items()}
    for name in split_names(task.folder):
        path = task.folder / "splits" / f"{name}.json"
        files[f"{folder}splits/{path.name}"] = path.read_bytes()
    return files


def formal_page(task: Task, content: Content) -> Page:
    """Return the page of a benchmark in the seven headings of the working group's model."""
    text = export_benchmark("formal", BenchmarkRequest(task, content.registry))
    text = text.replace("\n## ", "\n# ")  # a card's headings move one level down
    path = benchmark_path(task.name)
    identity = registry_identity(task.folder.parents[1])
    return Page(
        path=path.removesuffix(INDEX) + FORMAL_NAME,
        title=f"{task.title}: formal model",
        template="formal.html",
        description=f"{task.title}: infrastructure, dataset, task, metrics, constraints, results "
        "and version.",
        trail=(
            ("Benchmarks", f"{HOME_PATH}#benchmarks"), (task.name, path), ("formal model", ""),
        ),
        values={"body": card_html(text, source_address(identity, f"runners/{task.name}/"))},
    )  # fmt: skip


def board_html(task: Task, content: Content) -> tuple[Markup, CallError | None]:
    """Return the board of a benchmark's runs and published scores, or why there is no board."""
    page, runs = benchmark_path(task.name), content.runs_of(task.name)
    addresses = {run.id: relative_link(page, run_path(run.id)) for run in runs}
    submitters = {run.id: run.organisation for run in runs if run.organisation}
    published = published_rows(content.registry, [task.name])
    try:
        rows = board_rows([run.record for run in runs], published, submitters=submitters)
    except CallError as error:
        return Markup(), error
    html = to_html(rows, run_address=addresses.get, heading="Board")
    return Markup(html), None  # noqa: S704 - the board's own template escapes all texts


def splits_table(task: Task) -> Table:
    """Return the stored splits."""
    rows: Rows = []
    for name in split_names(task.folder):
        split = load_split(task.folder, name)
        is_headline = name == task.headline_split
        rows.append(
            [
                f"{name} (headline)" if is_headline else name,
                ", ".join(split.members),
                split.strategy,
                Cell(split.digest, mark="hash"),
            ]
        )
    columns = ["split", "parts", "how members were assigned", "digest"]
    return make_table("Stored splits", columns, rows)


def needs_table(task: Task) -> Table:
    """Return what a run needs by size of the data; numbers that nobody measured are said so."""
    fields = ("memory_gib", "disk_gib", "hours")
    rows: Rows = [
        [
            f"{block['tier']}: {block['data']}",
            *(
                Cell(f"{block[name]:g}", block[name]) if name in block else "not measured"
                for name in fields
            ),
            block.get("accelerator", "not stated"),
            block["basis"],
        ]
        for block in task.about["system"]
    ]
    columns: Columns = [
        "data", *(Column(name, is_number=True) for name in ("memory, GiB", "disk, GiB", "hours")),
        "accelerator", "how that is known",
    ]  # fmt: skip
    return make_table("Memory, disk and time of a run", columns, rows)


def metrics_table(metrics: Sequence[Metric]) -> Table:
    """Return the metrics with their direction, bounds, unit and formula."""
    rows = [
        [
            metric.id,
            metric.name,
            "lower is better" if metric.lower_is_better else "higher is better",
            _bounds(metric),
            metric.unit,
            metric.version,
            metric.formula,
        ]
        for metric in metrics
    ]
    columns = ["metric", "name", "direction", "bounds", "unit", "version", "formula"]
    return make_table("How scores are computed", columns, rows)


def targets_table(targets: Sequence[Target]) -> Table:
    """Return the published values."""
    rows: Rows = [
        [
            target.metric,
            target.part,
            target.split or "every",
            Cell(f"{target.comparison} {target.value:g}", target.value),
            target.source,
        ]
        for target in targets
    ]
    columns: Columns = ["metric", "part", "split", Column("target", is_number=True), "source"]
    return make_table("Values that others published", columns, rows)


def variants_table(task: Task) -> Table:
    """Return the variants of a benchmark, each a task of its own."""
    rows = [
        [
            f"{name} (default)" if name == task.default_variant else name,
            variant.title or task.title,
            ", ".join(variant.datasets),
            variant.headline_split or task.headline_split,
            variant.headline_metric or task.headline_metric or "none named",
        ]
        for name, variant in task.variants.items()
    ]
    columns = ["variant", "title", "datasets", "headline split", "headline metric"]
    return make_table("Tasks under this benchmark", columns, rows)


def comparable_runs(runs: Sequence[Run]) -> Iterator[ComparableRuns]:
    """Yield groups of comparable runs, real data first: curves, and the baselines' scores."""
    groups: dict[tuple[bool, str], list[Run]] = {}
    for run in runs:
        if run.record["status"] == "success":
            key = run.record["synthetic"], _group_title(run.record)
            groups.setdefault(key, []).append(run)
    for number, ((is_synthetic, title), group) in enumerate(sorted(groups.items())):
        records = [run.record for run in group]
        names = [
            f"{record['model']['name']}, seed {record['seeds']['seed']}: {run.id[:8]}"
            for run, record in zip(group, records, strict=True)
        ]
        chart = comparison_chart(f"curves-{number}", records, names)
        yield ComparableRuns(title, is_synthetic, chart, _baselines(records[0], title))


def _group_title(record: Record) -> str:
    data, variant = record["dataset"], record["benchmark"].get("variant")
    origin = "synthetic" if record["synthetic"] else data["scale"]
    return ", ".join(
        [
            f"{data['id']} {data['version']} ({origin})",
            f"manifest {data['manifest_digest'].removeprefix('sha256:')[:8]}",
            f"split {record['split']['name']}",
            *([f"variant {variant}"] if variant else []),
            f"epoch chosen by {monitored_name(record)}",
        ]
    )


def _baselines(record: Record, title: str) -> Table | None:
    """Return the baselines' scores on the headline metric, as a run computed them."""
    row = headline_row(record)
    if row is None or not row["baselines"]:
        return None
    rows: Rows = [
        [name, Cell(format_score(score), score)] for name, score in row["baselines"].items()
    ]
    metric = record["benchmark"]["headline_metric"]
    caption = f"Baselines: {metric}, part {row['part']}; {title}"
    columns: Columns = ["baseline", Column("score", is_number=True)]
    return make_table(caption, columns, rows, is_sortable=True)


def _dataset_links(task: Task, content: Content) -> list[tuple[str, str]]:
    """Return the datasets of a task, each with the path of its page or ""."""
    versions = {descriptor.dataset: descriptor.version for descriptor in content.datasets}
    return [
        (dataset, dataset_path(dataset, versions[dataset]) if dataset in versions else "")
        for dataset in datasets_of(task)
    ]


def _contents(*, has_runs: bool) -> list[tuple[str, str]]:
    return [
        ("task", "Task"),
        ("board-1", "Board"),
        ("runs", "Runs"),
        *([("curves", "Curves and baselines")] if has_runs else []),
        ("needs", "What a run needs"),
        ("splits", "Splits"),
        ("metrics", "Metrics"),
        ("targets", "Targets"),
        ("readme", "README"),
    ]


def _bounds(metric: Metric) -> str:
    low = "" if metric.minimum is None else f"{metric.minimum:g}"
    high = "" if metric.maximum is None else f"{metric.maximum:g}"
    return f"{low or 'none'} to {high or 'none'}"


def _readme(task: Task) -> Markup | None:
    """Return the runner's README as HTML, or None; HTML in the README is shown as text."""
    path = task.folder / README
    if not path.is_file():
        return None
    identity = registry_identity(task.folder.parents[1])
    address = source_address(identity, f"runners/{task.name}/{README}")
    return card_html(path.read_text(encoding="utf-8", errors="replace"), address)
