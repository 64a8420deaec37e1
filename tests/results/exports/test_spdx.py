"""SPDX's own bindings read a run's AI bill of materials, which says what the record says."""

from __future__ import annotations

import copy
import io
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sciml_data.bench.monitoring.machine import ENVIRONMENT, environment
from sciml_data.cli import group
from sciml_data.errors import RecordError
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import find_registry
from tests.support.run_samples import written_run

Node = dict[str, Any]


def document(run: Path, *words: str) -> Node:
    result = CliRunner().invoke(group, ["export", "spdx", str(run), *words])
    assert result.exit_code == 0, result.exception
    made: Node = json.loads(result.stdout)
    return made


def read(made: Node) -> Any:
    """Return the objects of a document, as the official bindings read them."""
    spdx = pytest.importorskip("spdx_python_model.bindings.v3_0_1")
    objects = spdx.SHACLObjectSet()
    text = io.BytesIO(json.dumps(made).encode())
    spdx.JSONLDDeserializer().read(text, objects)
    # Writing checks that each required property is there.
    spdx.JSONLDSerializer().write(objects, io.BytesIO())
    return objects


def problems(made: Node) -> str:
    """Return what the official bindings say is wrong; empty for a valid document."""
    try:
        objects = read(made)
    except Exception as error:  # noqa: BLE001 - the bindings raise errors of many types
        return f"{type(error).__name__}: {error}"
    missing = objects.link()
    return f"missing: {sorted(missing)}" if missing else ""


def of_type(made: Node, kind: str) -> list[Node]:
    return [node for node in made["@graph"] if node["type"] == kind]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    written_run(tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.parametrize("synthetic", [False, True])
def test_the_official_bindings_find_nothing_wrong(tmp_path: Path, *, synthetic: bool) -> None:
    written_run(tmp_path / "run", synthetic=synthetic)

    assert problems(document(tmp_path / "run", "--org", "A Laboratory")) == ""
    assert problems(document(tmp_path / "run")) == ""


def test_energy_that_was_measured_is_read(tmp_path: Path) -> None:
    energy = {"measured": True, "method": "RAPL", "cpu_energy_j": 2.5e6, "gpu_energy_j": None}
    written_run(tmp_path / "run", energy={**energy, "reason": None})
    made = document(tmp_path / "run")
    (model,) = of_type(made, "ai_AIPackage")

    assert problems(made) == ""
    (known,) = model["ai_energyConsumption"]["ai_trainingEnergyConsumption"]
    assert (known["ai_energyQuantity"], known["ai_energyUnit"]) == (2.5, "megajoule")


def broken(made: Node, kind: str, name: str, value: Any) -> Node:
    """Return a document with another value of a property; None removes the property."""
    changed = copy.deepcopy(made)
    (node, *_) = of_type(changed, kind)
    if value is None:
        del node[name]
    else:
        node[name] = value
    return changed


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        ("ai_AIPackage", "software_primaryPurpose", "network"),
        ("ai_AIPackage", "ai_hyperparameters", []),
        ("ai_AIPackage", "ai_metric", [{"type": "DictionaryEntry", "value": "1"}]),
        ("dataset_DatasetPackage", "dataset_datasetType", None),
        ("dataset_DatasetPackage", "dataset_datasetSize", -1),
        ("build_Build", "build_buildType", None),
        ("build_Build", "build_buildStartTime", "yesterday"),
        ("CreationInfo", "specVersion", "three"),
        ("CreationInfo", "createdBy", None),
        ("Relationship", "relationshipType", "learnedFrom"),
        ("Relationship", "to", ["https://example.org/nothing"]),
        ("SpdxDocument", "type", "SpdxFile"),
    ],
)
def test_a_broken_document_is_found(run: Path, kind: str, name: str, value: Any) -> None:
    made = document(run)
    assert problems(made) == ""

    assert problems(broken(made, kind, name, value))


def test_the_model_has_settings_scores_and_why_there_is_no_energy(run: Path) -> None:
    (model,) = of_type(document(run), "ai_AIPackage")
    settings = {entry["key"]: entry["value"] for entry in model["ai_hyperparameter"]}
    scores = {entry["key"]: entry["value"] for entry in model["ai_metric"]}

    assert settings == {"epochs": "1"}
    assert scores == {"rmse.a, part test": "0.5", "rmse.b, part test": "0.125"}
    assert model["comment"].startswith("Energy: not measured: ")
    assert "seed 0; split thirds" in model["ai_informationAboutTraining"]


def test_the_dataset_has_its_digest_its_licences_and_its_biases(run: Path) -> None:
    made, record = document(run), json.loads((run / "record.json").read_text())
    (dataset,) = of_type(made, "dataset_DatasetPackage")
    descriptor = load_descriptor(find_registry(), "tevolop_socal", "1.0")

    digests = [item["hashValue"] for item in dataset["verifiedUsing"]]
    assert digests == [record["dataset"]["manifest_digest"].removeprefix("sha256:")]
    assert dataset["dataset_knownBias"] == descriptor.document["sciml"]["responsible_ai"]["biases"]
    assert dataset["dataset_hasSensitivePersonalInformation"] == "no"
    assert dataset["dataset_datasetSize"] == descriptor.manifest.total_bytes  # type: ignore[union-attr]
    (declared,) = [
        node
        for node in of_type(made, "Relationship")
        if node["relationshipType"] == "hasDeclaredLicense" and node["from"] == dataset["spdxId"]
    ]
    names = {
        node["spdxId"]: node["simplelicensing_licenseExpression"]
        for node in of_type(made, "simplelicensing_LicenseExpression")
    }
    assert [names[identifier] for identifier in declared["to"]] == [
        "NOASSERTION",
        "LicenseRef-US-public-domain",
    ]


def test_a_synthetic_sample_claims_nothing_of_the_dataset(tmp_path: Path) -> None:
    written_run(tmp_path / "run", synthetic=True)
    made = document(tmp_path / "run")
    (dataset,) = of_type(made, "dataset_DatasetPackage")
    (model,) = of_type(made, "ai_AIPackage")

    assert dataset["name"].startswith("synthetic sample of ")
    assert "dataset_knownBias" not in dataset
    assert "not results" in model["ai_limitation"]


def test_the_build_has_environment_and_hardware(tmp_path: Path) -> None:
    record = written_run(tmp_path / "run")
    software = {**record["software"], "environment": {"XLA_FLAGS": "--xla_cpu_enable_fast_math"}}
    written_run(tmp_path / "run", software=software)
    (build,) = of_type(document(tmp_path / "run"), "build_Build")
    environment = {entry["key"]: entry["value"] for entry in build["build_environment"]}

    assert environment["XLA_FLAGS"] == "--xla_cpu_enable_fast_math"
    assert environment["hardware.host_processor_available_cores"] == "2"
    assert build["build_buildStartTime"] == "2026-08-07T12:00:00Z"


def test_a_run_without_a_model_has_no_bill_of_materials(tmp_path: Path) -> None:
    written_run(tmp_path / "run", status="failed", reason="the disk is full", metrics=[])

    result = CliRunner().invoke(group, ["export", "spdx", str(tmp_path / "run")])

    assert isinstance(result.exception, RecordError)


SECRET = {
    "TF_CONFIG": "node12:2222", "KERAS_HOME": "/home/jane", "NCCL_COMM_ID": "10.0.0.1:5000",
    "NCCL_DEBUG_FILE": "/home/jane/nccl.%h", "SLURM_JOB_NODELIST": "node[1-4]", "USER": "jane",
    "SLURM_JOB_USER": "jane", "HOSTNAME": "node12", "AWS_SECRET_ACCESS_KEY": "x",
    "SLURM_SUBMIT_DIR": "/home/jane", "TF_CPP_LOG_FILE": "x", "OMP_TARGET": "y",
}  # fmt: skip


def test_a_record_keeps_the_variables_of_the_list_and_no_others() -> None:
    known = dict.fromkeys(ENVIRONMENT, "1")

    assert environment({**SECRET, **known}) == known
    assert set(SECRET) & set(ENVIRONMENT) == set()


def test_a_record_counts_devices_that_are_named_by_their_id() -> None:
    names = "GPU-8932f937-d72c,MIG-a1b2"

    assert environment({"CUDA_VISIBLE_DEVICES": names}) == {"CUDA_VISIBLE_DEVICES": "2 by id"}
    assert environment({"CUDA_VISIBLE_DEVICES": "0,1"}) == {"CUDA_VISIBLE_DEVICES": "0,1"}
