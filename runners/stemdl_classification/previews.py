"""Choose a few stacks, which `show` draws later."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sciml_data.ready.samples import Numbers

from .patterns import FORMULA, GROUP, Patterns
from .space_groups import SYSTEMS, systems_of

MAX_GROUPS = 8


def preview_stacks(
    patterns: Patterns, numbers: Numbers, probabilities: npt.NDArray[np.float32]
) -> dict[str, dict[str, Any]]:
    """Return the views of the first stack of up to eight groups, spread over crystal systems.

    Args:
        patterns: of all stacks.
        numbers: (stack,) stacks of the part.
        probabilities: (stack, group 0 to 230).

    Returns:
        description of a stack and its prediction -> view -> image (row, column) uint8.
    """
    stacks, previews = patterns.stacks, {}
    for place in _choose(stacks[GROUP][numbers]):
        number, predicted = numbers[place], int(probabilities[place].argmax())
        group, energy = int(stacks[GROUP][number]), float(stacks["energy"][number])
        outcome = "right" if group == predicted else f"predicted {predicted}"
        beam = f", {energy:.0f} keV" if np.isfinite(energy) else ""
        name = stacks[FORMULA][number] or stacks["native_sample"][number]
        label = (
            f"{group} {SYSTEMS[int(systems_of(np.array(group)))]}\n{name}{beam}\n"
            f"{outcome} ({probabilities[place, predicted]:.2f})"
        )
        log_intensity = np.rint(patterns.take(numbers[[place]])[0]).astype(np.uint8)
        previews[label] = {f"view{view + 1}": log_intensity[..., view] for view in range(3)}
    return previews


def _choose(groups: npt.NDArray[np.int64]) -> Numbers:
    """Return the first stack of each chosen group: a group of each system first, then more."""
    present, first = np.unique(groups, return_index=True)
    system = systems_of(present)
    rank = np.array([int((system[:place] == system[place]).sum()) for place in range(len(system))])
    order = np.lexsort((present, rank))[:MAX_GROUPS]
    return np.asarray(first[np.sort(order)])
