"""Forecasts from additive mean effects: of a cell, a drug, or a drug at a dose.

The model is ridge regression on one-hot codes: a row's value is the mean plus one effect for each
factor. `penalty` shrinks each effect towards 0 as that many rows of value 0 would. Effects are
fitted by backfitting, one factor after the other until they no longer change. Factors are nested
(an id in its canonical name, a dose in its drug), so a rare group falls back on the wider one.

These forecasts are baselines, and one of them is the base that the `pooled` network corrects.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from .data import NO_SLOT, Codes, Floats, Responses, group_codes

Doubles: TypeAlias = npt.NDArray[np.float64]
MAX_SWEEPS = 50  # passes over all factors
TOLERANCE = 1e-6  # largest change of an effect in the last pass
DOSE_STEP = 0.25  # of -log10(mol/L): doses are rounded to multiples of it


def forecast(responses: Responses, train: Codes, kinds: Sequence[str], *, penalty: float) -> Floats:
    """Return the forecast (row,) float32 of all rows from the effects of some kinds of factors.

    Args:
        responses: all rows.
        train: rows that effects are fitted to.
        kinds: see `factors_of`; without any the forecast is the mean.
        penalty: see `fit_additive_effects`.
    """
    by_kind = factors_of(responses) if kinds else {}
    factors = [codes for kind in kinds for codes in by_kind.get(kind, [])]
    target = responses.target[train].astype(np.float64)
    mean = float(target.mean())
    of_train = [codes[train] for codes in factors]
    effects = fit_additive_effects(target - mean, of_train, penalty=penalty)
    values = sum(map(sum_of_effects, effects, factors), mean)
    return np.broadcast_to(values, len(responses)).astype(np.float32)


def fit_additive_effects(
    residual: Doubles, factors: Sequence[Codes], *, penalty: float
) -> list[Doubles]:
    """Return for each factor the effects of its codes (code,), by penalised least squares.

    Args:
        residual: (row,) values without their mean.
        factors: codes from 0, (row,) or (row, slot) with `NO_SLOT` for an empty slot. The effects
            of slots are added.
        penalty: weight of the squared effects, in rows.
    """
    effects = [np.zeros(int(codes.max()) + 1) for codes in factors]
    ones = np.ones(len(residual))
    counts = [_summed(codes, like, ones) for codes, like in zip(factors, effects, strict=True)]
    for _ in range(MAX_SWEEPS):
        largest_step = 0.0
        for number, (codes, count) in enumerate(zip(factors, counts, strict=True)):
            shrinkage = penalty * effects[number]
            step = _summed(codes, count, residual) - shrinkage
            step = step / (count + penalty) / len(_slots(codes))
            effects[number] = effects[number] + step
            residual = residual - sum_of_effects(step, codes)
            largest_step = max(largest_step, float(np.abs(step).max(initial=0.0)))
        if largest_step < TOLERANCE:
            break
    return effects


def factors_of(responses: Responses) -> dict[str, list[Codes]]:
    """Return the factors of all rows by kind: `cell`, `drug`, `level` and `dose`.

    `level` is a dose of any drug. `dose` is a drug at a dose, a pair of drugs, and a pair at its
    doses; these are nested in `drug` and `level`.
    """
    factors = {}
    for kind, (table, indices) in responses.entities.items():
        factors[kind] = [table.codes(indices)]
        if len(table.names.categories) < len(table):
            factors[kind].append(indices.astype(np.int64))
    if responses.has_doses:
        steps = np.round(np.nan_to_num(responses.doses, nan=0.0) / DOSE_STEP).astype(np.int64)
        is_drug = responses.drugs != NO_SLOT
        levels = np.where(is_drug, steps - steps[is_drug].min(), NO_SLOT)
        factors |= {"level": [levels], "dose": _at_doses(responses, levels)}
    return factors


def _at_doses(responses: Responses, levels: Codes) -> list[Codes]:
    """Return factors: drugs at doses, pairs of drugs, and pairs at doses in any order."""
    at_dose = responses.drug_table.codes(responses.drugs) * (levels.max() + 1) + levels
    at_dose = _numbered(np.where(responses.drugs == NO_SLOT, NO_SLOT, at_dose))
    if not responses.has_pairs:
        return [at_dose[:, 0]]
    both = np.sort(at_dose, axis=1)
    pairs_at_doses = both[:, 0] * (at_dose.max() + 1) + both[:, 1]
    is_single = responses.drugs[:, 1] == NO_SLOT
    pairs = (np.where(is_single, NO_SLOT, c) for c in (group_codes(responses), pairs_at_doses))
    return [at_dose, *map(_numbered, pairs)]


def _numbered(codes: Codes) -> Codes:
    """Return codes renumbered from 0; `NO_SLOT` stays."""
    known = np.unique(codes[codes != NO_SLOT])
    return np.where(codes == NO_SLOT, NO_SLOT, np.searchsorted(known, codes))


def sum_of_effects(effect: Doubles, codes: Codes) -> Doubles:
    """Return the sum of each row's effects (row,); a code that was not fitted has effect 0."""
    padded = np.append(effect, 0.0)
    total = np.zeros(len(codes))
    for slot in _slots(codes):
        total += padded[np.where((slot == NO_SLOT) | (slot >= len(effect)), len(effect), slot)]
    return total


def _slots(codes: Codes) -> Codes:
    """Return codes as (slot, row)."""
    return codes[None] if codes.ndim == 1 else codes.T


def _summed(codes: Codes, like: Doubles, values: Doubles) -> Doubles:
    """Return the sum of the rows' values for each code, in the shape of `like` (code,)."""
    total = np.zeros(len(like))
    for slot in _slots(codes):
        known = slot != NO_SLOT
        total += np.bincount(slot[known], values[known], minlength=len(like))
    return total
