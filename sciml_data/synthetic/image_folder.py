"""Made-up images: an uneven beam with grain, and bright spots by which classes can be told apart.

Settings in `block["sample"]`:

    count     images of each class in each split
    rows, columns   of an image; the stated size of the native block counts where there is one
    suffix    ending of the files, which also chooses the format; .png, or .tif for floats
    spots     class -> number of spots; by default its number, so that the first class has none
    folders   split -> classes that have images there; by default all
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciml_data.formats.image_folder import require_pillow
from sciml_data.registry.manifest import match_paths
from sciml_data.synthetic.declared import folder_of

DEFAULTS: Mapping[str, Any] = {
    "count": 6, "rows": 32, "columns": 40, "suffix": "", "spots": {}, "folders": {},
}  # fmt: skip
GRAIN = 0.03  # standard deviation of the noise, of the brightest possible pixel
SPOT_HEIGHT, SPOT_WIDTH = 0.4, 1.5  # of the brightest possible pixel; pixels
FULL_SCALE = {"bool": 1, "uint8": 255, "uint16": 65535, "int32": 65535, "float32": 1}


def write_sample(
    root: Path, block: Mapping[str, Any], seed: int, *, described: Mapping[str, Any]
) -> None:
    """Write images of each class of each split.

    Args:
        root: folder of the native files.
        block: `sciml.native`; its `sample` is described in the module's docstring.
        seed: the same seed, settings and software give the same bytes.
        described: `sciml` of the descriptor, with splits and variables.

    Raises:
        CallError: Pillow is not installed.
    """
    require_pillow()
    from PIL import Image

    settings = {**DEFAULTS, **block.get("sample", {})}
    about = described["variables"]["image"]
    rows, columns = block.get("size", (settings["rows"], settings["columns"]))
    shape = (rows, columns) if len(about["dims"]) < 4 else (rows, columns, 3)
    usual = ".tif" if about["dtype"] in ("float32", "int32") else ".png"
    classes = block.get("classes", [""])
    for place, (split, globs) in enumerate(described["splits"].items()):
        allowed = settings["folders"].get(split, classes)
        for number, name in enumerate(classes):
            spots = settings["spots"].get(name, number)
            for image in range(settings["count"] if name in allowed else 0):
                file = f"{image:05d}{settings['suffix'] or usual}"
                path = folder_of(globs[0]) + (f"{name}/{file}" if name else file)
                if not match_paths(globs, [path]):
                    continue
                rng = np.random.default_rng([seed, place, number, image])
                target = root / path
                target.parent.mkdir(parents=True, exist_ok=True)
                pixels = _pixels(rng, shape, spots) * FULL_SCALE[about["dtype"]]
                Image.fromarray(pixels.astype(about["dtype"])).save(target)


def _pixels(rng: np.random.Generator, shape: tuple[int, ...], spots: int) -> NDArray[np.float64]:
    """Return an image between 0 and 1."""
    row, column = np.indices(shape[:2])
    middle = [rng.uniform(0.4, 0.6) * length for length in shape[:2]]
    widths = [rng.uniform(0.5, 0.8) * length for length in shape[:2]]
    distance = ((row - middle[0]) / widths[0]) ** 2 + ((column - middle[1]) / widths[1]) ** 2
    light = 0.5 * np.exp(-distance) + 0.05 * np.cos(column * rng.uniform(0.2, 0.4))
    for _ in range(spots):
        at = [rng.uniform(0.1, 0.9) * length for length in shape[:2]]
        squared = (row - at[0]) ** 2 + (column - at[1]) ** 2
        light += SPOT_HEIGHT * np.exp(-squared / (2 * SPOT_WIDTH**2))
    light = light[..., None] if len(shape) > 2 else light
    grain = rng.normal(0.1, GRAIN, shape)
    return np.asarray(np.clip(light + grain, 0, 1), np.float64)
