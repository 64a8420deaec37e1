"""A licence that is not stated stays so, in the way of each vocabulary; and other edge cases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sciml_data.metadata.croissant import to_croissant
from sciml_data.metadata.datacite import to_datacite
from sciml_data.metadata.dcat import to_dcat
from sciml_data.metadata.facts import Facts, facts_of
from sciml_data.metadata.rocrate import to_rocrate
from sciml_data.metadata.schema_org import to_schema_org
from sciml_data.registry.descriptor import Descriptor, load_descriptor, read_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.registry.manifest import Entry, Manifest
from sciml_data.testing.datasets import change_descriptor, write_dataset
from tests.support.small_registry import small_registry
from tests.support.versions import rdflib_warns


@pytest.fixture(scope="module")
def unlicensed() -> Facts:
    return facts_of(load_descriptor(find_registry(), "dms_sim", "1.0"))


def test_schema_org_and_croissant_have_a_work_that_says_so(unlicensed: Facts) -> None:
    for document in (to_schema_org(unlicensed), to_croissant(unlicensed)):
        (licence,) = document["license"]
        assert licence["name"] == "licence not stated"
        assert licence["description"].startswith("No licence stated (looked for in")
        assert "url" not in licence


def test_datacite_has_a_sentence_without_an_identifier(unlicensed: Facts) -> None:
    assert sorted(to_datacite(unlicensed)["rightsList"][0]) == ["rights"]


def test_dcat_has_a_statement_of_rights_and_no_licence(unlicensed: Facts) -> None:
    dataset = to_dcat(unlicensed)["@graph"][0]

    assert "dct:license" not in dataset
    assert [right["rdfs:label"][:17] for right in dataset["dct:rights"][1:]] == [
        "No licence stated"
    ]


def test_rocrate_has_an_entity_that_says_so(unlicensed: Facts) -> None:
    entities = {entity["@id"]: entity for entity in to_rocrate(unlicensed)["@graph"]}

    (reference,) = entities["./"]["license"]
    assert entities[reference["@id"]]["name"] == "licence not stated"
    assert reference["@id"].startswith("#")


def with_hashes(tmp_path: Path, hashes: list[str]) -> Descriptor:
    names = [f"part/{number}.h5" for number, _ in enumerate(hashes)]
    folder = write_dataset(
        tmp_path, dict.fromkeys(names, b"x"), mirrors=[{"": "https://example.org/"}]
    ).folder
    entries = (Entry(name, 1, known) for name, known in zip(names, hashes, strict=True))
    path = folder / "manifest.csv"
    path.write_text(Manifest(tuple(sorted(entries))).dump())
    change_descriptor(folder, lambda document: renew(document["resources"][0], path))
    return read_descriptor(folder)


def renew(resource: dict[str, Any], path: Path) -> None:
    from sciml_data.registry.manifest import hash_file

    resource |= {"bytes": path.stat().st_size, "hash": hash_file(path)}


@rdflib_warns
def test_croissant_gives_md5_where_it_is_known_and_leaves_other_hashes_to_the_manifest(
    tmp_path: Path,
) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    kinds = ["sha256:" + "a" * 64, "md5:" + "b" * 32, "s3etag:" + "c" * 32]
    others = ["s3etag:" + "d" * 32 + "-2:8388608", "gitblob:" + "e" * 40]
    known = facts_of(with_hashes(tmp_path, [*kinds, *others]))

    items = mlcroissant.Dataset(jsonld=to_croissant(known)).metadata.distribution

    sums = [(item.name, item.sha256 or item.md5) for item in items[:-1]]
    assert sums == [
        ("manifest.csv", known.resources[0].sha256),
        ("part/0.h5", "a" * 64),
        ("part/1.h5", "b" * 32),
        ("part/2.h5", "c" * 32),
    ]
    assert items[-1].name == "part/*.h5"
    assert "of each stand in the manifest" in items[-1].description
    assert "2 files" in items[-1].description


@rdflib_warns
def test_a_name_with_blanks_is_a_file_of_croissant(tmp_path: Path) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    files = {"two words/a b.h5": b"x", "two_words/a_b.h5": b"x"}
    known = facts_of(write_dataset(tmp_path, files, mirrors=[{"": "https://example.org/"}]))

    items = mlcroissant.Dataset(jsonld=to_croissant(known)).metadata.distribution

    assert [(item.name, item.content_url) for item in items[1:]] == [
        ("two words/a b.h5", "https://example.org/two%20words/a%20b.h5"),
        ("two_words/a_b.h5", "https://example.org/two_words/a_b.h5"),
    ]


@rdflib_warns
def test_thousands_of_files_are_a_set_and_the_manifest(tmp_path: Path) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    known = facts_of(with_hashes(tmp_path, [f"sha256:{number:064x}" for number in range(1001)]))

    items = mlcroissant.Dataset(jsonld=to_croissant(known)).metadata.distribution

    assert [(type(item).__name__, item.name) for item in items] == [
        ("FileObject", "manifest.csv"),
        ("FileSet", "part/*.h5"),
    ]
    assert len(json.dumps(to_schema_org(known))) < 10_000
    assert len(to_rocrate(known)["@graph"]) < 20


@rdflib_warns
def test_the_records_of_the_manifest_are_read_through_croissant() -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    descriptor = load_descriptor(find_registry(), "uno_almanac", "1.0")
    manifest = descriptor.manifest
    assert manifest is not None

    dataset = mlcroissant.Dataset(
        jsonld=to_croissant(facts_of(descriptor)),
        mapping={"manifest": descriptor.folder / "manifest.csv"},
    )

    read = [
        (row["records/manifest/path"].decode(), row["records/manifest/bytes"])
        for row in dataset.records("records/manifest")
    ]
    assert read == [(entry.path, entry.size_bytes) for entry in manifest]


def test_an_unknown_creator_or_publisher_is_marked_as_unknown(tmp_path: Path) -> None:
    folder = small_registry(tmp_path).package("waves", "1.0")

    document = to_datacite(facts_of(read_descriptor(folder)))

    assert document["creators"] == [{"name": ":unkn"}]
    assert document["publisher"] == {"name": ":unkn"}


def test_datacite_says_what_its_year_means(unlicensed: Facts) -> None:
    document = to_datacite(unlicensed)

    assert document["publicationYear"] == "2026"
    assert document["dates"][0]["dateInformation"] == (
        "described in the registry; upstream does not state when it published the files"
    )
    assert "doi" not in document


def write_rows(folder: Path, ending: str) -> Facts:
    """Write a table as a native file of a dataset, and return the facts of the dataset."""
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    table = pandas.DataFrame({"name": ["a", "b"], "height": [0.5, 1.5], "count": [1, 2]})
    kinds = {"name": "string", "height": "number", "count": "integer"}
    native: dict[str, Any] = {"columns": {name: name for name in kinds}}
    path = folder / f"rows.{ending}"
    folder.mkdir()
    if ending == "csv":
        table.to_csv(path, index=False)
        fields = [{"name": name, "type": kind} for name, kind in kinds.items()]
        native |= {"reader": "csv_table", "schema": {"fields": fields}}
    else:
        table.to_parquet(path)
        native |= {"reader": "parquet_table"}
    dtypes = {"name": "S", "height": "float64", "count": "int64"}
    variables = {
        name: {"dims": ["row"], "dtype": dtype, "long_name": name} for name, dtype in dtypes.items()
    }
    package = write_dataset(
        folder / "registry", {path.name: path.read_bytes()}, mirrors=[{"": "https://a.org/"}]
    ).folder
    block = {"native": native, "variables": variables}
    change_descriptor(package, lambda document: document["sciml"].update(block))
    return facts_of(read_descriptor(package))


@rdflib_warns
@pytest.mark.filterwarnings("ignore:The inplace keyword")  # in mlcroissant, with a new pandas
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_the_rows_of_a_table_are_read_through_croissant(tmp_path: Path, ending: str) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    known = write_rows(tmp_path / ending, ending)
    name = f"native/rows.{ending}"

    dataset = mlcroissant.Dataset(
        jsonld=to_croissant(known), mapping={name: tmp_path / ending / f"rows.{ending}"}
    )
    rows = list(dataset.records(f"records/{name}"))

    assert [row[f"records/{name}/name"] for row in rows] == [b"a", b"b"]
    assert [row[f"records/{name}/height"] for row in rows] == [0.5, 1.5]
    assert [row[f"records/{name}/count"] for row in rows] == [1, 2]
