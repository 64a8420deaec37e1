"""Overview of satellite scenes: a day scene with clouds in colours, a band, and the cloud mask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sciml_data.site.overview.panels import categories, image, texts

if TYPE_CHECKING:
    import xarray as xr

    from sciml_data.site.overview.drawing import Parts

STRIDE = 8  # pixels, for choosing a scene
MAX_SCENES = 40  # among which a scene is chosen
MIN_SIDE = 400  # pixels; a smaller scene is chosen only if it shows more
MAX_SIDE = 250  # squares of pixels along a side; a panel has about 320 pixels
MEASURED, LABELS = ("reflectance", "brightness_temperature"), ("cloud", "valid")
CLOUDS = {0: ("clear", "#3f78b5"), 1: ("cloud", "#ffffff"), 9: ("not valid", "#b5b5b5")}
SHADOWS = {0: ("clear", "#3f78b5"), 1: ("cloud", "#ffffff"), 2: ("shadow", "#20262e")}
NATURAL = ("red", "green", "blue")
FALSE_COLOUR = ("S5", "S3", "S2")  # ice cloud is dark red, water cloud white, the sea dark


def draw(figure: Any, parts: Parts) -> None:
    """Draw the panels of the scene that is sunlit and closest to half clouds."""
    best = (-2.0, parts.splits[0], 0)
    for split in parts.splits:
        with parts.open(split) as dataset:
            axis = str(dataset["cloud"].dims[0])
            for number in range(min(dataset.sizes[axis], MAX_SCENES)):
                score = _score(dataset.isel({axis: number}))
                best = max(best, (score, split, number))
    with parts.open(best[1]) as dataset:
        axis = str(dataset["cloud"].dims[0])
        scene = dataset.isel({axis: best[2]})
        rows, columns = (dataset.sizes[name] for name in ("row", "column"))
        side = max(1, -(-max(rows, columns) // MAX_SIDE))
        scene = _reduced(scene, side)
    charts = figure.subplots(1, 3)
    if "brightness_temperature" in scene:
        _slstr(charts, scene)
    else:
        _chip(charts, scene)


def _reduced(scene: xr.Dataset, side: int) -> xr.Dataset:
    """Return a scene of squares of pixels: means of measurements, the commonest class of labels."""
    import xarray as xr

    names = [name for name in (*MEASURED, *LABELS) if name in scene]
    rest = scene.drop_dims(["row", "column"]).load()
    squares = scene[names].load().coarsen(row=side, column=side, boundary="trim")
    means = squares.mean()
    labels = {name: _commonest(scene[name].to_numpy(), side) for name in LABELS if name in scene}
    labelled = {name: (("row", "column"), values) for name, values in labels.items()}
    return xr.merge([rest, means.drop_vars(list(labels)).assign(labelled)])


def _commonest(values: Any, side: int) -> Any:
    """Return the commonest number of each square of pixels; of several, the lowest."""
    import numpy as np

    rows, columns = (length // side for length in values.shape)
    squares = values[: rows * side, : columns * side].reshape(rows, side, columns, side)
    numbers = np.unique(squares)
    counts = [(squares == number).sum(axis=(1, 3)) for number in numbers]
    return numbers[np.argmax(counts, axis=0)]


def _score(scene: xr.Dataset) -> float:
    """Return how well a scene shows what the data are: sunlit, filled, half of it clouds."""
    import numpy as np

    steps = slice(STRIDE // 2, None, STRIDE)
    few = scene.isel(row=steps, column=steps)
    valid = few["valid"].to_numpy() > 0 if "valid" in few else np.ones(few["cloud"].shape, bool)
    if not valid.any():
        return -1.0
    lit = float(scene["lit_fraction"]) if "lit_fraction" in scene else 1.0
    share = float((few["cloud"].to_numpy()[valid] == 1).mean())
    size = min(1.0, min(few["cloud"].shape) * STRIDE / MIN_SIDE)
    mixed = max(0.0, 1 - 2 * abs(share - 0.5))
    return float(size * lit * valid.mean() * np.sqrt(mixed))


def _slstr(charts: Any, scene: xr.Dataset) -> None:
    import numpy as np

    bands = texts(scene["reflective_band"])
    colour = _stretched(scene["reflectance"].to_numpy(), [bands.index(b) for b in FALSE_COLOUR])
    day = str(scene["time"].dt.strftime("%Y-%m-%d").item())
    image(charts[0], colour, f"{day}; red, green, blue: {', '.join(FALSE_COLOUR)}")
    thermal = texts(scene["thermal_band"])
    warmth = scene["brightness_temperature"].to_numpy()[..., thermal.index("S8")]
    unit = "brightness temperature, K"
    image(charts[1], warmth, "thermal band S8", unit=unit, cmap="inferno")
    valid = scene["valid"].to_numpy() > 0
    mask = np.where(valid, scene["cloud"].to_numpy(), 9)
    categories(charts[2], mask, "cloud label", CLOUDS)


def _chip(charts: Any, scene: xr.Dataset) -> None:
    bands = [name.lower() for name in texts(scene["band"])]
    values = scene["reflectance"].to_numpy()
    colour = _stretched(values, [bands.index(name) for name in NATURAL])
    image(charts[0], colour, f"{texts(scene['sensor'])[0]}: red, green, blue")
    near = next((name for name in bands if name.startswith("nir")), bands[-1])
    image(
        charts[1], values[..., bands.index(near)], f"band {near}", unit="reflectance", cmap="gray"
    )
    categories(charts[2], scene["cloud"].to_numpy(), "label", SHADOWS)


def _stretched(values: Any, bands: list[int]) -> Any:
    """Return three bands (row, column, 3) from 0 to 1; missing values are black."""
    import numpy as np

    chosen = values[..., bands]
    low, high = np.nanpercentile(chosen, [1, 98])
    return np.clip(np.nan_to_num((chosen - low) / max(high - low, 1e-9), nan=0.0), 0.0, 1.0)
