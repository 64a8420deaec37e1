"""The page of a dataset's version: `fair.landing`'s sections in the frame of the site.

What lies beside the page is `fair.folder`'s; the FAIR report, a picture of the sample and the
benchmarks that run on it are added here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sciml_data.bench.task.variants import datasets_of
from sciml_data.metadata.facts import Facts, facts_of
from sciml_data.metadata.fair import Assessment, Report, assess
from sciml_data.metadata.landing.page import PAGE_NAME, DatasetPage, page_folder
from sciml_data.registry.descriptor import Descriptor
from sciml_data.site import places
from sciml_data.site.frame import Page
from sciml_data.site.material import Material
from sciml_data.site.pictures import Picture
from sciml_data.site.tables import Cell, Rows, Table, table

WORDS = {"passed": "passed", "failed": "failed", "not checked": "not checked offline"}


@dataclass(frozen=True)
class Version:
    """A version of a dataset with its FAIR report."""

    descriptor: Descriptor
    facts: Facts
    report: Report

    @property
    def path(self) -> str:
        """Return where its page lies."""
        return places.dataset(self.facts.dataset, self.facts.version)


def assessed(descriptor: Descriptor) -> Version:
    """Return a version with its FAIR report.

    Raises:
        CallError: the extra `fair` is not installed.
    """
    return Version(descriptor, facts_of(descriptor), assess(descriptor))


def dataset_page(
    version: Version, material: Material, *, picture: Picture | None, no_picture: str
) -> Page:
    """Return the page of one version."""
    facts = version.facts
    return Page(
        path=version.path,
        title=facts.title,
        template="dataset.html",
        description=facts.description,
        trail=(("Datasets", f"{places.HOME}#datasets"), (f"{facts.dataset} {facts.version}", "")),
        identifier=facts.identifier,
        values={
            "facts": facts,
            "content": DatasetPage(version.descriptor, facts),
            "report": version.report,
            "fair_table": fair_table(version.report),
            "picture": picture,
            "no_picture": no_picture,
            "benchmarks": [
                (task.title, places.benchmark(task.name))
                for task in material.tasks
                if facts.dataset in datasets_of(task)
            ],
            "run_count": len(material.runs_on(facts.dataset, facts.version)),
        },
    )


def files_beside(version: Version) -> Mapping[str, bytes]:
    """Return what lies beside a version's page, by path in the site."""
    folder = version.path.removesuffix(PAGE_NAME)
    found = page_folder(version.descriptor)
    return {f"{folder}{name}": data for name, data in found.items() if name != PAGE_NAME}


def fair_table(report: Report) -> Table:
    """Return the report, a row for each metric."""
    rows: Rows = [
        [
            one.metric.identifier,
            one.metric.title,
            Cell(WORDS[one.finding.status], mark=one.finding.status.replace(" ", "-")),
            f"{one.finding.reason} {_remedy(one)}".strip(),
        ]
        for one in report.assessments
    ]
    return table("FAIRsFAIR metrics, version 0.8", ["metric", "asks", "outcome", "why"], rows)


def _remedy(one: Assessment) -> str:
    owner = f" ({one.finding.owner})" if one.finding.owner else ""
    return f"To do{owner}: {one.finding.remedy}" if one.finding.remedy else ""
