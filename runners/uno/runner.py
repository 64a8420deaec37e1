"""CANDLE-UNO, the benchmark: the response of cancer cell lines to drugs.

`prepare` is the entry point of the engine. `Uno` implements the interface `Problem` of
`sciml_data.bench.interface` with the other modules of this folder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sciml_data.bench.scoring.compute import compute_metrics, write_group_table
from sciml_data.bench.scoring.predictions import Predictions
from sciml_data.bench.task.splits import (
    NOT_KNOWN,
    TRAIN,
    VALIDATION,
    Division,
    Options,
    describe,
    divide,
    evenly_spaced,
    leakage,
)
from sciml_data.bench.task.task import load_task

from . import baselines as simple
from . import data, features
from .base_forecast import make_base_forecast
from .batches import Rows, epoch_order
from .data import Responses

if TYPE_CHECKING:
    import xarray as xr

    from sciml_data.bench.plots import Results
    from sciml_data.bench.task.split import Split

NOISY = "reference-noisy"  # value of the setting `evaluation`
# The model may use an entity's own effect if at least this percentage of validation rows share
# their entity with the training part.
MIN_SHARED_PERCENT = 50
LEAKAGE = (
    "percentage of the part's rows whose cell, drugs (all of them), combination of drugs, or cell "
    "with drugs is in a training row too; cells and compounds by canonical name, replicates "
    "regardless of their dose, source and study"
)
PREDICT_ROWS = 1 << 14  # in one pass through the head: about 65 MB of activations
ENTITIES_PER_PASS = 4096  # through a tower
TABLE_METRICS = ("mse", "r2_per_drug")  # columns of drugs-<part>.csv


def prepare(dataset: xr.Dataset, split: Split, settings: Mapping[str, Any]) -> Uno:
    """Return the benchmark on one dataset and split.

    Args:
        dataset: ready form of the variant `settings["variant"]`.
        split: stored rule.
        settings: see task.toml.

    Raises:
        CallError: the dataset lacks what the variant or the split needs.
        SciMLDataError: a part has no row.
    """
    responses = data.read_responses(dataset, settings["variant"])
    keys = data.keys_of(responses, split)
    options = Options(held_out=tuple(settings["held_out"]), hint="--split row")
    division = divide(split, keys, options)
    report = {
        "parts": describe(division, keys),
        "leakage": leakage(division, keys, meaning=LEAKAGE),
    }
    return Uno(responses, division, report, settings)


def figures(results: Results) -> Mapping[str, Any]:
    """Return the figures of a run; see `figures.py`."""
    from .figures import draw

    return draw(results)


class Uno:
    """The problem that the engine trains on. A sample is one response."""

    def __init__(
        self,
        responses: Responses,
        split: Division,
        report: Mapping[str, Any],
        settings: Mapping[str, Any],
    ) -> None:
        """Scale the features, and fit the forecast that the model corrects.

        Args:
            responses: all rows.
            split: the parts.
            report: `parts` and `leakage` of the split, for the record.
            settings: see task.toml.
        """
        self.responses, self.split, self.report = responses, split, report
        self.settings = settings
        self.parts = tuple(split.parts)
        train = split.parts[TRAIN]
        self.training_entities = {
            "cells": features.distinct_entities(responses.cell, train),
            "drugs": features.distinct_entities(responses.drugs, train),
        }
        self.scaled = features.scale(
            responses.cells, responses.drug_table, self.training_entities, clip=settings["clip"]
        )
        self.knows = {kind: self._is_known(kind) for kind in ("cell", "drug")}
        self.base = make_base_forecast(
            responses, train, self.knows, self.training_entities, settings
        )
        self.metrics = load_task(Path(__file__).parent).metrics
        self._baseline_notes: dict[str, Any] = {}
        is_reference = settings["model"] == "reference"
        self.rows = Rows(
            responses,
            base=self.base.values,
            dose_scale=None if is_reference else features.dose_scale(responses.doses, train),
            duplicate_single_drugs=is_reference,
            is_padded=_compiles_each_shape(settings),
        )

    @property
    def sizes(self) -> Mapping[str, int]:
        """Return the number of rows of each part."""
        return {part: len(rows) for part, rows in self.split.parts.items()}

    def build(self) -> Any:
        """Return the configured model."""
        from .models import build_model
        from .towers import Tables

        is_known = self.knows if self.settings["id_vectors"] else {}
        knows = [f"{kind}_id" for kind, use in is_known.items() if use]
        return build_model(
            {**self.settings, "knows": knows, "output_scale": self.base.spread},
            Tables(self.scaled.cells, self.scaled.drugs),
            has_doses=self.responses.doses.shape[1] > 0,
            has_pairs=self.responses.has_pairs,
        )

    def batches(self, part: str, *, batch_size: int, seed: int) -> Any:
        """Return one epoch: the training part shuffled, the others in order.

        See `Rows.batches` for the shapes.
        """
        rows, is_train = self.split.parts[part], part == TRAIN
        if not is_train:
            size = max(batch_size, self.settings["evaluation_batch"])
            return self.rows.batches(rows, batch_size=size, rng=self._evaluation_rng(seed))
        rng = np.random.default_rng(seed)
        together = batch_size if self.settings["blocks"] else 0
        order = epoch_order(self.responses, rows, rng=rng, together=together)
        return self.rows.batches(order, batch_size=batch_size, rng=rng)

    def sample_loss(self, targets: Any, predictions: Any, weights: Any) -> tuple[Any, Any]:
        """Return the sums of weighted squared errors and of weights.

        Errors are in units of `base.spread`. For the reference that is 1, so that its loss is the
        published loss.
        """
        from keras import ops

        errors = ops.square((targets - predictions) / self.base.spread)
        return ops.sum(errors * weights), ops.sum(weights)

    def samples_in(self, weights: Any) -> Any:
        """Return the number of rows in a batch."""
        from keras import ops

        return ops.shape(weights)[0]

    def predict(self, model: Any, part: str) -> Predictions:
        """Return the model's predictions of a part; towers are computed once for each entity."""
        rows = self.scored(part)
        if self.settings["evaluation"] == NOISY:
            outputs = [np.asarray(model(x)) for x, _, _ in self._evaluation_batches(rows)]
        else:
            inputs = self.rows.inputs(rows)
            outputs = list(predict_by_entity(model, inputs, batch_size=PREDICT_ROWS))
        return self._predictions(rows, np.concatenate(outputs)[:, 0])

    def predict_into(self, model: Any, part: str, folder: Path) -> Predictions:
        """Return the predictions, and write a table of drugs into a folder."""
        predictions = self.predict(model, part)
        scored = self.scoring_data(predictions)
        rows = predictions.coords["response"]
        _, first, group = np.unique(scored["drug"], return_index=True, return_inverse=True)
        names = [data.drug_texts(self.responses, row) for row in rows[first].tolist()]
        names_and_ids = np.array(names, dtype=object)[group]
        columns = {"drugs": names_and_ids[:, 0], "ids": names_and_ids[:, 1]}
        write_group_table(
            folder / f"drugs-{part}.csv",
            [metric for metric in self.metrics if metric.id in TABLE_METRICS],
            scored.assign_coords({key: ("response", texts) for key, texts in columns.items()}),
            by="drug",
            columns=tuple(columns),
        )
        return predictions

    def baselines(self) -> Mapping[str, Mapping[str, Predictions]]:
        """Return the predictions of each baseline for each part."""
        return {
            name: {
                part: self._predictions(rows, forecast[rows])
                for part, rows in ((part, self.scored(part)) for part in self.parts)
            }
            for name, forecast in self._forecasts()
        }

    def score(self, predictions: Predictions) -> Mapping[str, float]:
        """Return every metric of task.toml."""
        return compute_metrics(self.metrics, self.scoring_data(predictions))

    def scoring_data(self, predictions: Predictions) -> xr.Dataset:
        """Return predictions with the coordinate `drug`: a number for each drug or pair."""
        drug = self._drugs[predictions.coords["response"]]
        return predictions.to_dataset().assign_coords(drug=("response", drug))

    @cached_property
    def _drugs(self) -> npt.NDArray[np.int64]:
        return data.group_codes(self.responses)

    def diagnostics(self) -> Mapping[str, Any]:
        """Return parts, leakage, features, baselines and counts, for the record."""
        return {
            "rows": {"all": len(self.responses), **self.responses.notes},
            **self.report,
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
            "baselines": self._baseline_notes,
        }

    def scored(self, part: str) -> npt.NDArray[np.int64]:
        """Return the rows of a part that are predicted: all, or a subset of training."""
        rows = self.split.parts[part]
        if part != TRAIN:
            return rows
        return evenly_spaced(rows, self.settings["train_rows_scored"], truncate=True)

    def _is_known(self, kind: str) -> bool:
        """Return whether most validation rows share their cell, or all their drugs, with train."""
        shared = self.report["leakage"].get(VALIDATION, {}).get(kind, NOT_KNOWN)
        return bool(shared != NOT_KNOWN and shared["percent"] >= MIN_SHARED_PERCENT)

    def _forecasts(self) -> Iterator[tuple[str, data.Floats]]:
        """Yield name and forecast (row,) of all rows of each baseline."""
        return simple.forecasts(
            self.responses,
            self.scaled,
            {"parts": self.split.parts, "entities": self.training_entities},
            self.settings,
            notes=self._baseline_notes,
        )

    def _evaluation_batches(self, rows: npt.NDArray[np.int64]) -> Iterator[Any]:
        size = self.settings["evaluation_batch"]
        return self.rows.batches(rows, batch_size=size, rng=self._evaluation_rng(0))

    def _evaluation_rng(self, seed: int) -> np.random.Generator | None:
        """Return the generator of swapped pairs and divided doses in evaluation.

        None, except for noisy evaluation as in the published code.
        """
        return np.random.default_rng(seed) if self.settings["evaluation"] == NOISY else None

    def _predictions(
        self, rows: npt.NDArray[np.int64], predicted: npt.NDArray[np.floating]
    ) -> Predictions:
        """Return predictions of rows; the axis `response` has the indices of the ready dataset."""
        return Predictions(
            observed=self.responses.target[rows],
            predicted=np.asarray(predicted, np.float32),
            coords={"response": rows},
        )


def predict_by_entity(
    model: Any, inputs: Mapping[str, Any], *, batch_size: int
) -> Iterator[npt.NDArray[np.floating]]:
    """Yield outputs (row, 1): towers once for each entity, then rows in large batches.

    Args:
        model: either network.
        inputs: of all rows; see `Rows.inputs`.
        batch_size: rows of one pass through the head.
    """
    terms = entity_terms(model, inputs["shared"])
    columns = {name: values for name, values in inputs.items() if name != "shared"}
    for first in range(0, len(inputs["cell"]), batch_size):
        batch = {name: values[first : first + batch_size] for name, values in columns.items()}
        yield np.asarray(model.combine(terms, batch, use_dropout=False, training=False))


def entity_terms(model: Any, shared: Mapping[str, Any]) -> dict[str, Any]:
    """Return the terms of cells and drugs without dropout, computed in several passes.

    Args:
        model: either network.
        shared: `cells` and `drugs`: indices of the tables.
    """
    from keras import ops

    terms: dict[str, Any] = {}
    for terms_of, entities in (
        (model.cell_terms, shared["cells"]),
        (model.drug_terms, shared["drugs"]),
    ):
        pieces = [
            terms_of(entities[first : first + ENTITIES_PER_PASS], use_dropout=False)
            for first in range(0, len(entities), ENTITIES_PER_PASS)
        ]
        for name in pieces[0]:
            values = [piece[name] for piece in pieces]
            terms[name] = values[0] if len(values) == 1 else ops.concatenate(values, axis=0)
    return terms


def _compiles_each_shape(settings: Mapping[str, Any]) -> bool:
    """Return whether each new shape of a batch is compiled."""
    from sciml_data.bench.training import backend

    return bool(settings["xla"]) or backend.name() == "jax"
