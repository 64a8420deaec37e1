"""The three reference models, as causal sequence models in Keras 3.

All take pieces of series and a base forecast, and return the base plus a correction for all
fortnights at once. They are causal: the output at fortnight t does not depend on later fortnights.

    inputs   series  (batch, location, time, feature)   float32, standardised
             base    (batch, location, time, window=8)  float32, standardised
    output           (batch, location, time, window=8)  float32, standardised

All layers are from `keras.layers` and `keras.ops`. The last layer of each model starts at 0, so an
untrained model predicts the base.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sciml_data.errors import CallError, nearest

from ..data import WINDOWS  # noqa: TID252 - the runner is loaded by path and has no name of its own
from . import lstm, tft, transformer

Body = Callable[..., Any]
BODIES: Mapping[str, Body] = {
    "lstm": lstm.body,
    "transformer": transformer.body,
    "tft": tft.body,
}


def build_model(
    settings: Mapping[str, Any], *, names: Sequence[str], locations: int, length: int
) -> Any:
    """Return a new model.

    Args:
        settings: `model`, and the sizes of that model.
        names: of the features, in order; those that begin with "fault_" are constant in time.
        locations: number of locations in a piece.
        length: number of fortnights in a piece.

    Raises:
        CallError: the model is unknown.
    """
    import keras

    name = settings["model"]
    if name not in BODIES:
        raise CallError(f"no model is called {name!r}{nearest(name, BODIES)}")
    series = keras.Input((locations, length, len(names)), name="series")
    base = keras.Input((locations, length, len(WINDOWS)), name="base")
    correction = BODIES[name](series, settings, names)
    output = keras.layers.Add(dtype="float32")([base, correction])
    return keras.Model({"series": series, "base": base}, output, name=name)
