"""The FAIRsFAIR metrics, version 0.8, in our own words, each with what checks it.

The 17 of FAIRsFAIR Data Object Assessment Metrics (doi:10.5281/zenodo.15045911) that F-UJI 3.5.1
scores under `metrics_v0.8`; A2-01M (metadata outlive the data) is not among them. Each check is
ours, and often asks more than F-UJI's of the same name: docs/fair.md says where.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sciml_data.metadata.fair import accessible, findable, interoperable, reusable
from sciml_data.metadata.fair.evidence import Evidence, Finding, evidence_of
from sciml_data.metadata.fair.report import Judged, Report
from sciml_data.registry.descriptor import Descriptor


@dataclass(frozen=True)
class Metric:
    """One metric: its identifier, what it asks, and the check."""

    identifier: str
    asks: str
    check: Callable[[Evidence], Finding]


METRICS = (
    Metric("FsF-F1-01MD", "unique identifier", findable.unique_identifier),
    Metric("FsF-F1-02MD", "persistent identifier", findable.persistent_identifier),
    Metric("FsF-F2-01M", "core descriptive elements", findable.core_elements),
    Metric("FsF-F3-01M", "metadata lead to the data", findable.data_in_metadata),
    Metric("FsF-F4-01M", "search engines can take it up", findable.searchable),
    Metric("FsF-A1-01M", "access level and conditions", accessible.access_level),
    Metric("FsF-A1-02MD", "retrievable by the identifier", accessible.retrievable),
    Metric("FsF-A1.1-01MD", "standard protocol", accessible.standard_protocol),
    Metric("FsF-A1.2-01MD", "protocol can authenticate", accessible.authenticated_protocol),
    Metric("FsF-I1-01M", "formal language", interoperable.formal_language),
    Metric("FsF-I2-01M", "registered vocabularies", interoperable.registered_vocabularies),
    Metric("FsF-I3-01M", "qualified links", interoperable.qualified_links),
    Metric("FsF-R1-01M", "content is described", reusable.content_described),
    Metric("FsF-R1.1-01M", "standard licence", reusable.standard_licence),
    Metric("FsF-R1.2-01M", "provenance", reusable.provenance),
    Metric("FsF-R1.3-01M", "metadata standard of the community", reusable.community_metadata),
    Metric("FsF-R1.3-02D", "file format of the community", reusable.community_format),
)


def judge(descriptor: Descriptor) -> Report:
    """Return the report of one version; nothing is asked of the network.

    Raises:
        CallError: the extra `fair` is not installed.
    """
    evidence = evidence_of(descriptor)
    return Report(
        descriptor.dataset,
        descriptor.version,
        tuple(Judged(one.identifier, one.asks, one.check(evidence)) for one in METRICS),
    )
