"""The three reference models, as causal sequence models in Keras 3.

All take pieces of series and a base forecast and return the base plus a correction, for every
fortnight at once: what stands at fortnight t depends on nothing after t.

    inputs  series: (batch, location, time, feature) float32, base: (batch, location, time,
    window=8) output  (batch, location, time, window=8) float32, in standard deviations of the
    targets

They are written on `keras.layers` and `keras.ops` alone. The last layer of each starts at 0, so an
untrained model says what the base says.
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
    settings: Mapping[str, Any], *, names: Sequence[str], together: int, length: int
) -> Any:
    """Return a new model.

    Args:
        settings: `model`, and the sizes that model asks for.
        names: of the features, in order; those that begin with "fault_" do not change in time.
        together: locations in a piece.
        length: fortnights in a piece.

    Raises:
        CallError: there is no such model.
    """
    import keras

    name = settings["model"]
    if name not in BODIES:
        raise CallError(f"no model is called {name!r}{nearest(name, BODIES)}")
    series = keras.Input((together, length, len(names)), name="series")
    base = keras.Input((together, length, len(WINDOWS)), name="base")
    correction = BODIES[name](series, settings, names)
    output = keras.layers.Add(dtype="float32")([base, correction])
    return keras.Model({"series": series, "base": base}, output, name=name)
