"""The JAX backend: the losses of TensorFlow, the same records, and no TensorFlow on the way.

Keras takes its backend once a process, so each test has processes of its own.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sciml_data.bench.training import backend, jax_backend
from sciml_data.errors import CallError

HERE = Path(__file__).parent
LOSS_TOLERANCE = 1e-4  # relative, after 3 epochs: other kernels, other order of float32 sums
# ROWS % BATCH is not 0: the last batch of an epoch is smaller.
ROWS, BATCH = 50, 16

needs_jax = pytest.mark.skipif(
    importlib.util.find_spec("jax") is None, reason="pip install 'sciml-data[jax]'"
)

# Run in a process of its own, before anything else: TensorFlow is not to be had.
WITHOUT_TENSORFLOW = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] == 'tensorflow':
            raise ImportError('no TensorFlow on this machine')
sys.meta_path.insert(0, Refuse())
"""


def said_by(code: str, **variables: str) -> Any:
    """Return what a process prints last, as JSON."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **variables}
    environment |= {"PYTHONPATH": f"{HERE}{os.pathsep}{HERE.parent}"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=False, timeout=300, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


TRAIN = """
import json, sys
from test_backend_jax import conv_losses
print(json.dumps(conv_losses({changed!r})))
"""


class ConvProblem:
    """A U-Net of one level on 8 x 8 pixels: dropout-free, weights made with NumPy, masked."""

    parts = ("train", "validation")

    def __init__(self) -> None:
        random = np.random.default_rng(5)
        images = random.normal(size=(2 * ROWS, 8, 8, 3)).astype("float32")
        masks = (images.sum(axis=-1, keepdims=True) > 0).astype("float32")
        valid = (random.random(masks.shape) > 0.2).astype("float32")
        cuts = {"train": slice(0, ROWS), "validation": slice(ROWS, None)}
        self.arrays = {part: (images[cut], masks[cut], valid[cut]) for part, cut in cuts.items()}
        self.sizes = {part: len(arrays[0]) for part, arrays in self.arrays.items()}

    def build(self) -> Any:
        import keras

        layers = keras.layers
        image = keras.Input((8, 8, 3))
        fine = layers.Conv2D(4, 3, padding="same", activation="relu")(image)
        coarse = layers.Conv2D(8, 3, padding="same", activation="relu")(layers.MaxPool2D()(fine))
        joined = layers.Concatenate()([layers.UpSampling2D()(coarse), fine])
        model = keras.Model(
            image, layers.Conv2D(1, 1, activation="sigmoid", dtype="float32")(joined)
        )
        random = np.random.default_rng(7)
        model.set_weights(
            [random.normal(0, 0.3, value.shape).astype("float32") for value in model.get_weights()]
        )
        return model

    def batches(self, part: str, *, batch_size: int, seed: int) -> Any:
        order = np.random.default_rng(seed).permutation(self.sizes[part])
        for first in range(0, len(order), batch_size):
            chosen = order[first : first + batch_size]
            yield tuple(array[chosen] for array in self.arrays[part])

    def sample_loss(self, targets: Any, predictions: Any, weights: Any) -> tuple[Any, Any]:
        from keras import ops

        losses = ops.binary_crossentropy(targets, predictions) * weights
        return ops.sum(losses), ops.sum(weights)

    def samples_in(self, weights: Any) -> Any:
        from keras import ops

        return ops.shape(weights)[0]


def conv_losses(changed: dict[str, Any], *, strategy: Any = None) -> list[tuple[float, float, int]]:
    """Return (training loss, validation loss, samples) of 3 epochs."""
    from sciml_data.bench.task.settings import LOOP_DEFAULTS
    from sciml_data.bench.training.loop import Training, train

    strategy = strategy or backend.current().make_strategy("default", {})
    settings = {**LOOP_DEFAULTS, "epochs": 3, "batch_size": BATCH, "learning_rate": 0.01, **changed}
    training = Training(settings=settings, seed=1, strategy=strategy)
    curve = train(ConvProblem(), training).progress.curve  # type: ignore[arg-type]
    return [(row["train_loss"], row["validation_loss"], row["samples"]) for row in curve]


@needs_jax
@pytest.mark.slow
def test_jax_gives_the_losses_of_tensorflow() -> None:
    changed = {"clip_norm": 0.05, "weight_decay": 0.001}
    code = TRAIN.format(changed=changed)

    on_jax = said_by(WITHOUT_TENSORFLOW + code, KERAS_BACKEND="jax", NPROC="1")
    on_tensorflow = said_by(code, KERAS_BACKEND="tensorflow")

    assert [samples for _, _, samples in on_jax] == [ROWS] * 3
    np.testing.assert_allclose(on_jax, on_tensorflow, rtol=LOSS_TOLERANCE)
    assert on_jax[2][0] < on_jax[0][0] * 0.9


RUN = """
import json, sys, test_cli_run
from pathlib import Path
from sciml_data.bench import staging
from sciml_data.cli import group
staging.stage = test_cli_run.points
rest = ["--registry", str(test_cli_run.REGISTRY), "--home", {home!r}]
words = ["run", "toy", "--backend", "jax", "--model", "noisy", *{words!r}]
group([*words, *rest], standalone_mode=False)
print(json.dumps("tensorflow" in sys.modules))
"""


@needs_jax
@pytest.mark.slow
def test_a_run_on_jax_leaves_a_record_and_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    from sciml_data.bench.record.record import load_record
    from sciml_data.bench.record.runs import all_runs
    from sciml_data.home import Home

    home = Home(tmp_path)
    stop = """
from sciml_data.bench import execute
note = execute._note
def stop_after_two(journal, progress, log):
    note(journal, progress, log)
    if progress.epochs == 2:
        sys.stdout.flush()
        print(json.dumps("stopped"))
        raise SystemExit(0)
"""
    run = RUN.format(home=str(tmp_path), words=["--name", "whole", "--threads", "1"])
    halted = RUN.format(home=str(tmp_path), words=["--name", "halted"])
    resumed = RUN.format(home=str(tmp_path), words=["--name", "halted"])
    halted = halted.replace(
        "staging.stage =", stop + "execute._note = stop_after_two\nstaging.stage ="
    )

    has_tensorflow = said_by(WITHOUT_TENSORFLOW + run)
    said_by(WITHOUT_TENSORFLOW + halted)
    said_by(WITHOUT_TENSORFLOW + resumed)

    one, other = (load_record(folder) for folder in sorted(all_runs(home), reverse=True))
    assert not has_tensorflow
    assert one["status"] == "success"
    assert one["model"]["framework"] == "Keras 3 on JAX (experimental)"
    assert (one["distribution"]["backend"], one["distribution"]["device_type"]) == ("jax", "cpu")
    assert one["software"]["libraries"]["jax"]
    assert one["hardware"]["intra_op_threads"] == 1
    assert other["timing"]["resumed_epochs"] == 2
    assert one["metrics"] == other["metrics"]


@needs_jax
def test_keras_loaded_with_another_backend_is_refused_with_a_hint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import keras

    assert keras.config.backend() == "tensorflow"

    with pytest.raises(CallError, match="already loaded") as error:
        backend.choose("jax")
    assert "KERAS_BACKEND=jax" in error.value.hint


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(CallError, match="did you mean 'jax'"):
        backend.choose("jaxx")


def test_a_backend_that_is_not_installed_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)

    with pytest.raises(CallError) as error:
        backend.choose("jax")
    assert error.value.hint == "pip install 'sciml-data[jax]'"


@needs_jax
@pytest.mark.parametrize("name", ["mirrored:2", "multiworker"])
def test_several_devices_are_refused(name: str) -> None:
    with pytest.raises(CallError, match="one process on one device"):
        jax_backend.make_strategy(name, {})
