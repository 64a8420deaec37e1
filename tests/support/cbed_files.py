"""Write small native files of STEMDL with h5py and NumPy, as the upstream scripts do."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

SIZE = 8
SHAPE = (3, SIZE, SIZE)
ATTRIBUTES: Mapping[str, Any] = {
    "space_group": np.bytes_("2"),
    "material": np.bytes_("mp-763064"),
    "formula": "Fe8 O14 F2",
    "energy_keV": 100,
    "z_dirs": np.array([[[1, 0, 0], [0, 1, 1], [1, -1, 2]]]),
    "y_dirs": np.array([[[0.0, 1, 0], [1, 0, 0], [1, 1, 0]]]),
    "semi_angles_rad": np.array([0.00277, 0.00287, 0.00367]),
    "d_hkls_angstrom": np.array([3.34, 3.22, 2.52]),
    "abc_angstrom": np.array([5.1, 5.2, 9.9]),
    "angles_degree": np.array([90.0, 100.5, 61.0]),
}


@dataclass(frozen=True)
class Sample:
    """A sample to be written.

    Attributes:
        attributes: those that differ from `ATTRIBUTES`; None leaves an attribute out.
        stack: (3, y, x) patterns; None writes random ones.
    """

    attributes: Mapping[str, Any] = field(default_factory=dict)
    stack: Any = None


def stack(seed: int = 0, shape: Sequence[int] = SHAPE) -> NDArray[np.float32]:
    """Return intensities (3, y, x): zero in the corners, too large for float16 in the middle."""
    random = np.random.default_rng(seed)
    values = random.random(shape).astype(np.float32)
    rows, columns = np.indices(shape[1:]) - (shape[-1] - 1) / 2
    values[:, np.hypot(rows, columns) > shape[-1] / 2] = 0
    values[:, shape[1] // 2, shape[2] // 2] = 70_000 + seed
    return values


def write_hdf5(path: Path, samples: Mapping[str, Sample], size: int | None = SIZE) -> Path:
    """Write an HDF5 file of samples; with a size it is marked as synthetic and of that size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        if size is not None:
            file.attrs["synthetic"] = True
            file.attrs["nominal_shape"] = np.array((3, size, size))
        for name, sample in samples.items():
            group = file.create_group(name)
            seed = sum(map(ord, name))
            group["cbed_stack"] = stack(seed) if sample.stack is None else sample.stack
            for key, value in {**ATTRIBUTES, **sample.attributes}.items():
                if value is not None:
                    group.attrs[key] = value
    return path


def log_intensities(seed: int = 0) -> NDArray[np.float32]:
    """Return a stack as in the npz files: scaled log intensities (3, 128, 128), 0 to 255."""
    random = np.random.default_rng(seed)
    return random.uniform(0, 255, (3, 128, 128)).astype(np.float32)


def write_npz(path: Path, label: int = 2, data: Any = None, **more: Any) -> Path:
    """Write a sample as `numpy.savez` does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = log_intensities(label) if data is None else data
    np.savez(path, data=data, label=np.array([label], np.int64), **more)
    return path


def npy(array: NDArray[Any]) -> bytes:
    """Return an array as the bytes of an npy file."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, allow_pickle=True)
    return stream.getvalue()


def write_zip(path: Path, members: Sequence[tuple[str, bytes]], deflated: bool = False) -> Path:  # noqa: FBT001, FBT002
    """Write a zip archive of any members, such as a malformed npz file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path
