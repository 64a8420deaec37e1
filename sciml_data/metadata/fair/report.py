"""A FAIR report as text, JSON, and a row of the README's table.

The score is a plain count: metrics passed, of those that could be checked. F-UJI weighs its metrics
by points, and gives parts of them; docs/fair.md has both.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sciml_data.metadata.fair.evidence import Finding

WIDTH = 100
WORDS = {"passed": "passed", "failed": "FAILED", "not checked": "not checked offline"}


@dataclass(frozen=True)
class Judged:
    """A metric and what its check found."""

    identifier: str
    asks: str
    finding: Finding


@dataclass(frozen=True)
class Report:
    """What was found of one version, metric by metric."""

    dataset: str
    version: str
    judged: tuple[Judged, ...]

    @property
    def asked(self) -> int:
        """Return how many metrics could be checked."""
        return sum(one.finding.status != "not checked" for one in self.judged)

    @property
    def passed(self) -> int:
        """Return how many of them are met."""
        return sum(one.finding.status == "passed" for one in self.judged)

    @property
    def percent(self) -> float:
        """Return 100 x passed / asked."""
        return 100 * self.passed / self.asked

    @property
    def failures(self) -> tuple[Judged, ...]:
        """Return what is not met."""
        return tuple(one for one in self.judged if one.finding.status == "failed")


def to_text(report: Report) -> str:
    """Return a line for each metric, with the reason, and what to do about a failure."""
    lines = [
        f"{report.dataset} {report.version}: {report.passed} of {report.asked} metrics passed, "
        f"{report.percent:.1f} %, {len(report.judged) - report.asked} not checked offline"
    ]
    for one in report.judged:
        lines.append(f"  {one.identifier:<14} {WORDS[one.finding.status]:<8} {one.asks}")
        lines += _wrapped(one.finding.reason)
        if one.finding.remedy:
            whose = f" ({one.finding.whose})" if one.finding.whose else ""
            lines += _wrapped(f"to do{whose}: {one.finding.remedy}")
    return "\n".join(lines)


def to_document(report: Report) -> dict[str, Any]:
    """Return the report for JSON."""
    return {
        "dataset": report.dataset,
        "version": report.version,
        "metrics_version": "0.8",
        "passed": report.passed,
        "asked": report.asked,
        "percent": round(report.percent, 2),
        "metrics": [
            {
                "identifier": one.identifier,
                "asks": one.asks,
                "status": one.finding.status,
                "reason": one.finding.reason,
                "to_do": one.finding.remedy or None,
                "whose": one.finding.whose,
            }
            for one in report.judged
        ],
    }


def to_markdown(reports: Sequence[Report]) -> list[str]:
    """Return the lines of the README's table."""
    return [
        "| dataset | version | passed | what is missing: upstream's to mend | ours |",
        "|---|---|---|---|---|",
        *(
            f"| {one.dataset} | {one.version} | {one.passed} of {one.asked} "
            f"| {_failures(one, 'upstream')} | {_failures(one, 'ours')} |"
            for one in reports
        ),
    ]


def _failures(report: Report, whose: str) -> str:
    found: Iterable[Judged] = (one for one in report.failures if one.finding.whose == whose)
    return ", ".join(f"{one.asks} ({one.identifier[4:]})" for one in found) or "-"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=" " * 17, subsequent_indent=" " * 17)
