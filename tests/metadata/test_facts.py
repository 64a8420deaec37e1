"""Facts follow from the descriptor, and nothing is guessed."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from sciml_data.errors import DescriptorError
from sciml_data.metadata.facts import (
    UNKNOWN_MEDIA_TYPE,
    Facts,
    Identifier,
    NativeFile,
    facts_of,
    find_identifier,
    media_type,
)
from sciml_data.registry.descriptor import load_descriptor, read_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.testing.datasets import change_descriptor, write_unpinned
from tests.support.problems import kinds_and_places
from tests.support.small_registry import small_registry


def facts(dataset: str, version: str | None = None) -> Facts:
    return facts_of(load_descriptor(find_registry(), dataset, version))


def small(root: Path, **block: object) -> Facts:
    folder = small_registry(root).package("waves", "1.0")
    change_descriptor(folder, lambda document: document["sciml"].update(block))
    return facts_of(read_descriptor(folder))


def test_a_version_is_identified_by_its_landing_page() -> None:
    assert facts("uno_ccle").identifier == (
        "https://sciml-data.github.io/sciml-data/datasets/uno_ccle/1.0/"
    )


def test_files_have_path_size_hash_type_and_addresses() -> None:
    known = facts("tevolop_socal", "1.0")

    file = {file.path: file for file in known.files}["comcat/2015-2025_california.csv"]
    assert dataclasses.asdict(file) == {
        "path": "comcat/2015-2025_california.csv",
        "size_bytes": 2914322,
        "hash": "sha256:f040b84535e0c54894d05aa076e69cad05d00423990bae821474248d2f204beb",
        "media_type": "text/csv",
        "urls": (
            "https://raw.githubusercontent.com/avantika2408/California-Earthquake-Forecasting-and-"
            "Analysis/8a8e444b33f3a60cd61ce56e24c800e1cebfc280/Datasets/2015-2025_california.csv",
        ),
        "columns": (),  # of tables that declare a schema
    }
    assert len(known.files) == 100
    assert known.total_bytes == sum(file.size_bytes for file in known.files)


def test_unpinned_files_are_groups_with_what_is_expected() -> None:
    known = facts("cloud_slstr_ds1")

    group = known.groups[0]
    assert (group.glob, group.count, group.bytes_each) == ("training/**", 970, 167404096)
    assert group.media_type == "application/x-hdf5"
    assert group.folders[0] == (
        "https://s3.echo.stfc.ac.uk/sciml-datasets/es/cloud_slstr_ds1/training/"
    )
    assert (known.files, known.total_bytes, known.manifest) == ((), None, None)


def test_without_expectations_the_splits_name_the_groups(tmp_path: Path) -> None:
    descriptor = write_unpinned(tmp_path, mirrors=[{"": "https://example.org/"}])

    assert [group.glob for group in facts_of(descriptor).groups] == ["**"]


def test_a_person_has_a_family_name_and_an_organisation_has_none() -> None:
    assert [(agent.family_name, agent.is_person) for agent in facts("uno_ccle").creators] == [
        (None, False),
        ("Zhu", True),
    ]


def test_a_licence_that_is_not_stated_has_no_address_and_says_where_it_was_sought() -> None:
    stated, missing = facts("uno_ccle").licences

    assert (stated.is_stated, stated.url) == (True, "https://spdx.org/licenses/MIT")
    assert (missing.is_stated, missing.url) == (False, None)
    assert "looked for in" in missing.text


def test_a_source_is_what_the_data_derive_from_unless_another_relation_is_stated() -> None:
    relations = {work.identifier.value: work.relation for work in facts("uno_dose").related}

    assert relations == {
        "http://ftp.mcs.anl.gov/pub/candle/public/benchmarks/Pilot1/combo/": "IsDerivedFrom",
        "https://github.com/ECP-CANDLE/Benchmarks": "IsDocumentedBy",
        "https://github.com/vibhatha/cylon_applications": "References",
        "10.1007/978-3-031-23220-6_4": "References",
        "10.1158/0008-5472.CAN-17-0489": "References",
    }


def test_a_relation_to_what_nothing_names_is_a_problem(tmp_path: Path) -> None:
    related = [{"identifier": "10.1000/other", "relation": "IsPartOf"}]

    with pytest.raises(DescriptorError) as error:
        small(tmp_path, related=related)

    assert kinds_and_places(error) == [("related", "$.sciml.related[0]")]
    assert "10.1000/other" in error.value.problems[0].message


def test_the_date_is_that_of_the_description_where_upstream_states_none(tmp_path: Path) -> None:
    described = small(tmp_path / "described")
    published = small(tmp_path / "published", published="1999")

    assert (described.issued, described.issued_remark) == (
        "2001-02-03",
        "described in the registry; upstream does not state when it published the files",
    )
    assert (published.issued, published.issued_remark) == ("1999", "as upstream states it")


def test_access_that_is_not_stated_is_not_open(tmp_path: Path) -> None:
    known = small(tmp_path)

    assert (known.access.rights, known.access_sentence) == (None, "not stated")


def test_steps_of_a_person_are_part_of_the_sentence_on_access(tmp_path: Path) -> None:
    rights = {"rights": "restricted", "statement": "An account is needed."}
    steps = {"kind": "globus", "steps": ["Ask for an account.", "Start the transfer."]}

    known = small(tmp_path, access_rights=rights, access=steps)

    assert known.access_sentence == (
        "restricted: An account is needed. Ask for an account. Start the transfer."
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A (2012): B. doi:10.1038/nature11003", Identifier("DOI", "10.1038/nature11003")),
        (
            "see doi:10.1038/s41598-021-90923-y, or not",
            Identifier("DOI", "10.1038/s41598-021-90923-y"),
        ),
        ("https://doi.org/10.13139/OLCF/1510313", Identifier("DOI", "10.13139/OLCF/1510313")),
        ("C (2020): D. arXiv:2012.00131", Identifier("arXiv", "2012.00131")),
        ("E. https://example.org/f.", Identifier("URL", "https://example.org/f")),
        ("Contains modified Copernicus Sentinel data 2019", None),
    ],
)
def test_identifiers_are_read_from_citations(text: str, expected: Identifier | None) -> None:
    assert find_identifier(text) == expected


def test_a_doi_leads_to_its_resolver() -> None:
    assert Identifier("DOI", "10.1/a b").url == "https://doi.org/10.1/a%20b"


def test_a_type_that_is_stated_counts_before_the_ending() -> None:
    assert media_type("a/b.CSV", {}) == "text/csv"
    assert media_type("a/b.csv", {"a/**": "text/plain"}) == "text/plain"
    assert media_type("a/b.rda", {}) == UNKNOWN_MEDIA_TYPE


@pytest.mark.parametrize(
    ("known", "sha256", "md5"),
    [
        ("sha256:" + "a" * 64, "a" * 64, None),
        ("md5:" + "b" * 32, None, "b" * 32),
        ("s3etag:" + "c" * 32, None, "c" * 32),
        ("s3etag:" + "d" * 32 + "-2:8388608", None, None),
        ("gitblob:" + "e" * 40, None, None),
    ],
)
def test_only_a_hash_of_the_bytes_alone_is_passed_on(
    known: str, sha256: str | None, md5: str | None
) -> None:
    file = NativeFile("a", 1, known, "text/plain", ())

    assert (file.sha256, file.md5) == (sha256, md5)
