"""A run leaves its model for stock Keras, with a card, and the digest of its weights."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sciml_data.bench.record.record import load_record
from sciml_data.bench.run.journal import Prepared
from sciml_data.bench.run.model_folder import SavedModel, save_model, write_card
from sciml_data.bench.scoring.predictions import load_predictions
from tests.support.paths import ROOT
from tests.support.toy import toy_problem, toy_source

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
# Neither sciml_data nor a runner can be imported in this process.
PREDICT = """
import sys
sys.modules["sciml_data"] = None
import keras, numpy
model = keras.saving.load_model(sys.argv[1])
numpy.save(sys.argv[3], numpy.asarray(model(numpy.load(sys.argv[2]), training=False)))
"""


def test_stock_keras_predicts_the_stored_predictions(done: Path, tmp_path: Path) -> None:
    problem, _ = toy_problem()
    np.save(tmp_path / "x.npy", problem.inputs["test"])
    arguments = [done / "model" / "model.keras", tmp_path / "x.npy", tmp_path / "y.npy"]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    subprocess.run(
        [sys.executable, "-P", "-c", PREDICT, *map(str, arguments)],
        check=True,
        cwd=tmp_path,
        env=environment,
    )
    stored = load_predictions(done / "predictions.nc")["test"].predicted

    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), stored, rtol=0, atol=1e-6)


def test_the_record_has_the_digests_of_model_and_weights(done: Path) -> None:
    record = load_record(done)
    for name, path in (("keras", "model/model.keras"), ("card", "model/README.md")):
        stated = record["outputs"][name]
        assert stated["path"] == path
        assert stated["sha256"] == hashlib.sha256((done / path).read_bytes()).hexdigest()
    assert record["model"]["weights_digest"].startswith("sha256:")
    assert sorted(path.name for path in (done / "model").iterdir()) == ["README.md", "model.keras"]


def test_the_card_has_data_scores_baselines_and_how_to_load(done: Path) -> None:
    record, text = load_record(done), (done / "model" / "README.md").read_text(encoding="utf-8")
    row = record["metrics"][0]

    assert record["run_id"] in text
    assert record["model"]["weights_digest"] in text
    assert record["dataset"]["manifest_digest"] in text
    assert record["split"]["members_digest"] in text
    assert "| part | metric | this model | mean |" in text
    assert f"{row['score']:.6g} | {row['baselines']['mean']:.6g} |" in text
    assert 'keras.saving.load_model("model.keras")' in text
    assert "| (None, 5) | float32 |" in text
    assert "## Limits" in text


def test_a_card_of_a_sample_says_so_and_names_the_licence(
    done: Path, prepared: Prepared, tmp_path: Path
) -> None:
    shutil.copytree(done, tmp_path / "run")
    record = {**load_record(done), "synthetic": True}
    source = replace(toy_source(), files=_Files())  # type: ignore[arg-type]
    write_card(tmp_path / "run", record, prepared.task, source, SavedModel("it needs a layer"))
    text = (tmp_path / "run" / "model" / "README.md").read_text(encoding="utf-8")

    assert "Trained on a synthetic sample" in text
    assert "Licence of the data: GPL-3.0-only" in text
    assert "There is no `model.keras`: it needs a layer" in text
    assert "checkpoint/best.weights.h5" in text
    assert "load_model" not in text


class _Files:
    """Ready files of a dataset of the registry; only their descriptor is read."""

    @property
    def descriptor(self) -> Any:
        from sciml_data.registry.descriptor import load_descriptor
        from sciml_data.registry.layout import find_registry

        return load_descriptor(find_registry(), "uno_almanac")


def test_a_model_of_an_earlier_process_does_not_stay(tmp_path: Path) -> None:
    import keras

    class Own(keras.layers.Layer):  # type: ignore[misc] # Keras ships no types
        def build(self, shape: Any) -> None:
            self.kernel = self.add_weight(shape=(shape[-1], 2))

        def call(self, values: Any) -> Any:
            return keras.ops.matmul(values, self.kernel)

    problem, _ = toy_problem()
    assert save_model(problem, problem.build(), tmp_path).reason == ""
    inputs = keras.Input((5,))
    saved = save_model(problem, keras.Model(inputs, Own()(inputs)), tmp_path)

    assert "Own has trainable weights" in saved.reason
    assert list((tmp_path / "model").iterdir()) == []


def test_the_digest_of_weights_is_a_function_of_their_values(done: Path) -> None:
    from sciml_data.bench.run.model_folder import weights_digest

    problem, _ = toy_problem()
    model = problem.build()
    first = weights_digest(model)
    weights: list[Any] = model.get_weights()
    model.set_weights([values + 1 for values in weights])
    changed = weights_digest(model)
    model.set_weights(weights)

    assert weights_digest(model) == first != changed


def test_the_schema_of_records_knows_the_new_outputs() -> None:
    path = ROOT / "sciml_data" / "bench" / "record" / "record.schema.json"
    schema: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    assert {"keras", "card"} <= set(schema["properties"]["outputs"]["properties"])
