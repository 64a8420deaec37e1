"""The page of a dataset's version: the sections of its landing page, in the frame of the site.

Added are the FAIR report, a picture of the sample, and the benchmarks that run on the dataset. The
files beside the page are those of `metadata.landing.page_folder`.
"""

from __future__ import annotations

from dataclasses import dataclass

from sciml_data.bench.task.task import datasets_of
from sciml_data.metadata.facts import Facts
from sciml_data.metadata.fair import Finding, Report, assess
from sciml_data.metadata.landing import DatasetPage, page_folder
from sciml_data.metadata.landing import dataset_page as landing_content
from sciml_data.registry.descriptor import Descriptor
from sciml_data.site.content import Content
from sciml_data.site.frame import HOME_PATH, INDEX, Page, benchmark_path, dataset_path
from sciml_data.site.pictures import Picture
from sciml_data.site.tables import Cell, Rows, Table, make_table

STATUS_WORDS = {"passed": "passed", "failed": "failed", "not checked": "not checked offline"}


@dataclass(frozen=True)
class Version:
    """A version of a dataset: the content of its landing page, and its FAIR report."""

    landing: DatasetPage
    report: Report

    @property
    def facts(self) -> Facts:
        """Return what is known about the version."""
        return self.landing.facts

    @property
    def path(self) -> str:
        """Return the path of the version's page."""
        return dataset_path(self.facts.dataset, self.facts.version)


def assess_version(descriptor: Descriptor) -> Version:
    """Return a version with its FAIR report.

    Raises:
        CallError: the extra `fair` is not installed.
    """
    return Version(landing_content(descriptor), assess(descriptor))


def dataset_page(
    version: Version,
    content: Content,
    drawn: tuple[Picture, str] | None,
    *,
    no_picture: str,
) -> Page:
    """Return the page of a version.

    Args:
        version: the version.
        content: everything else that has a page.
        drawn: overview of the version and its path in the site, or None.
        no_picture: the reason why there is no picture.
    """
    facts = version.facts
    return Page(
        path=version.path,
        title=facts.title,
        template="dataset.html",
        description=facts.description,
        trail=(("Datasets", f"{HOME_PATH}#datasets"), (f"{facts.dataset} {facts.version}", "")),
        identifier=facts.page,
        values={
            "facts": facts,
            "landing": version.landing,
            "report": version.report,
            "fair_table": fair_table(version.report),
            "picture": drawn[0] if drawn else None,
            "picture_path": drawn[1] if drawn else "",
            "no_picture": no_picture,
            "benchmarks": [
                (task.title, benchmark_path(task.name))
                for task in content.tasks
                if facts.dataset in datasets_of(task)
            ],
            "run_count": len(content.runs_on(facts.dataset, facts.version)),
        },
    )


def files_beside(version: Version) -> dict[str, bytes]:
    """Return the files beside a version's page, by path in the site."""
    folder = version.path.removesuffix(INDEX)
    files = page_folder(version.landing.descriptor)
    return {f"{folder}{name}": data for name, data in files.items() if name != INDEX}


def fair_table(report: Report) -> Table:
    """Return the report as a table, a row for each metric."""
    rows: Rows = []
    for item in report.assessments:
        metric, finding = item.metric, item.finding
        mark = finding.status.replace(" ", "-")
        rows.append(
            [
                metric.identifier,
                metric.title,
                Cell(STATUS_WORDS[finding.status], mark=mark),
                _explanation(finding),
            ]
        )
    columns = ["metric", "asks", "outcome", "why"]
    return make_table("FAIRsFAIR metrics, version 0.8", columns, rows)


def _explanation(finding: Finding) -> str:
    """Return the reason of an outcome; for a metric that is not passed, also what to do."""
    if not finding.remedy:
        return finding.reason
    owner = f" ({finding.owner})" if finding.owner else ""
    return f"{finding.reason.rstrip('.')}. To do{owner}: {finding.remedy}"
