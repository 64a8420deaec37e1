"""Small chips of optical satellites with masks, as ukis-csmask's test files are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

CHIP = "landsat7.npz"
SHAPE = (8, 10)


def write_chip(root: Path, **replaced: Any) -> dict[str, Any]:
    """Write a chip with each class of the mask, and return its arrays.

    Args:
        root: folder of the native files.
        **replaced: arrays that differ; None leaves one out.
    """
    root.mkdir(exist_ok=True)
    image = np.random.default_rng(0).random((*SHAPE, 6), np.float32)
    mask = (np.arange(SHAPE[0] * SHAPE[1]) % 5).astype(np.uint8).reshape(*SHAPE, 1)
    content = {"img": image, "msk": mask, **replaced}
    np.savez_compressed(
        root / CHIP, **{key: values for key, values in content.items() if values is not None}
    )
    return content
