"""Synthetic samples of native formats, made offline from a seed; one module per format.

A generator is found by the name of its format: `synthetic/<format>.py` makes the sample of
`formats/<format>`. A generator may import its format's layout and constants. A format never
imports its generator, so reading published files needs nothing of this package.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, cast

from sciml_data.errors import CallError

if TYPE_CHECKING:
    from pathlib import Path


class Generator(Protocol):
    """What a module `sciml_data/synthetic/<format>` offers.

    Optional: `DEFAULTS`, settings of the sample and their values where the descriptor's
    `native.sample` leaves them out. A `write_sample` that takes long has a keyword argument
    `progress`, a callback that gets the number of finished parts and of all parts.
    """

    def write_sample(self, root: Path, block: Mapping[str, Any], seed: int) -> None:
        """Write a synthetic sample in the native layout.

        Args:
            root: folder of the native files.
            block: `sciml.native` of the descriptor.
            seed: the same seed, settings and software give the same bytes.
        """


def load_generator(format_name: str) -> Generator:
    """Return the generator of a native format's samples.

    Raises:
        CallError: the format has no generator.
    """
    name = f"{__name__}.{format_name}"
    if importlib.util.find_spec(name) is None:
        raise CallError(
            f"the format {format_name} has no synthetic sample",
            untouched="nothing was written",
            hint="`sciml-data describe ID` names the format of a dataset",
        )
    return cast("Generator", importlib.import_module(name))


def sample_settings(generator: Generator, block: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the settings of a sample: the generator's defaults, then those of the descriptor."""
    return {**getattr(generator, "DEFAULTS", {}), **block.get("sample", {})}
