"""Find the scans of all ready files, with their materials, and read their arrays.

Opening reads names and shapes only. The arrays, up to 100 GB, stay on disk until a batch needs
them. A sample is a chunk of each variable, so it can be read without its neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import xarray as xr

from sciml_data.errors import CallError, ConversionError, Problem
from sciml_data.formats import open_hdf5, open_netcdf, report_damage
from sciml_data.ready import shards_of_split

if TYPE_CHECKING:
    from sciml_data.registry.stages import Converted

SCAN = "scan"
POTENTIAL, DENSITY, LEGACY = "potential", "electron_density", "legacy"
VARIABLES = {POTENTIAL: "potential", DENSITY: "electron_density", LEGACY: "legacy_target"}
UNITS = {POTENTIAL: "V", DENSITY: "e/Angstrom^3", LEGACY: "1"}
TEXTS = ("material", "formula", "native_file", "native_sample")
UNKNOWN = ""

Numbers: TypeAlias = npt.NDArray[np.intp]
Floats: TypeAlias = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Scans:
    """Samples of all ready files, in the order of folders and files.

    Attributes:
        paths: of the files.
        file: (sample,) index of the path.
        row: (sample,) index in the file.
        folder: (sample,) folder of the dataset (its split).
        texts: (sample,) text by name of `TEXTS`; `UNKNOWN` if the file has none.
        pixel: (sample,) size of a pixel of the view in Å; NaN if unknown.
        shape: probes, and rows and columns of a pattern.
        view: rows and columns of the images.
        channels: those of `VARIABLES` that all files have.
        attributes: of the first file and its scans.
    """

    paths: tuple[Path, ...]
    file: Numbers
    row: Numbers
    folder: npt.NDArray[np.str_]
    texts: Mapping[str, npt.NDArray[np.str_]]
    pixel: npt.NDArray[np.float64]
    shape: tuple[int, int, int]
    view: tuple[int, int]
    channels: tuple[str, ...]
    attributes: Mapping[str, Any]

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.file)

    @property
    def names(self) -> npt.NDArray[np.str_]:
        """Return a unique name for each sample: (sample,) text.

        It has native file and number if known, else those of the ready file.
        """
        file, number = self.texts["native_file"], self.texts["native_sample"]
        if (file != UNKNOWN).all() and (number != UNKNOWN).all():
            return np.array([f"{name}:{n}" for name, n in zip(file, number, strict=True)])
        stems = [self.paths[file].stem for file in self.file]
        return np.array([f"{stem}:{row}" for stem, row in zip(stems, self.row, strict=True)])

    @property
    def has_materials(self) -> bool:
        """Return whether the material of every sample is known."""
        return bool((self.texts["material"] != UNKNOWN).all())

    def read(self, variable: str, numbers: Sequence[int] | Numbers) -> Floats:
        """Return a variable of samples in the given order: (sample, ...) float32.

        Raises:
            ConversionError: a file is missing, truncated or damaged.
        """
        chosen = np.asarray(numbers, np.intp)
        shape = self.shape if variable == SCAN else self.view
        values = np.empty((len(chosen), *shape), np.float32)
        for file in np.unique(self.file[chosen]):
            places = np.flatnonzero(self.file[chosen] == file)
            try:
                with open_hdf5(self.paths[file], error=ConversionError, is_verified=True) as opened:
                    stored = opened[variable]
                    for place in places:
                        stored.read_direct(values, int(self.row[chosen[place]]), int(place))
            except ConversionError as error:
                raise _unreadable(self.paths[file], error) from error
        return values

    def read_targets(self, channels: Sequence[str], numbers: Sequence[int] | Numbers) -> Floats:
        """Return channels of samples: (sample, row, column, channel) float32.

        Raises:
            ConversionError: a file cannot be read, or a sample has no finite target.
        """
        values = np.stack([self.read(VARIABLES[name], numbers) for name in channels], axis=-1)
        is_missing = ~np.isfinite(values).all(axis=(1, 2, 3))
        if is_missing.any():
            names = self.names[np.asarray(numbers, np.intp)[is_missing]]
            raise ConversionError(
                f"{len(names)} scans have no target {' and '.join(channels)}",
                problems=[Problem("missing", str(name), "not finite") for name in names[:10]],
                untouched="nothing was changed",
                hint="--set target=legacy",
            )
        return values


def find_scans(converted: Converted) -> Scans:
    """Return the samples of all ready files.

    Raises:
        CallError: there is no scan.
        ConversionError: a file cannot be read, or shapes differ; all such files are listed.
    """
    places = [
        (folder, converted.root / name)
        for folder, names in shards_of_split(converted).items()
        for name in sorted(names)
    ]
    if not places:
        raise CallError("there are no ready scans", hint="sciml-data convert stemdl_reconst_ds1")
    heads = [_read_head(path) for _, path in places]
    _require_same_shapes([path for _, path in places], heads)
    lengths = [head["samples"] for head in heads]
    return Scans(
        paths=tuple(path for _, path in places),
        file=np.repeat(np.arange(len(places)), lengths).astype(np.intp),
        row=np.concatenate([np.arange(length) for length in lengths]).astype(np.intp),
        folder=np.repeat([folder for folder, _ in places], lengths).astype(np.str_),
        texts={
            name: np.concatenate([head[name] for head in heads]).astype(np.str_) for name in TEXTS
        },
        pixel=np.concatenate([head["pixel"] for head in heads]),
        shape=heads[0]["shape"],
        view=heads[0]["view"],
        channels=tuple(
            name for name in VARIABLES if all(name in head["channels"] for head in heads)
        ),
        attributes=heads[0]["attributes"],
    )


def _read_head(path: Path) -> dict[str, Any]:
    """Return names, shapes and attributes of a file, without its arrays."""
    try:
        with (
            report_damage(path.name, ConversionError),
            open_netcdf(path, error=ConversionError, is_verified=True) as dataset,
        ):
            count = dataset.sizes["sample"]
            pixel = dataset.get("pixel_size")
            return {
                "samples": count,
                "shape": tuple(dataset[SCAN].shape[1:]),
                "view": tuple(dataset[VARIABLES[LEGACY]].shape[1:]),
                "channels": [name for name in VARIABLES if VARIABLES[name] in dataset],
                "attributes": {**dataset.attrs, **dataset[SCAN].attrs},
                "pixel": np.full(count, np.nan)
                if pixel is None
                else np.broadcast_to(pixel.to_numpy().astype(np.float64), (count,)),
                **{name: _texts(dataset, name, count) for name in TEXTS},
            }
    except ConversionError as error:
        raise _unreadable(path, error) from error


def _texts(dataset: xr.Dataset, name: str, count: int) -> list[str]:
    if name not in dataset.variables:
        return [UNKNOWN] * count
    values = np.broadcast_to(dataset[name].to_numpy(), (count,)).tolist()
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]


def _require_same_shapes(paths: Sequence[Path], heads: Sequence[Mapping[str, Any]]) -> None:
    problems = [
        Problem(
            "shape", path.name, f"{key} {tuple(heads[0][key])} expected, {tuple(head[key])} found"
        )
        for path, head in zip(paths, heads, strict=True)
        for key in ("shape", "view")
        if head[key] != heads[0][key]
    ]
    if problems:
        raise ConversionError(
            f"ready scans differ in shape from those of {paths[0].name}",
            problems=problems,
            untouched="nothing was trained",
            hint="use scans of one generation only: fetch one of them, or convert each on its own",
        )


def _unreadable(path: Path, error: ConversionError) -> ConversionError:
    return ConversionError(
        f"ready scans cannot be read: {path.name}",
        problems=error.problems,
        untouched="nothing was changed",
        hint="convert the dataset again: sciml-data convert stemdl_reconst_ds1 --again",
    )
