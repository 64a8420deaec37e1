"""Forecasts from means: what a cell, a drug, or a drug at a dose does on average.

Effects are sums over a row's groups, each shrunken to 0 by `penalty` rows' worth of doubt (a ridge
on indicators), fitted in turn until they stand. A group is nested in a wider one (an id in its
canonical name, a dose in its drug), so what is seldom seen falls back on that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from .data import NO_SLOT, Responses, compounds, group_codes

Codes: TypeAlias = npt.NDArray[np.int64]
Doubles: TypeAlias = npt.NDArray[np.float64]
SWEEPS, TOLERANCE = 50, 1e-6  # times all effects are fitted in turn; until they move by less
DOSE_STEP = 0.25  # of -log10(mol/L): doses nearer than half of it are one level


@dataclass(frozen=True)
class Effects:
    """A mean, and an effect for each number of each factor."""

    mean: float
    effects: tuple[Doubles, ...]

    def predict(self, factors: Sequence[Codes]) -> Doubles:
        """Return the sum of effects of rows; a number never seen has none."""
        total = np.full(len(factors[0]) if factors else 0, self.mean)
        for codes, effect in zip(factors, self.effects, strict=True):
            total += _gathered(effect, codes)
        return total


def fit_effects(target: Doubles, factors: Sequence[Codes], *, penalty: float) -> Effects:
    """Return effects fitted to rows by least squares with a penalty on each squared effect.

    Args:
        target: (row,).
        factors: each (row,) or (row, slot) numbers from 0, `NO_SLOT` for none; effects of slots
            are added up.
        penalty: rows' worth of doubt in an effect.
    """
    mean = float(target.mean())
    effects = [np.zeros(int(codes.max()) + 1) for codes in factors]
    counts = [
        _summed(codes, np.ones(len(target)), len(e))
        for codes, e in zip(factors, effects, strict=True)
    ]
    rest = target - mean
    for _ in range(SWEEPS):
        moved = 0.0
        for number, (codes, count) in enumerate(zip(factors, counts, strict=True)):
            slots = 1 if codes.ndim == 1 else codes.shape[1]
            doubt = penalty * effects[number]
            step = (_summed(codes, rest, len(count)) - doubt) / (count + penalty) / slots
            effects[number] = effects[number] + step
            rest = rest - _gathered(step, codes)
            moved = max(moved, float(np.abs(step).max(initial=0.0)))
        if moved < TOLERANCE:
            break
    return Effects(mean, tuple(effects))


def factors_of(responses: Responses) -> dict[str, list[Codes]]:
    """Return the factors of all rows by what they are about: `cell`, `drug`, `level` and `dose`.

    `level` is a dose of any drug; `dose` is a drug at a dose, a pair of drugs, and a pair at its
    doses, each nested in `drug` and `level`.
    """
    cells = [responses.cells.codes[responses.cell]]
    if len(np.unique(responses.cells.codes)) < len(responses.cells):
        cells.append(responses.cell.astype(np.int64))
    drugs = [compounds(responses)]
    if len(np.unique(responses.drug_table.codes)) < len(responses.drug_table):
        drugs.append(responses.drugs.astype(np.int64))
    made = {"cell": cells, "drug": drugs}
    if responses.doses.shape[1]:
        levels = _levels(responses)
        made |= {"level": [levels], "dose": _at_doses(responses, levels)}
    return made


def forecasts(
    responses: Responses, train: Codes, named: Mapping[str, Sequence[str]], *, penalty: float
) -> dict[str, Doubles]:
    """Return for each name the forecast of all rows from the factors it names.

    Args:
        responses: all rows.
        train: rows to fit to.
        named: name -> which of `factors_of` it uses; none is the mean.
        penalty: see `fit_effects`.
    """
    known = factors_of(responses)
    target = responses.target.astype(np.float64)
    made = {}
    for name, kinds in named.items():
        factors = [codes for kind in kinds for codes in known.get(kind, [])]
        fitted = fit_effects(target[train], [codes[train] for codes in factors], penalty=penalty)
        made[name] = fitted.predict(factors) if factors else np.full(len(target), fitted.mean)
    return made


def _levels(responses: Responses) -> Codes:
    """Return each slot's dose as a number of steps, `NO_SLOT` for no drug."""
    steps = np.round(np.nan_to_num(responses.doses, nan=0.0) / DOSE_STEP).astype(np.int64)
    is_drug = responses.drugs != NO_SLOT
    return np.where(is_drug, steps - steps[is_drug].min(), NO_SLOT)


def _at_doses(responses: Responses, levels: Codes) -> list[Codes]:
    """Return the drug at each slot's dose, and each pair at both of its doses in any order."""
    at_dose = compounds(responses) * (levels.max() + 1) + levels
    at_dose = np.where(responses.drugs == NO_SLOT, NO_SLOT, at_dose)
    at_dose = _numbered(at_dose)
    if not responses.has_pairs:
        return [at_dose[:, 0]]
    pairs = np.where(responses.drugs[:, 1] == NO_SLOT, NO_SLOT, group_codes(responses))
    both = np.sort(at_dose, axis=1)
    pairs_at_doses = both[:, 0] * (at_dose.max() + 1) + both[:, 1]
    pairs_at_doses = np.where(responses.drugs[:, 1] == NO_SLOT, NO_SLOT, pairs_at_doses)
    return [at_dose, _numbered(pairs), _numbered(pairs_at_doses)]


def _numbered(codes: Codes) -> Codes:
    """Return codes numbered from 0; `NO_SLOT` stays."""
    known = np.unique(codes[codes != NO_SLOT])
    return np.where(codes == NO_SLOT, NO_SLOT, np.searchsorted(known, codes))


def _summed(codes: Codes, values: Doubles, count: int) -> Doubles:
    """Return the sum of rows' values for each number."""
    total = np.zeros(count)
    for slot in _slots(codes):
        known = slot != NO_SLOT
        total += np.bincount(slot[known], values[known], minlength=count)
    return total


def _gathered(effect: Doubles, codes: Codes) -> Doubles:
    """Return the sum of each row's effects; 0 for a number beyond those that were fitted."""
    padded = np.append(effect, 0.0)
    total = np.zeros(len(codes))
    for slot in _slots(codes):
        total += padded[np.where((slot == NO_SLOT) | (slot >= len(effect)), len(effect), slot)]
    return total


def _slots(codes: Codes) -> Codes:
    return codes[None] if codes.ndim == 1 else codes.T
