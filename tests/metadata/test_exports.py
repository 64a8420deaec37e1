"""Every version of every dataset, in every form, is valid for the validator that others use."""

from __future__ import annotations

import functools
import json
import re
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

import sciml_data
from sciml_data.metadata.croissant import to_croissant
from sciml_data.metadata.datacite import KERNEL, to_datacite, to_xml
from sciml_data.metadata.dcat import to_dcat, to_turtle
from sciml_data.metadata.facts import Facts, facts_of
from sciml_data.metadata.fair import assess
from sciml_data.metadata.landing import landing_page
from sciml_data.metadata.rocrate import METADATA_NAME, to_rocrate
from sciml_data.metadata.schema_org import to_schema_org
from sciml_data.registry.descriptor import load_descriptor
from tests.support.paths import ROOT
from tests.support.versions import REGISTRY, VERSIONS, every_version, rdflib_warns

SCHEMA_ORG = "https://schema.org/"


@functools.cache
def facts(of: tuple[str, str]) -> Facts:
    return facts_of(load_descriptor(REGISTRY, *of))


@functools.cache
def shapes() -> Any:
    rdflib = pytest.importorskip("rdflib")
    return rdflib.Graph().parse(ROOT / "tests/support/dcat_shapes.ttl")


def test_there_are_versions_to_export() -> None:
    assert len(VERSIONS) >= 13


@pytest.mark.parametrize("dataset", ["cbed_si110", "tevolop_japan"])
def test_a_dataset_of_one_file_says_so_in_every_form_and_on_its_page(dataset: str) -> None:
    descriptor = load_descriptor(REGISTRY, dataset, "1.0")
    known = facts_of(descriptor)
    documents = (to_croissant(known), to_datacite(known), to_schema_org(known), to_rocrate(known))
    texts = [*map(json.dumps, documents), to_xml(known), landing_page(descriptor)]
    texts += [item.finding.reason for item in assess(descriptor).assessments]

    assert len(known.files) == 1
    plural = re.compile(r"\b1 (?!is\b|address\b)[a-z]+s\b[^&]")
    assert [found for text in texts for found in plural.findall(text)] == []
    assert "1 file" in to_datacite(known)["sizes"]


@rdflib_warns
@every_version
def test_mlcroissant_finds_no_error_and_lists_every_file_with_its_checksum(
    of: tuple[str, str],
) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    known = facts(of)

    metadata = mlcroissant.Dataset(jsonld=to_croissant(known)).metadata

    objects = {
        item.name: item.sha256
        for item in metadata.distribution
        if isinstance(item, mlcroissant.FileObject)
    }
    assert objects == {
        **{resource.path: resource.sha256 for resource in known.resources},
        **{file.path: file.sha256 for file in known.files},
    }
    sets = [item.name for item in metadata.distribution if isinstance(item, mlcroissant.FileSet)]
    assert sets == [group.glob for group in known.groups]
    assert metadata.ctx.is_live_dataset is (of[1] == "live")
    assert metadata.ctx.conforms_to.value == "http://mlcommons.org/croissant/1.1"
    warnings = [text for text in metadata.ctx.issues.warnings if "MAJOR.MINOR.PATCH" not in text]
    assert warnings == []


@every_version
def test_datacite_follows_its_schema_and_its_own_writer_writes_the_same_xml(
    of: tuple[str, str],
) -> None:
    schema = pytest.importorskip("datacite.schema45")
    document = to_datacite(facts(of))

    assert [error.message for error in schema.validator.iter_errors(document)] == []
    theirs, ours = parts(schema.tostring(document)), parts(to_xml(facts(of)))
    assert ours - theirs == {f"{{{KERNEL}}}identifier[('identifierType', 'DOI')] :unas"}
    assert theirs - ours == set()


def parts(text: str) -> set[str]:
    """Return every element of an XML text that has a text, with its attributes."""
    root = ET.fromstring(text.encode())  # noqa: S314 - made here
    return {
        f"{element.tag}{sorted(element.attrib.items())} {element.text.strip()}"
        for element in root.iter()
        if element.text and element.text.strip()
    }


@rdflib_warns
@every_version
def test_schema_org_is_read_without_a_network_and_says_what_is_known(of: tuple[str, str]) -> None:
    rdflib = pytest.importorskip("rdflib")
    known = facts(of)

    graph = rdflib.Graph().parse(data=json.dumps(to_schema_org(known)), format="json-ld")

    subject, word = rdflib.URIRef(known.identifier), rdflib.Namespace(SCHEMA_ORG)
    assert str(graph.value(subject, word.name)) == known.title
    sums = {str(value) for value in graph.objects(None, word.sha256)}
    beside = {resource.sha256 for resource in known.resources}
    assert sums == beside | {file.sha256 for file in known.files}
    measured = {
        str(graph.value(node, word.name)) for node in graph.objects(subject, word.variableMeasured)
    }
    assert measured == set(known.variables)
    assert len(list(graph.objects(subject, word.license))) == len(known.licences)


@every_version
def test_rocrate_reads_the_crate_back(of: tuple[str, str], tmp_path: Path) -> None:
    rocrate = pytest.importorskip("rocrate.rocrate")
    known = facts(of)
    (tmp_path / METADATA_NAME).write_text(json.dumps(to_rocrate(known)), encoding="utf-8")

    crate = rocrate.ROCrate(tmp_path)

    assert (crate.name, crate.version) == (known.title, "1.1")
    assert crate.root_dataset["identifier"] == known.identifier
    hashes = {entity.id: entity.get("sha256") for entity in crate.data_entities}
    expected = {file.urls[0]: file.sha256 for file in known.files if file.urls}
    assert {url: hashes[url] for url in expected} == expected
    assert dangling(to_rocrate(known)) == []


def dangling(document: dict[str, Any]) -> list[str]:
    """Return references of the root, other than to its sources, that have no entity."""
    entities = {entity["@id"]: entity for entity in document["@graph"]}
    root = {key: value for key, value in entities["./"].items() if key != "isBasedOn"}
    lists = [value for value in root.values() if isinstance(value, list)]
    return [item["@id"] for items in lists for item in items if item["@id"] not in entities]


@rdflib_warns
@every_version
def test_dcat_conforms_to_the_shapes_in_both_formats(of: tuple[str, str]) -> None:
    pyshacl = pytest.importorskip("pyshacl")
    rdflib = pytest.importorskip("rdflib")
    isomorphic = rdflib.compare.isomorphic if hasattr(rdflib, "compare") else None

    turtle = rdflib.Graph().parse(data=to_turtle(facts(of)), format="turtle")
    json_ld = rdflib.Graph().parse(data=json.dumps(to_dcat(facts(of))), format="json-ld")

    conforms, _, report = pyshacl.validate(turtle, shacl_graph=shapes())
    assert conforms, report
    assert len(turtle) == len(json_ld)
    assert isomorphic is None or isomorphic(turtle, json_ld)


def test_the_shapes_find_what_is_missing() -> None:
    pyshacl = pytest.importorskip("pyshacl")
    rdflib = pytest.importorskip("rdflib")
    graph = rdflib.Graph().parse(data=to_turtle(facts(("uno_ccle", "1.0"))), format="turtle")
    dcat = rdflib.Namespace("http://www.w3.org/ns/dcat#")
    graph.remove((None, dcat.accessURL, None))

    conforms, _, report = pyshacl.validate(graph, shacl_graph=shapes())

    assert not conforms
    assert "Result Path: dcat:accessURL" in report


@pytest.mark.reference
def test_sha256sum_checks_what_was_fetched_by_the_registry_s_own_list(shared: Path) -> None:
    root = sciml_data.get_dataset("uno_almanac", mirrors=[f"file:{shared}/mirror"]).root
    checksums = REGISTRY.root / "checksums" / "uno_almanac-1.0.sha256"

    checked = subprocess.run(
        ["sha256sum", "--strict", "-c", str(checksums)],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout.splitlines() == [
        f"{file.path}: OK" for file in facts(("uno_almanac", "1.0")).files
    ]
