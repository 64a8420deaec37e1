"""The first page: what the site is, a search over it, and all that has a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from markupsafe import Markup

from sciml_data.bench.task.task import Task
from sciml_data.metadata.addresses import REGISTRY_PAGE
from sciml_data.site import places, words
from sciml_data.site.dataset_pages import Version
from sciml_data.site.frame import Page
from sciml_data.site.material import Material
from sciml_data.site.run_lists import run_table
from sciml_data.site.tables import Cell, Column, Columns, Rows, Table, table

NAMED = Markup('<a href="{}">{}</a> <span class="about">{}</span>')
NEWEST = 10  # runs on the first page; all stand on their own page
DESCRIPTION = (
    "Datasets and benchmarks of scientific machine learning: described, verified, scored beside "
    "baselines, with a record of every run."
)


def index_page(material: Material, versions: Sequence[Version]) -> Page:
    """Return the first page."""
    here = Page(places.HOME, "", "", "")
    return Page(
        path=places.HOME,
        title="sciml-data",
        template="index.html",
        description=DESCRIPTION,
        values={
            "lead": DESCRIPTION,
            "datasets": _datasets(versions, here) if versions else None,
            "benchmarks": _benchmarks(material, here) if material.tasks else None,
            "runs": run_table("Newest runs", material.runs[:NEWEST], places.HOME)
            if material.runs
            else None,
            "run_count": len(material.runs),
            "all_runs": places.RUNS,
            "counts": _counts(material),
            "search": {"entries": list(_entries(material, versions))},
            "json_ld": _catalogue(versions),
        },
    )


def _counts(material: Material) -> str:
    synthetic = sum(run.record["synthetic"] for run in material.runs)
    runs = f"{len(material.runs)} runs"
    if synthetic:
        runs += f", {synthetic} of them on synthetic data"
    ids = {one.dataset for one in material.datasets}
    return (
        f"{len(ids)} datasets in {len(material.datasets)} versions, {len(material.tasks)} "
        f"benchmarks, {runs}."
    )


def _datasets(versions: Sequence[Version], here: Page) -> Table:
    columns = [
        Column("dataset"), Column("version"), Column("size", is_number=True),
        Column("files pinned"), Column("licence"), Column("FAIR metrics passed", is_number=True),
    ]  # fmt: skip
    caption = "Versions of datasets, with what is known of their files"
    return table(caption, columns, [_dataset(one, here) for one in versions], is_sortable=True)


def _dataset(one: Version, here: Page) -> list[Cell | str]:
    facts, total = one.facts, one.facts.total_bytes
    link = NAMED.format(here.to(one.path), facts.dataset, facts.title)
    licences = "; ".join(licence.label for licence in facts.licences)
    return [
        Cell(link, facts.dataset),
        facts.version,
        Cell("not known" if total is None else words.size(total), total),
        "live" if facts.is_live else "no" if facts.manifest_digest is None else "yes",
        licences,
        Cell(
            f"{one.report.passed} of {one.report.checked}", one.report.passed / one.report.checked
        ),
    ]


def _benchmarks(material: Material, here: Page) -> Table:
    columns: Columns = [
        "benchmark", "dataset", "headline split", "headline metric", Column("runs", is_number=True),
    ]  # fmt: skip
    rows: Rows = [
        [
            Cell(
                NAMED.format(here.to(places.benchmark(task.name)), task.name, task.title),
                task.name,
            ),
            f"{task.dataset} {task.version}",
            task.headline_split,
            task.headline_metric or "none named",
            str(len(material.runs_of(task.name))),
        ]
        for task in material.tasks
    ]
    caption = "Benchmarks, with what ranks their runs"
    return table(caption, columns, rows, is_sortable=True)


def _entries(material: Material, versions: Sequence[Version]) -> Iterator[dict[str, str]]:
    """Yield what the search looks through: kind, title, link, and words."""
    here = Page(places.HOME, "", "", "")
    for one in versions:
        facts = one.facts
        found = [facts.dataset, facts.description, *facts.keywords, *facts.variables]
        title = f"{facts.dataset} {facts.version}: {facts.title}"
        yield _entry("dataset", title, here.to(one.path), found)
    for task in material.tasks:
        yield _entry(
            "benchmark",
            f"{task.name}: {task.title}",
            here.to(places.benchmark(task.name)),
            _words(task),
        )
    for run in material.runs:
        data = run.record["dataset"]
        kind = "synthetic" if run.record["synthetic"] else "real"
        state = run.record["verification"]["state"]
        found = [run.id, data["id"], data["version"], kind, run.record["status"], state]
        title = f"{run.name} ({run.id[:8]})"
        yield _entry("run", title, here.to(places.run(run.id)), found)


def _words(task: Task) -> list[str]:
    metrics = [text for one in task.metrics for text in (one.id, one.name)]
    return [task.description, task.dataset, *task.models, *task.variants, *metrics]


def _entry(kind: str, title: str, link: str, found: Sequence[str]) -> dict[str, str]:
    return {"kind": kind, "title": title, "link": link, "words": " ".join(found)}


def _catalogue(versions: Sequence[Version]) -> dict[str, Any]:
    """Return the registry as a schema.org DataCatalog, its context inline."""
    return {
        "@context": {"@vocab": "https://schema.org/"},
        "@type": "DataCatalog",
        "@id": REGISTRY_PAGE,
        "name": "sciml-data",
        "description": DESCRIPTION,
        "dataset": [
            {"@type": "Dataset", "@id": one.facts.identifier, "name": one.facts.title}
            for one in versions
        ],
    }
