"""The last step of a forecast: a blend with baselines and a gain, learnt on the validation part.

A model is trained on years in which fewer earthquakes were seen than in those that it forecasts,
and its errors grow with the window until the mean of a pixel is a better forecast. Both can be seen
in the validation part and repaired with three numbers for each window:

    blended  = model + a * (climatology - model) + b * (persistence - model)
    forecast = quiet + (1 + gain) * (blended - quiet)

`quiet` is the magnitude of a window without earthquakes, so that the gain raises active pixels and
leaves quiet ones where they are. All numbers are by least squares over all pixels and fortnights.
The gain is a fit to few independent windows, so it is shrunk towards 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sciml_data.formats.earthquake import ENERGY_EXPONENT, FORTNIGHT_DAYS

from .data import WINDOWS, Floats, Singles

BLENDED = ("climatology", "persistence")
# Independent windows at which the gain counts half: about the number that a standard error of the
# mean needs to be half of the standard deviation.
SHRINKING_WINDOWS = 5.0


@dataclass(frozen=True)
class Blend:
    """The numbers of a blend.

    Attributes:
        weights: (window=8, baseline=2), at least 0; their sum is at most 1.
        gain: (window=8).
    """

    weights: npt.NDArray[np.float64]
    gain: npt.NDArray[np.float64]

    def apply(self, model: Floats, forecasts: Mapping[str, Floats]) -> Singles:
        """Return the blended forecast of magnitudes (pixel, time, window)."""
        blended = model + sum(
            self.weights[:, index] * (forecasts[name] - model) for index, name in enumerate(BLENDED)
        )
        return np.asarray(blended + self.gain * (blended - quiet_magnitude()), np.float32)


def fit_blend(observed: Floats, model: Floats, forecasts: Mapping[str, Floats]) -> Blend:
    """Return the blend with the least squared error.

    Args:
        observed: (pixel, time, window) magnitudes, NaN where not in the validation part.
        model: (pixel, time, window) magnitudes.
        forecasts: of the baselines, the same shape.
    """
    from sklearn.linear_model import LinearRegression

    weights, gain = np.zeros((len(WINDOWS), len(BLENDED))), np.zeros(len(WINDOWS))
    for window, (steps, quiet) in enumerate(zip(WINDOWS, quiet_magnitude(), strict=True)):
        known = np.isfinite(observed[..., window])
        if not known.any():
            continue
        truth, base = observed[known, window].astype(np.float64), model[known, window]
        others = np.stack([forecasts[name][known, window] - base for name in BLENDED], axis=-1)
        fit = LinearRegression(positive=True, fit_intercept=False).fit(others, truth - base)
        weights[window] = fit.coef_ / max(1.0, fit.coef_.sum())
        above = base + others @ weights[window] - quiet
        independent = known.any(axis=0).sum() / steps
        slope = ((truth - quiet - above) * above).sum() / max((above**2).sum(), 1e-12)
        gain[window] = slope * independent / (independent + SHRINKING_WINDOWS)
    return Blend(weights, gain)


def quiet_magnitude() -> npt.NDArray[np.float64]:
    """Return the magnitude of windows without earthquakes: (window=8)."""
    return np.asarray(np.log10(FORTNIGHT_DAYS * np.array(WINDOWS)) / ENERGY_EXPONENT)
