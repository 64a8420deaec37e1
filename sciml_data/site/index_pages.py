"""The first page, with a search over the site and lists of everything; and the page of all runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from markupsafe import Markup

from sciml_data.bench.task.task import Task
from sciml_data.metadata.addresses import Identity
from sciml_data.site.content import Content
from sciml_data.site.dataset_pages import Version
from sciml_data.site.frame import (
    HOME_PATH,
    RUNS_PATH,
    Page,
    benchmark_path,
    relative_link,
    run_path,
)
from sciml_data.site.record_tables import run_table
from sciml_data.site.tables import Cell, Column, Columns, Rows, Table, format_size, make_table

LINK = Markup('<a href="{}">{}</a> <span class="about">{}</span>')
NEWEST_RUNS = 10  # on the first page; all runs have a page of their own
DESCRIPTION = (
    "Datasets and benchmarks of scientific machine learning: described, verified, scored beside "
    "baselines, with a record of every run."
)


def index_page(content: Content, versions: Sequence[Version]) -> Page:
    """Return the first page."""
    newest = content.runs[:NEWEST_RUNS]
    return Page(
        path=HOME_PATH,
        title=content.identity.title,
        template="index.html",
        description=DESCRIPTION,
        values={
            "lead": DESCRIPTION,
            "datasets": _dataset_table(versions) if versions else None,
            "benchmarks": _benchmark_table(content) if content.tasks else None,
            "runs": run_table("Newest runs", newest, HOME_PATH) if newest else None,
            "run_count": len(content.runs),
            "all_runs": RUNS_PATH,
            "counts": _counts(content),
            "search": {"entries": list(_search_entries(content, versions))},
            "json_ld": _data_catalog(versions, content.identity),
        },
    )


def runs_page(content: Content) -> Page:
    """Return the page that lists every run."""
    return Page(
        path=RUNS_PATH,
        title="Runs",
        template="runs.html",
        description=f"All {len(content.runs)} runs, with headline score and best baseline.",
        trail=(("Runs", ""),),
        values={"table": run_table("All runs", content.runs, RUNS_PATH), "runs": content.runs},
    )


def _counts(content: Content) -> str:
    synthetic = sum(run.record["synthetic"] for run in content.runs)
    runs = f"{len(content.runs)} runs"
    if synthetic:
        runs += f", {synthetic} of them on synthetic data"
    datasets = {descriptor.dataset for descriptor in content.datasets}
    return (
        f"{len(datasets)} datasets in {len(content.datasets)} versions, {len(content.tasks)} "
        f"benchmarks, {runs}."
    )


def _dataset_table(versions: Sequence[Version]) -> Table:
    columns = [
        Column("dataset"), Column("version"), Column("size", is_number=True),
        Column("files pinned"), Column("licence"), Column("FAIR metrics passed", is_number=True),
    ]  # fmt: skip
    caption = "Versions of datasets, with what is known about their files"
    return make_table(caption, columns, list(map(_dataset_row, versions)), is_sortable=True)


def _dataset_row(version: Version) -> list[Cell | str]:
    facts, report = version.facts, version.report
    size = "not known" if facts.total_bytes is None else format_size(facts.total_bytes)
    link = LINK.format(relative_link(HOME_PATH, version.path), facts.dataset, facts.title)
    return [
        Cell(link, facts.dataset),
        facts.version,
        Cell(size, facts.total_bytes),
        "live" if facts.is_live else "no" if facts.manifest_digest is None else "yes",
        "; ".join(licence.label for licence in facts.licences),
        Cell(f"{report.passed} of {report.checked}", report.passed / report.checked),
    ]


def _benchmark_table(content: Content) -> Table:
    columns: Columns = [
        "benchmark", "dataset", "headline split", "headline metric", Column("runs", is_number=True),
    ]  # fmt: skip
    rows: Rows = []
    for task in content.tasks:
        address = relative_link(HOME_PATH, benchmark_path(task.name))
        rows.append(
            [
                Cell(LINK.format(address, task.name, task.title), task.name),
                f"{task.dataset} {task.version}",
                task.headline_split,
                task.headline_metric or "none named",
                str(len(content.runs_of(task.name))),
            ]
        )
    caption = "Benchmarks, with what ranks their runs"
    return make_table(caption, columns, rows, is_sortable=True)


def _search_entries(content: Content, versions: Sequence[Version]) -> Iterator[dict[str, str]]:
    """Yield the entries that the search compares with: kind, title, link and words."""
    for version in versions:
        facts = version.facts
        words = [facts.dataset, facts.description, *facts.keywords, *facts.variables]
        title = f"{facts.dataset} {facts.version}: {facts.title}"
        yield _search_entry("dataset", title, version.path, words)
    for task in content.tasks:
        title = f"{task.name}: {task.title}"
        yield _search_entry("benchmark", title, benchmark_path(task.name), _task_words(task))
    for run in content.runs:
        data = run.record["dataset"]
        origin = "synthetic" if run.record["synthetic"] else "real"
        state = run.record["verification"]["state"]
        words = [run.id, data["id"], data["version"], origin, run.record["status"], state]
        yield _search_entry("run", f"{run.name} ({run.id[:8]})", run_path(run.id), words)


def _task_words(task: Task) -> list[str]:
    metrics = [text for metric in task.metrics for text in (metric.id, metric.name)]
    return [task.description, task.dataset, *task.models, *task.variants, *metrics]


def _search_entry(kind: str, title: str, path: str, words: Iterable[str]) -> dict[str, str]:
    link = relative_link(HOME_PATH, path)
    return {"kind": kind, "title": title, "link": link, "words": " ".join(words)}


def _data_catalog(versions: Sequence[Version], identity: Identity) -> dict[str, Any]:
    """Return the registry as a schema.org DataCatalog with an inline context."""
    return {
        "@context": {"@vocab": "https://schema.org/"},
        "@type": "DataCatalog",
        **({"@id": identity.page} if identity.page else {}),
        "name": identity.title,
        "description": DESCRIPTION,
        "dataset": [
            {
                "@type": "Dataset",
                "@id": version.facts.identifier,
                "name": version.facts.title,
            }
            for version in versions
        ],
    }
