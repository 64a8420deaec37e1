"""The page of a benchmark: task, board, runs, curves, splits, metrics, targets, README."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from sciml_data.bench.task.split import load_split, split_names
from sciml_data.bench.task.task import Metric, Target, Task
from sciml_data.bench.task.variants import datasets_of
from sciml_data.errors import CallError
from sciml_data.metadata.addresses import REPOSITORY
from sciml_data.metadata.landing.card import card_html
from sciml_data.results.board import board_rows, published_rows, to_html
from sciml_data.site import curves, places, words
from sciml_data.site.charts import Chart
from sciml_data.site.frame import Page
from sciml_data.site.material import Material, Run
from sciml_data.site.run_lists import headline_row, run_table
from sciml_data.site.tables import Cell, Column, Columns, Rows, Table, made_html, table

README = "README.md"
REFUSED = Markup(
    '<section class="board" aria-labelledby="board-1"><h2 id="board-1">Board</h2>'
    "<p>No board is made of these runs: {}.</p><ul><li>{}</li></ul></section>"
)
LI = Markup("</li><li>")


@dataclass(frozen=True)
class Kind:
    """Runs that may stand side by side: same data, split and variant, all real or all synthetic."""

    title: str
    is_synthetic: bool
    chart: Chart | None
    baselines: Table | None


def benchmark_page(task: Task, material: Material) -> Page:
    """Return the page of one benchmark."""
    path, runs = places.benchmark(task.name), material.runs_of(task.name)
    here = Page(path, "", "", "")
    known = {one.dataset: one for one in material.datasets}
    return Page(
        path=path,
        title=task.title,
        template="benchmark.html",
        description=task.description or f"{task.title}: splits, metrics, targets, runs.",
        trail=(("Benchmarks", f"{places.HOME}#benchmarks"), (task.name, "")),
        values={
            "task": task,
            "board": board_html(task, material, here),
            "contents": _contents(has_kinds=bool(runs)),
            "datasets": [
                (one, places.dataset(one, known[one].version) if one in known else "")
                for one in datasets_of(task)
            ],
            "splits": splits_table(task),
            "metrics": metrics_table(task.metrics),
            "targets": targets_table(task.targets) if task.targets else None,
            "variants": variants_table(task) if task.variants else None,
            "kinds": list(kinds(runs)),
            "runs": run_table(f"All runs of {task.name}", runs, path) if runs else None,
            "readme": _readme(task),
        },
    )


def board_html(task: Task, material: Material, here: Page) -> Markup:
    """Return the board of a benchmark: its runs, and figures that others published."""
    runs = material.runs_of(task.name)
    known = {run.id: here.to(places.run(run.id)) for run in runs}
    published = published_rows(material.registry, [task.name])
    try:
        rows = board_rows(
            [run.record for run in runs],
            published,
            submitters={run.id: run.organisation for run in runs if run.organisation},
        )
    except CallError as error:
        return REFUSED.format(error.message, LI.join(map(str, error.problems)))
    return made_html(to_html(rows, run_address=known.get))


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
    return table("Stored splits", ["split", "parts", "how members were assigned", "digest"], rows)


def metrics_table(metrics: Sequence[Metric]) -> Table:
    """Return the metrics, with what is better and in which bounds."""
    rows = [
        [
            one.id,
            one.name,
            "lower is better" if one.lower_is_better else "higher is better",
            _bounds(one),
            one.unit,
            one.version,
            one.formula,
        ]
        for one in metrics
    ]
    columns = ["metric", "name", "direction", "bounds", "unit", "version", "formula"]
    return table("How scores are computed", columns, rows)


def targets_table(targets: Sequence[Target]) -> Table:
    """Return the published values."""
    rows: Rows = [
        [
            one.metric,
            one.part,
            one.split or "every",
            Cell(f"{one.comparison} {one.value:g}", one.value),
            one.source,
        ]
        for one in targets
    ]
    columns: Columns = ["metric", "part", "split", Column("target", is_number=True), "source"]
    return table("Values that others published", columns, rows)


def variants_table(task: Task) -> Table:
    """Return the tasks under one benchmark."""
    rows = [
        [
            f"{name} (default)" if name == task.default_variant else name,
            one.title or task.title,
            ", ".join(one.datasets),
            one.headline_split or task.headline_split,
            one.headline_metric or task.headline_metric or "none named",
        ]
        for name, one in task.variants.items()
    ]
    columns = ["variant", "title", "datasets", "headline split", "headline metric"]
    return table("Tasks under this benchmark", columns, rows)


def kinds(runs: Sequence[Run]) -> Iterator[Kind]:
    """Yield runs by kind, real ones first: their curves, and the baselines' headline scores."""
    groups: dict[tuple[bool, str], list[Run]] = {}
    for run in runs:
        if run.record["status"] == "success":
            key = run.record["synthetic"], _kind(run.record)
            groups.setdefault(key, []).append(run)
    for number, ((is_synthetic, title), group) in enumerate(sorted(groups.items())):
        records = [run.record for run in group]
        names = [f"{_model(run.record)} {run.id[:8]}" for run in group]
        chart = curves.compared(f"curves-{number}", records, names)
        yield Kind(title, is_synthetic, chart, _baselines(records, title))


def _kind(record: Mapping[str, Any]) -> str:
    data, variant = record["dataset"], record["benchmark"].get("variant")
    origin = "synthetic" if record["synthetic"] else data["scale"]
    return ", ".join(
        [
            f"{data['id']} {data['version']} ({origin})",
            f"manifest {data['manifest_digest'][7:15]}",
            f"split {record['split']['name']}",
            *([f"variant {variant}"] if variant else []),
            f"epoch chosen by {curves.monitored(record)}",
        ]
    )


def _model(record: Mapping[str, Any]) -> str:
    return f"{record['model']['name']}, seed {record['seeds']['seed']}:"


def _baselines(records: Sequence[Mapping[str, Any]], title: str) -> Table | None:
    """Return what the baselines score on the headline metric, as the newest run computed it."""
    row = headline_row(records[0])
    if row is None or not row["baselines"]:
        return None
    rows: Rows = [[name, Cell(words.score(one), one)] for name, one in row["baselines"].items()]
    caption = (
        f"Baselines: {records[0]['benchmark']['headline_metric']}, part {row['part']}; {title}"
    )
    return table(caption, ["baseline", Column("score", is_number=True)], rows, is_sortable=True)


def _contents(*, has_kinds: bool) -> list[tuple[str, str]]:
    curves_entry = [("curves", "Curves and baselines")] if has_kinds else []
    return [
        ("task", "Task"),
        ("board-1", "Board"),
        ("runs", "Runs"),
        *curves_entry,
        ("splits", "Splits"),
        ("metrics", "Metrics"),
        ("targets", "Targets"),
        ("readme", "README"),
    ]


def _bounds(metric: Metric) -> str:
    low = "" if metric.minimum is None else f"{metric.minimum:g}"
    high = "" if metric.maximum is None else f"{metric.maximum:g}"
    return f"{low or 'none'} to {high or 'none'}"


def _readme(task: Task) -> Markup:
    """Return the runner's README as HTML; what HTML is in it is shown as text."""
    path = task.folder / README
    if not path.is_file():
        return made_html("<p>The runner has no README.</p>")
    address = f"{REPOSITORY}/blob/main/runners/{task.name}/{README}"
    return card_html(path.read_text(encoding="utf-8"), address)
