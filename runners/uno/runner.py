"""CANDLE-UNO, the benchmark: the response of cancer cell lines to drugs. A sample is one response.

Features belong to cells and drugs, so a batch names entities, and the tables of their features are
part of the model; see `inputs.py` and `model.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from sciml_data.bench.interface import OWN, Array, Baseline, Benchmark, ModelSpec
from sciml_data.bench.scoring.compute import write_group_table
from sciml_data.bench.task.splits import NOT_KNOWN, TEST, TRAIN, VALIDATION, Options

from . import baselines, data, effects, gaussian_process, inputs

if TYPE_CHECKING:
    from sciml_data.bench.plots import Results
    from sciml_data.bench.scoring.predictions import Predictions

    from .model import Tables

POOLED, REFERENCE, NOISY = "pooled", "reference", "reference-noisy"  # values of settings
# The model may use an entity's own effect if at least this percentage of validation rows share
# their entity with the training part.
MIN_SHARED_PERCENT = 50
R2 = "r2_per_drug"
LABEL_COLUMN = "compounds"  # of drugs-<part>.csv
TABLE_METRICS = ("mse", R2)  # columns of drugs-<part>.csv
QUANTITIES = {data.AUC: "AUC", data.DOSE: "growth", data.CROSS_STUDY: "AUC"}


class Uno(Benchmark):
    """Responses of cell lines to one drug or two.

    Attributes:
        responses: all rows, with the tables of cells and drugs.
        training: indices of the entities of the training part, by kind: `cell` and `drug`.
        features: scaled tables of features by name, by kind.
        knows: whether most validation rows share their entities of a kind with training rows.
        kinds: kinds of mean effects that validation rows share with training rows.
        spread: standard deviation of the errors of `rows.base` in training; 1 for the reference.
        rows: makes inputs of rows.
    """

    LEAKAGE = (
        "percentage of the part's rows whose cell, drugs (all of them), combination of drugs, or "
        "cell with drugs is in a training row too; cells and compounds by canonical name, "
        "replicates regardless of their dose, source and study"
    )

    def open(self, dataset: xr.Dataset) -> None:
        """Read the ready form of the variant `settings["variant"]`."""
        self.responses = data.read_responses(dataset, self.settings["variant"])
        self._labels = data.feature_names(dataset)

    def keys(self) -> pd.DataFrame:
        """Return the cell line, compounds and replicate of each row."""
        return data.keys_of(self.responses)

    def split_options(self) -> Options:
        """Return the sources that the user holds out."""
        return Options(held_out=tuple(self.settings["held_out"]), hint="--split row")

    def fit(self) -> None:
        """Scale the features, and fit the forecast that the model corrects."""
        responses, settings, train = self.responses, self.settings, self.division.parts[TRAIN]
        self.training, self.features, self.knows = {}, {}, {}
        self.feature_facts: dict[str, Any] = {}
        self.baseline_notes: Mapping[str, Any] = {}
        for kind, (table, indices) in responses.entities.items():
            present = np.unique(indices[train])
            self.training[kind] = present[present != data.NO_SLOT].astype(np.int64)
            tables, facts = inputs.scale(table, self.training[kind], clip=settings["clip"])
            self.features[kind] = tables
            self.feature_facts |= facts
            self.knows[kind] = self._is_known(kind)
        self.kinds = self._known_kinds()
        base, self.spread = np.zeros(len(responses), np.float32), 1.0
        is_reference = settings["model"] == REFERENCE
        if not is_reference:
            kinds = self.kinds if settings["base"] == "means" else ()
            base = effects.forecast(responses, train, kinds, penalty=settings["shrinkage"])
            self.spread = float((responses.target[train] - base[train]).std()) or 1.0
        self.rows = inputs.Rows(
            responses,
            base=base,
            process=self._process_forecast(),
            dose_scale=None if is_reference else inputs.dose_scale(responses.doses[train]),
            duplicate_single_drugs=is_reference,
            is_compiled=bool(settings["xla"]),
        )

    def _is_known(self, kind: str) -> bool:
        shared = self.leakage.get(VALIDATION, {}).get(kind, NOT_KNOWN)
        return bool(shared != NOT_KNOWN and shared["percent"] >= MIN_SHARED_PERCENT)

    def _process_forecast(self) -> data.Floats | None:
        """Return the forecast of the Gaussian process (row,); None if the model does not use it."""
        is_part = self.settings["model"] == POOLED and self.settings["process_share"] > 0
        return self.process.forecast if is_part and self.process is not None else None

    @cached_property
    def process(self) -> gaussian_process.GaussianProcess | None:
        """Return the Gaussian process, fitted; None if it does not apply."""
        responses, parts, penalty = self.responses, self.division.parts, self.settings["shrinkage"]
        if gaussian_process.reason_against(responses):
            return None
        process = gaussian_process.GaussianProcess(
            responses, self.features, kinds=self.kinds, penalty=penalty
        )
        process.choose(parts[TRAIN], parts.get(VALIDATION, parts[TRAIN]))
        return process

    def _known_kinds(self) -> tuple[str, ...]:
        """Return the kinds of effects that validation rows share with training rows."""
        cell, drug, has_doses = *self.knows.values(), self.responses.has_doses
        kinds = {"cell": cell, "level": has_doses, "drug": drug, "dose": has_doses and drug}
        return tuple(kind for kind, is_known in kinds.items() if is_known)

    def build(self) -> Any:
        """Return the configured model."""
        from .model import Tables, build_model

        with_vectors = self.settings["id_vectors"]
        of_data = {
            "has_doses": self.responses.has_doses,
            "has_pairs": self.responses.has_pairs,
            "has_process": self.rows.process is not None,
            "knows": [kind for kind, is_known in self.knows.items() if is_known and with_vectors],
            "output_scale": self.spread,
        }
        return build_model({**self.settings, **of_data}, Tables(**self.features))

    def specification(self) -> ModelSpec:
        """Return the features of a cell and its drugs, which `plain` makes."""
        widths = {
            kind: sum(t.shape[1] for t in tables.values()) for kind, tables in self.features.items()
        }
        slots = range(1, 1 + self.responses.drugs.shape[1])
        spec = {"cell": Array((widths["cell"],), "expression of genes, standardised")}
        for slot in slots:
            meaning = f"descriptors and fingerprint bits of drug {slot}, 0 if there is none"
            spec[f"drug{slot}"] = Array((widths["drug"],), meaning)
        if self.responses.has_doses:
            spec |= {
                f"dose{slot}": Array((1,), f"dose of drug {slot}, standardised") for slot in slots
            }
        return ModelSpec(spec, Array((1,), QUANTITIES[self.settings["variant"]]))

    def plain(self, batch: inputs.Inputs) -> dict[str, Any]:
        """Return the features of each row's cell and drugs, by the names of `specification`."""
        from keras import ops

        from .model import take

        plain = {}
        for name, kind in {"cell": "cell", "drug1": "drug", "drug2": "drug"}.items():
            if name in batch:
                rows = self._tables.rows(kind, batch["shared"][f"{kind}s"])
                plain[name] = take(ops.concatenate(list(rows.values()), -1), batch[name])
        if "drug2" in plain:
            plain["drug2"] = plain["drug2"] * ops.expand_dims(batch["has_second"], -1)
        doses = (name for name in ("dose1", "dose2") if name in batch)
        return plain | {name: ops.expand_dims(batch[name], -1) for name in doses}

    def portable(self, model: Any, batch: inputs.Inputs) -> tuple[Any, dict[str, Any]]:
        """Return the model for rows with features, and their inputs."""
        from .portable import rewrite

        return rewrite(model, batch)

    @cached_property
    def _tables(self) -> Tables:
        from .model import Tables

        return Tables(**self.features)

    def batch(self, numbers: data.Codes, rng: np.random.Generator | None) -> inputs.Batch:
        """Return inputs, targets (row, 1) and weights (row, 1) of rows."""
        return next(self.rows.batches(numbers, batch_size=len(numbers), rng=rng))

    def batches(self, part: str, *, batch_size: int, seed: int) -> Iterator[inputs.Batch]:
        """Return one epoch: the training part shuffled, the others in order.

        One generator draws the order and all batches, so they are not read by several threads.
        """
        rows, rng = self.division.parts[part], np.random.default_rng(seed)
        if part == TRAIN:
            together = batch_size if self.settings["blocks"] else 0
            order = inputs.epoch_order(self.responses, rows, rng=rng, together=together)
            return self.rows.batches(order, batch_size=batch_size, rng=rng)
        # Noisy evaluation draws pairs and divided doses, as the published code does.
        noise = rng if self.settings["evaluation"] == NOISY else None
        size = max(batch_size, self._evaluation_batch)
        return self.rows.batches(rows, batch_size=size, rng=noise)

    def sample_loss(self, targets: Any, predictions: Any, weights: Any) -> tuple[Any, Any]:
        """Return the sums of weighted squared errors and of weights.

        Errors are in units of `spread`. For the reference that is 1, so that its loss is the
        published loss.
        """
        from keras import ops

        errors = ops.square((targets - predictions) / self.spread)
        return ops.sum(errors * weights), ops.sum(weights)

    def outputs(self, model: Any, numbers: data.Codes) -> npt.NDArray[Any]:
        """Return the model's outputs (row, 1); towers are computed once for each entity."""
        from .model import predict_by_entity

        if self.settings["model"].startswith(OWN):
            return super().outputs(model, numbers)
        if self.settings["evaluation"] == NOISY:
            size, rng = self._evaluation_batch, np.random.default_rng(0)
            batches = self.rows.batches(numbers, batch_size=size, rng=rng)
            return np.concatenate([np.asarray(model(x)) for x, _, _ in batches])
        return predict_by_entity(model, self.rows.inputs(numbers))

    def named_features(self, numbers: data.Codes) -> xr.Dataset:
        """Return scaled features of the cell and each drug of rows, and doses in -log10(mol/L).

        Values of an empty slot are 0; its dose is NaN.
        """
        responses = self.responses
        variables: dict[str, tuple[tuple[str, ...], npt.NDArray[Any]]] = {}
        axes = {"expression": "gene", "descriptors": "descriptor", "fingerprints": "bit"}
        for name, table in self.features["cell"].items():
            variables[name] = (("response", axes[name]), table[responses.cell[numbers]])
        for slot in range(responses.drugs.shape[1]):
            drugs = responses.drugs[numbers, slot]
            end = f"_{slot + 1}" if responses.has_doses else ""
            for name, table in self.features["drug"].items():
                values = np.where(drugs[:, None] >= 0, table[drugs], table.dtype.type(0))
                variables[f"{name}{end}"] = (("response", axes[name]), values)
            if responses.has_doses:
                variables[f"dose{end}"] = (("response",), responses.doses[numbers, slot])
        return xr.Dataset(variables, {"response": numbers, **self._labels})

    def targets(self, numbers: data.Codes) -> xr.DataArray:
        """Return responses; the axis `response` has the indices of the ready dataset."""
        return xr.DataArray(
            self.responses.target[numbers],
            [("response", numbers)],
            name=data.TARGETS[self.settings["variant"]],
            attrs={"units": "1"},
        )

    def write_outputs(self, folder: Path, part: str, predictions: Predictions) -> None:
        """Write a table of drugs and pairs of drugs."""
        scored, rows = self.scoring_data(predictions), predictions.coords["response"]
        _, first, group = np.unique(scored["drug"], return_index=True, return_inverse=True)
        drugs = [np.sort(slots[slots >= 0]) for slots in self.responses.drugs[rows[first]]]
        table = self.responses.drug_table
        columns: dict[str, Sequence[str]] = {
            "drugs": [*table.names],
            "ids": table.ids,
            LABEL_COLUMN: table.labels,
        }
        for column, names in columns.items():
            texts = [" + ".join(names[drug] for drug in pair) for pair in drugs]
            scored = scored.assign_coords({column: ("response", np.array(texts, object)[group])})
        metrics = [metric for metric in self.metrics if metric.id in TABLE_METRICS]
        path = folder / f"drugs-{part}.csv"
        write_group_table(path, metrics, scored, by="drug", columns=tuple(columns))

    def fit_baselines(self) -> Mapping[str, Baseline]:
        """Return means, ridge regression and boosting; see `baselines.py`."""
        fitted, self.baseline_notes = baselines.fit(self)
        return fitted

    def scoring_data(self, predictions: Predictions) -> xr.Dataset:
        """Return predictions with the coordinate `drug`: a number for each drug or pair."""
        drug = self.table["combination"].to_numpy()[predictions.coords["response"]]
        return predictions.to_dataset().assign_coords(drug=("response", drug))

    def facts(self) -> Mapping[str, Any]:
        """Return rows, features, scaling and notes of baselines, for the record."""
        return {
            "rows": {"all": len(self.responses), **self.responses.notes},
            "features": self.feature_facts,
            "base": {"corrects": self.settings["base"], "effects": list(self.kinds)},
            "dose_scale": self.rows.dose_scale,
            "unit_of_loss": self.spread**2,
            "evaluation": self.settings["evaluation"],
            "baselines": self.baseline_notes,
        }


prepare = Uno


def figures(results: Results) -> Mapping[str, Any]:
    """Return the figures `observed` and, if a drug has an R2, `drugs`."""
    from sciml_data.bench import plots

    quantity = QUANTITIES[results.record["benchmark"]["variant"]]
    mse = {part: row["score"] or float("nan") for part, row in results.rows("mse").items()}
    panels = []
    for part, values in results.predictions.items():
        title = f"{part}, {len(values.observed):,} rows, MSE {mse[part]:.4g}"
        panels.append((title, values.observed, values.predicted, quantity))
    drawn = {"observed": plots.observed_and_predicted(results, panels)}
    scores: dict[str, dict[str, float]] = {}
    for part in (VALIDATION, TEST):
        rows = results.table(f"drugs-{part}.csv")
        r2: dict[str, float] = {}
        for row in rows:
            name = row.get(LABEL_COLUMN) or row["drugs"]
            name = f"{name} ({row['drugs']})" if name in r2 else name
            r2 |= {name: float(row[R2])} if row.get(R2) else {}
        scores |= {part: r2} if r2 else {}
    if scores:
        label = "R2 within the drug (0 = predicting the drug's mean)"
        drawn["drugs"] = plots.group_scores(results, scores, label=label)
    return drawn
