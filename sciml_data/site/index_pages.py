"""The first page, with a search and a card for everything; and the page of all runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup

from sciml_data.bench.task.task import Task
from sciml_data.metadata.addresses import Identity
from sciml_data.progress import counted
from sciml_data.registry.expected import expected_bytes
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
from sciml_data.site.pictures import Picture
from sciml_data.site.record_tables import run_table
from sciml_data.site.tables import Cell, Column, Table, format_size, make_table

LINK = Markup('<a href="{}">{}</a> <span class="about">{}</span>')
NEWEST_RUNS = 10  # on the first page; all runs have a page of their own
DESCRIPTION = (
    "Datasets and benchmarks of scientific machine learning: described, verified, scored beside "
    "baselines, with a record of every run."
)


@dataclass(frozen=True)
class Card:
    """A dataset or a benchmark on the first page.

    Attributes:
        name: its id.
        title: what it is.
        path: of its page.
        facts: short texts: size, files, versions, runs.
        picture: its overview, or None.
        picture_path: path of the picture in the site.
    """

    name: str
    title: str
    path: str
    facts: tuple[str, ...]
    picture: Picture | None
    picture_path: str


Pictures = Mapping[str, tuple[Picture, str]]  # path of a version's page -> picture and its path


def index_page(content: Content, versions: Sequence[Version], pictures: Pictures) -> Page:
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
            "dataset_cards": _dataset_cards(versions, pictures),
            "benchmark_cards": _benchmark_cards(content, versions, pictures),
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
        description=f"Runs ({len(content.runs):,}), with headline score and best baseline.",
        trail=(("Runs", ""),),
        values={"table": run_table("All runs", content.runs, RUNS_PATH), "runs": content.runs},
    )


def _counts(content: Content) -> str:
    synthetic = sum(run.record["synthetic"] for run in content.runs)
    runs = counted(len(content.runs), "run")
    if synthetic:
        runs += f", {synthetic} of them on synthetic data"
    datasets = {descriptor.dataset for descriptor in content.datasets}
    return (
        f"{counted(len(datasets), 'dataset')} in {counted(len(content.datasets), 'version')}, "
        f"{counted(len(content.tasks), 'benchmark')}, {runs}."
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
    link = LINK.format(relative_link(HOME_PATH, version.path), facts.dataset, facts.title)
    return [
        Cell(link, facts.dataset),
        facts.version,
        Cell(_size_text(version), _size_key(version)),
        "live" if facts.is_live else "no" if facts.manifest_digest is None else "yes",
        "; ".join(licence.label for licence in facts.licences),
        Cell(f"{report.passed} of {report.checked}", report.passed / report.checked),
    ]


def _dataset_cards(versions: Sequence[Version], pictures: Pictures) -> list[Card]:
    """Return a card for each dataset, of its newest version; the others are facts of the card."""
    newest = {version.facts.dataset: version for version in versions if not version.facts.is_live}
    for version in versions:
        newest.setdefault(version.facts.dataset, version)
    cards = []
    for name, version in sorted(newest.items()):
        of_dataset = [other.facts.version for other in versions if other.facts.dataset == name]
        facts = [_size_text(version), *_files_text(version)]
        facts += [f"versions {', '.join(of_dataset)}"] if len(of_dataset) > 1 else []
        cards.append(_card(name, version.facts.title, version.path, facts, pictures))
    return cards


def _benchmark_cards(
    content: Content, versions: Sequence[Version], pictures: Pictures
) -> list[Card]:
    """Return a card for each benchmark, with the overview of its first dataset."""
    of_data = {(version.facts.dataset, version.facts.version): version for version in versions}
    cards = []
    for task in content.tasks:
        version = of_data.get((task.dataset, task.version))
        size = f" ({_size_text(version)})" if version else ""
        facts = [f"data {task.dataset}{size}", *_metric_text(task)]
        count = len(content.runs_of(task.name))
        facts += [f"{count} {'run' if count == 1 else 'runs'} on this site"] if count else []
        path = version.path if version else ""
        card = _card(task.name, task.title, path, facts, pictures)
        cards.append(replace(card, path=benchmark_path(task.name)))
    return cards


def _card(name: str, title: str, page: str, facts: Sequence[str], pictures: Pictures) -> Card:
    picture, path = pictures.get(page, (None, ""))
    return Card(name, title, page, tuple(facts), picture, path)


def _size_text(version: Version) -> str:
    """Return the size of a version; "about" where it is only expected."""
    facts = version.facts
    if facts.total_bytes is not None:
        return format_size(facts.total_bytes)
    if facts.is_live:
        return "size by period"
    expected = expected_bytes(version.landing.descriptor.expected)
    return "size not published" if expected is None else f"about {format_size(expected)}"


def _size_key(version: Version) -> int | None:
    total = version.facts.total_bytes
    return expected_bytes(version.landing.descriptor.expected) if total is None else total


def _files_text(version: Version) -> list[str]:
    count = len(version.facts.files)
    return [counted(count, "file")] if count else []


def _metric_text(task: Task) -> list[str]:
    """Return the headline metric and which scores are better."""
    name = task.headline_metric
    metric = next((one for one in task.metrics if one.id == (name or "").partition(".")[0]), None)
    if not name:
        return []
    if metric is None:
        return [name]
    return [f"{name}, {'lower' if metric.lower_is_better else 'higher'} is better"]


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
