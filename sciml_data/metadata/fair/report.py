"""The FAIR assessment of a version: 17 metrics, each with its finding, as text, JSON and table.

The score is a plain count: the metrics that passed, of those that could be checked. F-UJI weighs
its metrics by points, and gives parts of them; docs/explanation/fair.md has both.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sciml_data.metadata.fair.checks import METRICS, Finding, Metric, Owner
from sciml_data.metadata.fair.evidence import evidence_of
from sciml_data.registry.descriptor import Descriptor

WIDTH = 100
INDENT = " " * 17
STATUS_WORDS = {"passed": "passed", "failed": "FAILED", "not checked": "not checked offline"}


@dataclass(frozen=True)
class Assessment:
    """A metric and the finding of its check."""

    metric: Metric
    finding: Finding


@dataclass(frozen=True)
class Report:
    """The assessments of one version, metric by metric."""

    dataset: str
    version: str
    assessments: tuple[Assessment, ...]

    @property
    def checked(self) -> int:
        """Return the number of metrics that could be checked."""
        return sum(item.finding.status != "not checked" for item in self.assessments)

    @property
    def passed(self) -> int:
        """Return the number of metrics that passed."""
        return sum(item.finding.status == "passed" for item in self.assessments)

    @property
    def percent(self) -> float:
        """Return 100 x passed / checked."""
        return 100 * self.passed / self.checked

    @property
    def failures(self) -> tuple[Assessment, ...]:
        """Return the assessments that failed."""
        return tuple(item for item in self.assessments if item.finding.status == "failed")

    def to_text(self) -> str:
        """Return a line for each metric, with the reason, and the remedy of a failure."""
        lines = [
            f"{self.dataset} {self.version}: {self.passed} of {self.checked} metrics passed, "
            f"{self.percent:.1f} %, {len(self.assessments) - self.checked} not checked offline"
        ]
        for item in self.assessments:
            metric, finding = item.metric, item.finding
            status = STATUS_WORDS[finding.status]
            lines.append(f"  {metric.identifier:<14} {status:<8} {metric.title}")
            lines += _wrapped(finding.reason)
            if finding.remedy:
                owner = f" ({finding.owner})" if finding.owner else ""
                lines += _wrapped(f"to do{owner}: {finding.remedy}")
        return "\n".join(lines)

    def to_document(self) -> dict[str, Any]:
        """Return the report for JSON."""
        return {
            "dataset": self.dataset,
            "version": self.version,
            "metrics_version": "0.8",
            "passed": self.passed,
            "asked": self.checked,
            "percent": round(self.percent, 2),
            "metrics": [
                {
                    "identifier": item.metric.identifier,
                    "asks": item.metric.title,
                    "status": item.finding.status,
                    "reason": item.finding.reason,
                    "to_do": item.finding.remedy or None,
                    "whose": item.finding.owner,
                }
                for item in self.assessments
            ],
        }


def assess(descriptor: Descriptor) -> Report:
    """Return the report on one version, without network access.

    Raises:
        CallError: the extra `fair` is not installed.
    """
    evidence = evidence_of(descriptor)
    return Report(
        descriptor.dataset,
        descriptor.version,
        tuple(Assessment(metric, metric.check(evidence)) for metric in METRICS),
    )


def markdown_table(reports: Sequence[Report]) -> list[str]:
    """Return the lines of the README's table of FAIR metrics."""
    return [
        "| dataset | version | passed | to fix upstream | to fix in this registry |",
        "|---|---|---|---|---|",
        *(
            f"| {report.dataset} | {report.version} | {report.passed} of {report.checked} "
            f"| {_failures(report, 'upstream')} | {_failures(report, 'ours')} |"
            for report in reports
        ),
    ]


def _failures(report: Report, owner: Owner) -> str:
    names = [
        f"{item.metric.title} ({item.metric.identifier.removeprefix('FsF-')})"
        for item in report.failures
        if item.finding.owner == owner
    ]
    return ", ".join(names) or "-"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT)
