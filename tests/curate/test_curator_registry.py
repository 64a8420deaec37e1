"""A second registry with a dataset and a runner of one's own, from files to a scored run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner, Result

from sciml_data.bench.record.record import load_record
from sciml_data.cli import group
from sciml_data.curate.new import HEADINGS
from sciml_data.errors import SciMLDataError
from sciml_data.registry import TO_FILL
from sciml_data.testing.server import FileServer
from tests.support.paths import TOY_REGISTRY

TOY = TOY_REGISTRY / "runners" / "toy"
# Keras 3.15 converts its own variables in a way NumPy 2.4 warns of, when it saves weights.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(group, arguments)
    if isinstance(result.exception, SciMLDataError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def write_points(folder: Path) -> None:
    """Write 330 rows of 5 numbers and the 2 that follow from them, as the toy runner wants."""
    folder.mkdir()
    rng = np.random.default_rng(3)
    inputs = rng.normal(size=(330, 5)).astype("float32")
    with h5py.File(folder / "points.h5", "w") as file:
        file["inputs"] = inputs
        file["targets"] = np.tanh(inputs @ rng.normal(size=(5, 2)).astype("float32"))


def fill(root: Path) -> None:
    """Write what a curator has to write."""
    folder = root / "datapackages" / "toy_points"
    path = folder / "1.0" / "datapackage.json"
    document = json.loads(path.read_text())
    document["description"] = "Two smooth functions of five normal numbers. Made up for tests. " * 2
    variables = document["sciml"]["variables"]
    for name, axis in (("inputs", "feature"), ("targets", "output")):
        variables[name] |= {"dims": ["sample", axis], "units": None, "long_name": name}
    path.write_text(json.dumps(document))
    parts = [f"## {heading}\n\nMade up for tests.\n" for heading in HEADINGS]
    (folder / "README.md").write_text("\n".join(["# toy_points\n", *parts]))


@pytest.mark.slow
def test_a_dataset_of_ones_own_is_trained_on_by_a_runner_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the registry is named by a relative path
    root = tmp_path / "mine"
    write_points(tmp_path / "raw")
    shutil.copytree(TOY, root / "runners" / "toy", ignore=shutil.ignore_patterns("__pycache__"))
    with FileServer(tmp_path / "raw") as server:
        run(
            "new", "toy_points", "1.0", "--registry", "mine", "--files", "raw",
            "--mirror", server.url, "--title", "Toy points", "--license", "CC0-1.0",
            "--creator", "A user", "--source", "https://example.org/points",
            "--citation", "A user (2026): Toy points.",
            "--keyword", "toy", "--keyword", "points", "--keyword", "synthetic",
        )  # fmt: skip
        assert TO_FILL in (root / "datapackages/toy_points/1.0/datapackage.json").read_text()
        fill(root)
        run("check", "--registry", "mine")
        run("derive", "--registry", "mine")
        run("derive", "--check", "--registry", "mine")
        listed = json.loads(run("list", "--json", "--registry", "mine").stdout)

        trained = run(
            "run", "toy", "--registry", "mine", "--strategy", "default", "--set", "epochs=1"
        )

    own = [item["name"] for item in listed if item["registry"]]  # the built-in registry has no name
    assert own == ["toy_points", "toy"]
    record = load_record(Path(trained.stdout.split()[-1]))
    assert record["status"] == "success"
    assert record["synthetic"] is False
    assert record["dataset"]["n_samples"] == {"train": 203, "validation": 65, "test": 62}
    assert len(record["curve"]) == 1
