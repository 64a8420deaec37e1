"""The trained model of a run for others: `model/model.keras`, and its card `model/README.md`.

The model is saved after the timed section, in a form that stock Keras loads (see `portable`). If
that is not possible, the card says why, and names the weights and the code that builds the model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sciml_data.bench.interface import Problem
from sciml_data.bench.record import runs
from sciml_data.bench.record.record import budget_remark
from sciml_data.bench.run.staging import Source
from sciml_data.bench.task.task import Task
from sciml_data.bench.training.portable import NotPortableError, portable_model
from sciml_data.home import publish, write_atomically

PARTIAL_NAME = "model/.partial.keras"  # Keras wants this ending


@dataclass(frozen=True)
class SavedModel:
    """What was saved of a trained model.

    Attributes:
        reason: why there is no portable model; "" if there is one.
        inputs: name, shape and type of each input of the portable model.
    """

    reason: str = ""
    inputs: tuple[tuple[str, str, str], ...] = ()


def save_model(problem: Problem, model: Any, folder: Path, *, is_own: bool = False) -> SavedModel:
    """Save the portable form of a trained model in the folder of its run.

    Args:
        problem: of the run; a batch of its last part is the example of the inputs. It may have a
            method `portable(model, inputs)`, see `portable_model`.
        model: the trained Keras model.
        folder: of the run.
        is_own: whether it is the user's own model, which is saved as the user made it.
    """
    (folder / runs.KERAS_NAME).unlink(missing_ok=True)  # of a run that is resumed
    batches = problem.batches(problem.parts[-1], batch_size=1, seed=0)
    rewrite = getattr(problem, "portable", None)
    try:
        inputs = next(iter(batches))[0]
        if is_own:
            plain: Any = problem
            model, inputs, rewrite = model.body, plain.plain(inputs), None
        portable = portable_model(model, inputs, rewrite)
    except StopIteration:
        return SavedModel("the last part has no sample to compare outputs with")
    except NotPortableError as error:
        return SavedModel(str(error))
    finally:
        getattr(batches, "close", lambda: None)()  # its threads end
    partial = folder / PARTIAL_NAME
    partial.parent.mkdir(parents=True, exist_ok=True)
    portable.save(partial)
    publish(partial, folder / runs.KERAS_NAME)
    return SavedModel(
        inputs=tuple(
            (symbol.name, str(tuple(symbol.shape)), str(symbol.dtype)) for symbol in portable.inputs
        )
    )


def weights_digest(model: Any) -> str:
    """Return the sha256 of shapes, types and values of all weights, in the model's order."""
    import numpy as np

    total = hashlib.sha256()
    for weight in model.weights:
        values = np.ascontiguousarray(weight.numpy())
        total.update(f"{values.dtype.name} {values.shape} ".encode())
        total.update(values.tobytes())
    return f"sha256:{total.hexdigest()}"


def write_card(
    folder: Path, record: Mapping[str, Any], task: Task, source: Source, saved: SavedModel
) -> None:
    """Write the model card from the record of a successful run.

    Args:
        folder: of the run.
        record: of the run.
        task: what was learned, and from which metrics.
        source: the dataset, whose descriptor has the licences.
        saved: returned by `save_model`.
    """
    parts = (
        _head(record),
        _use(folder, record, saved),
        _data(record, source),
        _scores(record, task),
        _limits(record),
    )
    write_atomically(
        folder / runs.CARD_NAME, "\n".join(line for part in parts for line in part) + "\n"
    )


def _head(record: Mapping[str, Any]) -> Iterator[str]:
    benchmark, model = record["benchmark"], record["model"]
    variant = f", variant {benchmark['variant']}" if benchmark["variant"] else ""
    yield f"# {model['name']} of {benchmark['name']}{variant}\n"
    if record["synthetic"]:
        yield "**Trained on a synthetic sample. Nothing can be concluded about real data.**\n"
    if remark := budget_remark(record):
        yield f"**Training {remark}.**\n"
    yield f"{benchmark['title']}.\n"
    count = model["parameters"]
    size = "" if count is None else f" with {count:,} trainable parameters"
    yield (
        f"A model{size}, trained by run `{record['run_id']}` with seed {record['seeds']['seed']}; "
        f"{model['framework']}. The weights are those after epoch {model['best_epoch']}, the best "
        f"by `{record['settings'].get('monitor')}` on the validation part. "
        f"Digest of the weights: `{model['weights_digest']}`.\n"
    )


def _use(folder: Path, record: Mapping[str, Any], saved: SavedModel) -> Iterator[str]:
    yield "## How to load it\n"
    if saved.reason:
        is_own = record["model"]["source"] is not None
        code = f"../{runs.MODEL_NAME}" if is_own else f"runners/{record['benchmark']['name']}"
        yield (
            f"There is no `model.keras`: {saved.reason}. The weights are in `../"
            f"{runs.STATE_FOLDER}/{runs.WEIGHTS_NAME}`, for the model that `{code}` builds with "
            "the settings in `../record.json`.\n"
        )
        return
    yield "Keras 3 is enough; sciml-data is not needed. The model takes inputs as the benchmark"
    yield "makes them (see its README.md), without further scaling than described there.\n"
    yield "```python\nimport keras\n"
    yield 'model = keras.saving.load_model("model.keras")'
    yield "outputs = model(inputs, training=False)\n```\n"
    yield "| input | shape | type |\n|---|---|---|"
    yield from (f"| `{name}` | {shape} | {dtype} |" for name, shape, dtype in saved.inputs)
    yield "\nSeveral inputs are passed as a dictionary.\n" if len(saved.inputs) > 1 else ""
    size = (folder / runs.KERAS_NAME).stat().st_size
    yield f"`model.keras` has {size:,} bytes; the record has its sha256.\n"


def _data(record: Mapping[str, Any], source: Source) -> Iterator[str]:
    data, split = record["dataset"], record["split"]
    counts = ", ".join(f"{part} {count:,}" for part, count in data["n_samples"].items())
    yield "## Data\n"
    yield f"- Dataset `{data['id']}` {data['version']}, manifest `{data['manifest_digest']}`"
    yield f"- Split `{split['name']}`, members `{split['members_digest']}`"
    yield f"- Samples: {counts}"
    for text in _licences(source):
        yield f"- Licence of the data: {text}"
    yield ""


def _licences(source: Source) -> Sequence[str]:
    """Return the licences of the dataset, which may apply to what is made of the data."""
    if source.files is None:
        return ["not known to the run"]
    from sciml_data.metadata import facts_of

    licences = facts_of(source.files.descriptor).licences
    return [f"{one.label}{f' ({one.text})' if one.text else ''}" for one in licences]


def _scores(record: Mapping[str, Any], task: Task) -> Iterator[str]:
    rows = record["metrics"]
    names = list(dict.fromkeys(name for row in rows for name in row["baselines"]))
    yield "## Scores\n"
    yield f"The headline metric is `{task.headline_metric}`. Baselines are in the other columns.\n"
    yield f"| part | metric | this model |{''.join(f' {name} |' for name in names)}"
    yield "|---|---|---|" + "---|" * len(names)
    for row in rows:
        metric = ".".join(filter(None, [row["metric_id"], row["variant"]]))
        values = [row["score"], *(row["baselines"].get(name) for name in names)]
        cells = "".join(f" {'-' if value is None else f'{value:.6g}'} |" for value in values)
        yield f"| {row['part']} | {metric} |{cells}"
    yield ""


def _limits(record: Mapping[str, Any]) -> Iterator[str]:
    yield "## Limits\n"
    yield "- Scores are those of one run with one seed. Another seed gives other scores."
    yield "- They hold for the parts of this split, and say little about data of another origin."
    if record["facts"].get("leakage"):
        yield "- `facts.leakage` in the record says what the parts of the split share."
    yield "- The model was made for a benchmark. It was not checked for any decision in practice."
