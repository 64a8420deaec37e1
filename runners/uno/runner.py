"""Uno as the engine sees it: parts, batches, predictions, baselines, scores and facts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciml_data.bench.scoring.predictions import Predictions
from sciml_data.errors import CallError, nearest

from . import baselines as simple
from . import data, features, scores
from . import split as parts
from .base_forecast import BASES, make_base
from .batches import Rows, epoch_order
from .data import Responses
from .features import Scaled
from .score_table import write_drugs
from .split import TRAIN, Layout

if TYPE_CHECKING:
    import xarray as xr

    from sciml_data.bench.task.split import Split

CLEAN, NOISY = "clean", "reference-noisy"
EVALUATIONS = (CLEAN, NOISY)
PREDICT_ROWS = 1 << 14  # rows of one pass through the head: about 65 MB of activations
ENTITIES_AT_ONCE = 4096  # of one pass through a tower


def prepare(dataset: xr.Dataset, split: Split, settings: Mapping[str, Any]) -> Uno:
    """Return the benchmark on one dataset and split.

    Args:
        dataset: ready form, of the variant that `settings["variant"]` names.
        split: stored rule.
        settings: see task.toml.

    Raises:
        CallError: a setting names what does not exist, or the dataset has not what is asked for.
        SciMLDataError: a part is left without a row.
    """
    for name, known in (("evaluation", EVALUATIONS), ("base", BASES)):
        if settings[name] not in known:
            raise CallError(
                f"{name}={settings[name]!r}{nearest(settings[name], known)}; "
                f"one of {', '.join(known)} is expected",
                untouched="nothing was trained",
            )
    responses = data.read_responses(dataset, settings["variant"])
    layout = parts.lay_out(split, responses, settings["held_out"])
    used = {
        "cells": features.entities_of(layout, TRAIN, responses.cell),
        "drugs": features.entities_of(layout, TRAIN, responses.drugs),
    }
    scaled = features.scale(responses.cells, responses.drug_table, used, clip=settings["clip"])
    return Uno(responses, layout, scaled, used, settings)


def figures(run_folder: Path, record: Mapping[str, Any]) -> list[Path]:
    """Draw the run: predicted and observed, drugs, curve; see `figures.py`."""
    from .figures import draw

    return draw(run_folder, record)


class Uno:
    """The problem that the engine trains on; a sample is one response."""

    def __init__(
        self,
        responses: Responses,
        layout: Layout,
        scaled: Scaled,
        used: Mapping[str, npt.NDArray[np.int64]],
        settings: Mapping[str, Any],
    ) -> None:
        """Keep the arrays, and fit the forecast that the model corrects."""
        self.responses, self.layout, self.scaled = responses, layout, scaled
        self.used, self.settings = used, settings
        self.parts = tuple(layout.parts)
        self.base = make_base(responses, layout, used, settings)
        self._groups: npt.NDArray[np.int64] | None = None
        self._baseline_facts: dict[str, Any] = {}
        is_reference = settings["model"] == "reference"
        train = layout.parts[TRAIN]
        self.rows = Rows(
            responses,
            base=self.base.values,
            dose_scale=None if is_reference else features.dose_scale(responses.doses, train),
            doubles=is_reference,
            is_padded=_compiles_each_shape(settings),
        )

    @property
    def sizes(self) -> Mapping[str, int]:
        """Return the rows of each part."""
        return {part: len(rows) for part, rows in self.layout.parts.items()}

    def build(self) -> Any:
        """Return the model that the settings name."""
        from .models import build_model
        from .towers import Tables

        known = {"cell_id": self.layout.knows_cell, "drug_id": self.layout.knows_drug}
        knows = [name for name, is_so in known.items() if is_so and self.settings["id_vectors"]]
        return build_model(
            {**self.settings, "knows": knows, "output_scale": self.base.spread},
            Tables(self.scaled.cells, self.scaled.drugs),
            has_doses=self.responses.doses.shape[1] > 0,
            has_pairs=self.responses.has_pairs,
        )

    def batches(self, part: str, *, batch_size: int, seed: int) -> Any:
        """Return one epoch; the training part in a new order, others in their own.

        See `Rows.batches` for the shapes.
        """
        rows, is_train = self.layout.parts[part], part == TRAIN
        if not is_train:
            size = max(batch_size, self.settings["evaluation_batch"])
            return self.rows.batches(rows, batch_size=size, rng=self._evaluation_rng(seed))
        rng = np.random.default_rng(seed)
        together = batch_size if self.settings["blocks"] else 0
        order = epoch_order(self.responses, rows, rng=rng, together=together)
        return self.rows.batches(order, batch_size=batch_size, rng=rng)

    def sample_loss(self, targets: Any, predictions: Any, weights: Any) -> tuple[Any, Any]:
        """Return the sums of weighted squared errors and of weights.

        Errors are in units of `base.spread`; 1 for the reference, whose loss is the published one.
        """
        from keras import ops

        errors = ops.square((targets - predictions) / self.base.spread)
        return ops.sum(errors * weights), ops.sum(weights)

    def samples_in(self, weights: Any) -> Any:
        """Return the rows of a batch."""
        from keras import ops

        return ops.shape(weights)[0]

    def predict(self, model: Any, part: str) -> Predictions:
        """Return the model's predictions of a part; towers run once for each entity."""
        rows = self.scored(part)
        if self.settings["evaluation"] == NOISY:
            found = [np.asarray(model(x)) for x, _, _ in self._evaluation_batches(rows)]
        else:
            found = list(self._predicted(model, rows))
        return self._predictions(rows, np.concatenate(found)[:, 0])

    def predict_into(self, model: Any, part: str, folder: Path) -> Predictions:
        """Return what `predict` does, and write a table of the drugs under a folder."""
        predictions = self.predict(model, part)
        write_drugs(folder / f"drugs-{part}.csv", self.responses, predictions)
        return predictions

    def baselines(self) -> Mapping[str, Mapping[str, Predictions]]:
        """Return the forecasts of every baseline for every part."""
        return {
            name: {
                part: self._predictions(rows, forecast[rows])
                for part, rows in ((part, self.scored(part)) for part in self.parts)
            }
            for name, forecast in self._forecasts()
        }

    def score(self, predictions: Predictions) -> Mapping[str, float]:
        """Return every metric; see `scores.py`."""
        if self._groups is None:
            self._groups = data.group_codes(self.responses)
        groups = self._groups[predictions.coords["response"]]
        return scores.score(predictions.observed, predictions.predicted, groups)

    def diagnostics(self) -> Mapping[str, Any]:
        """Return parts, leakage, features, baselines and counts, for the record."""
        responses, layout = self.responses, self.layout
        return {
            "rows": {"all": len(responses), **responses.notes},
            "parts": parts.describe(layout, responses),
            "held_out_sources": list(layout.held_out),
            "leakage": parts.leakage(layout, responses),
            "selection": "the epoch is chosen by the validation part, so that part's scores are "
            "those of a chosen model; the test part is not looked at before",
            "features": self.scaled.facts,
            "base": {
                "corrects": self.settings["base"],
                "effects": list(self.base.kinds),
                "removed_in_training": list(self.base.removed),
            },
            "dose_scale": self.rows.dose_scale,
            "unit_of_loss": self.base.spread**2,
            "evaluation": self.settings["evaluation"],
            "scored_rows": {part: len(self.scored(part)) for part in self.parts},
            "baselines": self._baseline_facts,
        }

    def scored(self, part: str) -> npt.NDArray[np.int64]:
        """Return the rows of a part that are predicted: all, of the training part evenly some."""
        rows, most = self.layout.parts[part], self.settings["train_rows_scored"]
        if part != TRAIN or len(rows) <= most:
            return rows
        return rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]

    def _forecasts(self) -> Iterator[tuple[str, data.Floats]]:
        """Yield name and forecast of all rows of each baseline."""
        return simple.forecasts(
            self.responses,
            self.scaled,
            {"parts": self.layout.parts, "used": self.used},
            self.settings,
            facts=self._baseline_facts,
        )

    def _predicted(
        self, model: Any, rows: npt.NDArray[np.int64]
    ) -> Iterator[npt.NDArray[np.floating]]:
        """Yield (row, 1) predictions; see `entity_wise`."""
        return entity_wise(model, self.rows.inputs(rows), batch_size=PREDICT_ROWS)

    def _evaluation_batches(self, rows: npt.NDArray[np.int64]) -> Iterator[Any]:
        size = self.settings["evaluation_batch"]
        return self.rows.batches(rows, batch_size=size, rng=self._evaluation_rng(0))

    def _evaluation_rng(self, seed: int) -> np.random.Generator | None:
        """Return what draws swaps and splits of doses in evaluation: nothing, but as published."""
        return np.random.default_rng(seed) if self.settings["evaluation"] == NOISY else None

    def _predictions(
        self, rows: npt.NDArray[np.int64], predicted: npt.NDArray[np.floating]
    ) -> Predictions:
        """Return predictions of rows; the axis `response` is that of the ready dataset."""
        return Predictions(
            observed=self.responses.target[rows],
            predicted=np.asarray(predicted, np.float32),
            coords={"response": rows},
        )


def entity_wise(
    model: Any, inputs: Mapping[str, Any], *, batch_size: int
) -> Iterator[npt.NDArray[np.floating]]:
    """Yield (row, 1) outputs: whole towers once for each entity, then rows in large batches.

    Args:
        model: either network.
        inputs: of all rows at once; see `Rows.inputs`.
        batch_size: rows of one pass through the head.
    """
    terms = whole_terms(model, inputs["shared"])
    columns = {name: values for name, values in inputs.items() if name != "shared"}
    for first in range(0, len(inputs["cell"]), batch_size):
        batch = {name: values[first : first + batch_size] for name, values in columns.items()}
        yield np.asarray(model.rows(terms, batch, is_on=False, is_training=False))


def whole_terms(model: Any, shared: Mapping[str, Any]) -> dict[str, Any]:
    """Return the terms of these cells and drugs, without noise, so many entities at once.

    Args:
        model: either network.
        shared: `cells` and `drugs`, indices of the tables.
    """
    from keras import ops

    made: dict[str, Any] = {}
    for terms_of, entities in (
        (model.cell_terms, shared["cells"]),
        (model.drug_terms, shared["drugs"]),
    ):
        pieces = [
            terms_of(entities[first : first + ENTITIES_AT_ONCE], is_on=False)
            for first in range(0, len(entities), ENTITIES_AT_ONCE)
        ]
        for name in pieces[0]:
            found = [piece[name] for piece in pieces]
            made[name] = found[0] if len(found) == 1 else ops.concatenate(found, axis=0)
    return made


def _compiles_each_shape(settings: Mapping[str, Any]) -> bool:
    from sciml_data.bench.training import backend

    return bool(settings["xla"]) or backend.name() == "jax"
