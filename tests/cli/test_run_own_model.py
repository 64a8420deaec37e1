"""`run --model FILE.py` trains a model of the user's own; wrong ones are a sentence and exit 2."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import Result

from sciml_data.bench.record.record import load_record
from sciml_data.bench.run.rescoring import rescore
from tests.support.toy import REGISTRY, run_cli, toy_source

# Keras 3.15 converts its own variables in a way NumPy 2.4 warns of, when it saves weights.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

TEXT = """
import keras
from keras import layers


def build(spec, settings, *, width=6):
    inputs = spec.keras_inputs()
    hidden = layers.Dense(width, activation="tanh")(inputs)
    return keras.Model(inputs, layers.Dense(spec.output.size)(layers.Dropout(0.1)(hidden)))


def wrong_shape(spec, settings):
    inputs = spec.keras_inputs()
    return keras.Model(inputs, layers.Dense(3)(inputs))


def raises(spec, settings):
    return 1 / 0


def wrong_input(spec, settings):
    inputs = keras.Input((7,))
    return keras.Model(inputs, layers.Dense(2)(inputs))


def nothing(spec, settings):
    return {"a": 1}


class Ridge:
    def __init__(self, spec, settings):
        pass

    def fit(self, x, y):
        pass

    def predict(self, x):
        return x
"""


@pytest.fixture(autouse=True)
def _points(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sciml_data.bench.stage", toy_source)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Return the file of a model."""
    path = tmp_path / "mine.py"
    path.write_text(TEXT, encoding="utf-8")
    return path


def run_toy(*words: str, home: Path) -> Result:
    return run_cli("run", "toy", "--strategy", "default", *words, home=home)


def test_a_model_is_trained_recorded_and_rescored(model: Path, tmp_path: Path) -> None:
    words = ["--model", str(model), "--set", "width=5", "--set", "epochs=2"]
    result = run_toy(*words, home=tmp_path)
    folder = Path(result.stdout.splitlines()[-1])
    record = load_record(folder)

    assert result.exit_code == 0, result.exception
    assert folder.name.endswith("own-mine-thirds-s0")
    assert record["model"]["parameters"] == 5 * 5 + 5 + 5 * 2 + 2
    assert (
        record["model"] | {"origin": "own", "kind": "keras", "name": "own-mine"} == record["model"]
    )
    assert record["model"]["source"]["sha256"] == record["outputs"]["model"]["sha256"]
    assert record["settings"]["width"] == 5
    assert record["settings_overridden"] == ["width", "epochs"]
    assert (folder / "model.py").read_text(encoding="utf-8") == TEXT
    assert (folder / "model" / "model.keras").is_file()
    assert "mine.py:build" in result.stdout
    model.write_text("raise SystemExit('the file of a model is not executed')", encoding="utf-8")
    assert rescore(folder, REGISTRY, stage=toy_source)[1] == []


def test_a_stopped_run_is_resumed_with_the_same_file_only(model: Path, tmp_path: Path) -> None:
    first = run_toy("--model", str(model), "--name", "mine", home=tmp_path)
    assert first.exit_code == 0, first.exception
    folder = tmp_path / "runs" / "toy" / "mine"
    before = load_record(folder)

    without = run_toy("--resume", "latest", home=tmp_path)
    again = run_toy("--resume", "latest", "--model", str(model), home=tmp_path)
    copied = run_toy("--resume", "latest", "--model", str(folder / "model.py"), home=tmp_path)
    model.write_text(TEXT + "\n# changed\n", encoding="utf-8")
    changed = run_toy("--resume", "latest", "--model", str(model), home=tmp_path)
    named = run_toy("--name", "mine", "--model", str(model), home=tmp_path)

    assert "--model mine.py:build" in str(without.exception)
    assert again.exit_code == 0, again.exception
    assert load_record(folder)["metrics"] == before["metrics"]
    assert copied.exit_code == 0, copied.exception
    for result in (changed, named):
        assert "began with" in str(result.exception)
    assert load_record(folder)["run_id"] == before["run_id"]


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("wrong_shape", "(32, 3)"),
        ("raises", "line 18: raises failed: ZeroDivisionError"),
        ("wrong_input", "calling the model on a batch"),
        ("nothing", "returned dict"),
        ("absent", "has no function 'absent'"),
        ("Ridge", "not rows"),
    ],
)
def test_a_wrong_model_is_a_sentence_and_leaves_nothing(
    function: str, expected: str, model: Path, tmp_path: Path
) -> None:
    result = run_toy("--model", f"{model}:{function}", home=tmp_path)

    assert expected in str(result.exception)
    assert result.exception is not None
    assert getattr(result.exception, "exit_code", 0) == 2
    assert not (tmp_path / "runs").exists()


def test_a_wrong_setting_of_a_model_has_a_near_match(model: Path, tmp_path: Path) -> None:
    result = run_toy("--model", str(model), "--set", "widht=3", home=tmp_path)

    assert "did you mean 'width'" in str(result.exception)
    assert getattr(result.exception, "exit_code", 0) == 2


def test_the_settings_of_a_model_are_listed(model: Path, tmp_path: Path) -> None:
    result = run_toy("--help-settings", "--model", str(model), home=tmp_path)

    assert "argument of build in mine.py" in result.stdout
