"""Place, time, instruments and responsible use appear in every export, stated once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sciml_data.metadata.coverage import (
    COLLECTION,
    LIMITATIONS,
    Box,
    Coverage,
    Instrument,
    Resolution,
    card_statements,
)
from sciml_data.metadata.croissant import GEO, RAI, to_croissant
from sciml_data.metadata.datacite import to_datacite, to_xml
from sciml_data.metadata.dcat import to_dcat
from sciml_data.metadata.facts import Facts, facts_of
from sciml_data.metadata.rocrate import to_rocrate
from sciml_data.metadata.schema_org import to_schema_org
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.testing.datasets import change_descriptor
from tests.support.small_registry import small_registry
from tests.support.versions import REGISTRY, VERSIONS, every_version, rdflib_warns


def built_in(dataset: str, version: str = "1.0") -> Facts:
    return facts_of(load_descriptor(REGISTRY, dataset, version))


@pytest.fixture(scope="module")
def quakes() -> Facts:
    return built_in("tevolop_socal")


@pytest.fixture(scope="module")
def clouds() -> Facts:
    return built_in("cloud_slstr_ds1")


def entities(facts: Facts) -> dict[str, Any]:
    return {entity["@id"]: entity for entity in to_rocrate(facts)["@graph"]}


def test_the_box_and_the_period_are_the_same_in_every_export(quakes: Facts) -> None:
    for document in (to_schema_org(quakes), to_croissant(quakes)):
        assert document["spatialCoverage"]["geo"]["box"] == "32 -122 37 -114"
        assert document["temporalCoverage"] == "1932-01-01/2026-08-07"
    (place,) = to_datacite(quakes)["geoLocations"]
    assert place["geoLocationBox"]["northBoundLatitude"] == 37
    assert "<westBoundLongitude>-122</westBoundLongitude>" in to_xml(quakes)
    assert to_datacite(quakes)["dates"][1]["date"] == "1932-01-01/2026-08-07"
    dataset = to_dcat(quakes)["@graph"][0]
    assert dataset["dct:spatial"][0]["dcat:bbox"]["@value"].startswith("POLYGON((-122 32, -114 32")
    assert dataset["dct:temporal"][0]["dcat:endDate"]["@value"] == "2026-08-07"
    crate = entities(quakes)
    assert crate["./"]["temporalCoverage"] == "1932-01-01/2026-08-07"
    assert crate["#place-box"]["box"] == "32,-122 37,-114"


def test_instrument_and_resolution_are_in_every_export(clouds: Facts) -> None:
    label = "SLSTR, Sea and Land Surface Temperature Radiometer, Sentinel-3A"
    for document in (to_schema_org(clouds), to_croissant(clouds)):
        assert document["measurementTechnique"] == [label]
        (resolution,) = document["additionalProperty"]
        assert (resolution["value"], resolution["unitText"]) == (1, "km")
    methods = [
        item["description"]
        for item in to_datacite(clouds)["descriptions"]
        if item["descriptionType"] == "Methods"
    ]
    assert f"Instrument: {label}. Spatial resolution: 1 km." in methods[0]
    dataset = to_dcat(clouds)["@graph"][0]
    assert dataset["dcat:spatialResolutionInMeters"]["@value"] == "1000.0"
    (activity,) = dataset["prov:wasGeneratedBy"]
    assert activity["prov:used"][0]["rdfs:label"]["@value"] == label
    making = entities(clouds)["#making"]
    assert making["instrument"] == [{"@id": "#instrument-1"}]
    assert entities(clouds)["#instrument-1"]["@type"] == "IndividualProduct"


def test_data_that_are_still_added_have_an_open_end() -> None:
    live = built_in("tevolop_socal", "live")

    assert to_schema_org(live)["temporalCoverage"] == "1932-01-01/.."
    assert to_datacite(live)["dates"][1]["date"] == "1932-01-01/"
    assert "dcat:endDate" not in to_dcat(live)["@graph"][0]["dct:temporal"][0]


def test_a_dataset_without_a_statement_has_none_in_any_export(tmp_path: Path) -> None:
    registry = small_registry(tmp_path)
    (registry.root / "datapackages" / "waves" / "README.md").unlink()
    waves = facts_of(load_descriptor(registry, "waves"))

    assert waves.coverage == Coverage()
    texts = [json.dumps(made(waves)) for made in (to_schema_org, to_datacite, to_dcat, to_rocrate)]
    for word in ("spatialCoverage", "temporalCoverage", "geoLocation", "dct:spatial", "Collected"):
        assert word not in " ".join(texts)
    croissant = to_croissant(waves)
    assert [key for key in croissant if key.startswith(("rai:", "geocr:"))] == []
    assert croissant["conformsTo"] == "http://mlcommons.org/croissant/1.1"


@pytest.mark.parametrize("dataset", ["tevolop_socal", "tevolop_japan", "cloud_slstr_ds1"])
def test_data_of_the_earth_conform_to_geocroissant(dataset: str) -> None:
    made = to_croissant(built_in(dataset))

    assert GEO in made["conformsTo"]
    assert made["geocr:spatialResolution"]["@type"] == "QuantitativeValue"
    assert made["geocr:spatialBias"]
    assert ("geocr:coordinateReferenceSystem" in made) == dataset.startswith("tevolop")


def test_bands_have_names_and_wavelengths_in_order(clouds: Facts) -> None:
    made = to_croissant(clouds)

    names = made["geocr:bandConfiguration"]["geocr:bandNameList"]
    assert names == [f"S{number}" for number in range(1, 10)]
    assert made["geocr:bandConfiguration"]["geocr:totalBands"] == 9
    first = made["geocr:spectralBandMetadata"][0]
    assert first["geocr:centerWavelength"] == {
        "@type": "QuantitativeValue",
        "value": 0.555,
        "unitText": "um",
    }


def test_simulated_data_are_not_geographic() -> None:
    made = to_croissant(built_in("stemdl_cbed"))

    assert GEO not in made["conformsTo"]
    assert made["measurementTechnique"][0].startswith("simulation: namsa")
    assert entities(built_in("stemdl_cbed"))["#instrument-1"]["@type"] == "SoftwareApplication"


# The minimum that NeurIPS asks of a dataset in 2026, and what the working group's reviewers ask.
MINIMAL = (
    "dataCollectionType", "dataLimitations", "dataBiases", "dataUseCases",
    "personalSensitiveInformation", "dataReleaseMaintenancePlan",
)  # fmt: skip


@every_version
def test_every_version_has_the_minimal_fields_of_croissant_rai(of: tuple[str, str]) -> None:
    made = to_croissant(built_in(*of))

    assert RAI in made["conformsTo"]
    assert [name for name in MINIMAL if not made.get(f"rai:{name}")] == []


@rdflib_warns
def test_mlcroissant_reads_the_fields_of_rai(clouds: Facts) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    known, use = mlcroissant.Dataset(jsonld=to_croissant(clouds)).metadata, clouds.responsible_use

    assert known.data_biases == list(use.biases)
    assert known.data_limitations == list(use.limitations)
    assert known.data_use_cases == list(use.use_cases)
    assert known.data_annotation_protocol == [use.labels]


@rdflib_warns
def test_mlcroissant_refuses_a_document_without_its_version(quakes: Facts) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    broken = {**to_croissant(quakes), "conformsTo": [RAI, GEO]}

    with pytest.raises(mlcroissant.ValidationError, match="conformsTo"):
        mlcroissant.Dataset(jsonld=broken)


def test_the_card_gives_flaws_and_processing_without_markup() -> None:
    text = """# a

## Instrument and processing

It *scans*, see [ds1](../ds1/README.md); `refs` is
nominal.

| a | b |
|---|---|
| 1 | 2 |

    code

## Gaps and flaws

- **The label is a mask.** Not
  the truth.
- Second.

**Third** flaw.

## Versions

- none
"""

    assert card_statements(text, COLLECTION) == ["It *scans*, see ds1; refs is nominal."]
    assert card_statements(text, LIMITATIONS) == [
        "The label is a mask. Not the truth.",
        "Second.",
        "Third flaw.",
    ]


def test_every_card_has_statements_on_collection_or_flaws() -> None:
    for of in VERSIONS:
        assert built_in(*of).responsible_use.limitations, of


def test_units_are_metres_and_iso_durations() -> None:
    assert Resolution(1, "km").metres == 1000
    assert Resolution(0.1, "degree").metres is None
    assert Resolution(14, "day").duration == "P14D"
    assert Resolution(3, "minute").duration == "PT3M"
    assert Resolution(1, "km").duration is None
    assert str(Resolution(0.5, "degree")) == "0.5 degree"


def test_a_box_that_crosses_the_date_line_keeps_its_sides() -> None:
    assert Box(2, -2, -170, 170).wkt == "POLYGON((170 -2, -170 -2, -170 2, 170 2, 170 -2))"


def test_an_instrument_is_named_with_its_platform() -> None:
    assert Instrument("SLSTR", "Sentinel-3A").label == "SLSTR, Sentinel-3A"
    assert Instrument("namsa", is_simulation=True).label == "simulation: namsa"


def test_the_exports_follow_a_change_of_the_descriptor(tmp_path: Path) -> None:
    registry = small_registry(tmp_path)
    folder = registry.package("waves", "1.0")
    coverage = {"spatial": {"place": "Sea", "north": 2, "south": 1, "east": 4, "west": 3}}
    change_descriptor(folder, lambda document: document["sciml"].update(coverage=coverage))

    waves = facts_of(load_descriptor(registry, "waves"))

    assert to_schema_org(waves)["spatialCoverage"]["geo"]["box"] == "1 3 2 4"
