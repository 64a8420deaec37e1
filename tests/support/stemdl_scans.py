"""Write small ready scans: a focused beam through a sheet of atoms, simulated by one slice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import xarray as xr

from sciml_data.ready.folder import write_record
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.registry.manifest import Manifest
from sciml_data.registry.stages import Converted

WINDOW = 4.0  # Å: side of the scanned square, in the middle of a box twice as wide
BOX = 2 * WINDOW
Array = npt.NDArray[np.float64]


def sheet(random: np.random.Generator, pixels: int) -> Array:
    """Return the projected potential (pixels, pixels) of a few atoms in the box, in V Å."""
    axis = (np.arange(pixels) + 0.5) * BOX / pixels
    image = np.zeros((pixels, pixels))
    for _ in range(20):
        y, x, height = *random.uniform(0, BOX, 2), random.uniform(200, 600)
        distance = [np.minimum(abs(axis - at), BOX - abs(axis - at)) for at in (y, x)]
        image += height * np.exp(-(distance[0][:, None] ** 2 + distance[1] ** 2) / (2 * 0.35**2))
    return image


def scanned(potential: Array, *, probes: int, size: int, aperture: float = 0.4) -> Array:
    """Return diffracted intensities (probes^2, size, size), one pattern for each probe.

    Args:
        potential: (pixels, pixels) projected potential in V Å; see `sheet`.
        probes: probes along a side of the window, each in the middle of its share.
        size: pixels along a side of a pattern, of 1 / BOX in Å^-1; the undiffracted beam is in
            pixel (size // 2, size // 2).
        aperture: radius of the pupil in Å^-1.
    """
    pixels = len(potential)
    k = np.fft.fftfreq(pixels, BOX / pixels)
    pupil = np.hypot(k[:, None], k) <= aperture
    places = WINDOW / 2 + (np.arange(probes) + 0.5) * WINDOW / probes - 0.5 * BOX / pixels
    transmission = np.exp(1j * 9.244e-4 * potential)
    middle = slice(pixels // 2 - size // 2, pixels // 2 - size // 2 + size)
    patterns = []
    for y in places:
        for x in places:
            wave = np.fft.ifft2(pupil * np.exp(-2j * np.pi * (k[:, None] * y + k * x)))
            far = np.fft.fftshift(np.abs(np.fft.fft2(wave * transmission)) ** 2)[middle, middle]
            patterns.append(far / pupil.sum())
    return np.array(patterns)


def window_of(potential: Array, view: int) -> Array:
    """Return the middle of the box (view, view), each pixel the mean of its area."""
    quarter = len(potential) // 4
    inner = potential[quarter:-quarter, quarter:-quarter]
    step = len(inner) // view
    return np.asarray(inner.reshape(view, step, view, step).mean(axis=(1, 3)), np.float64)


def ready_dataset(
    materials: list[str], *, probes: int = 4, size: int = 16, view: int = 16, published: bool
) -> xr.Dataset:
    """Return the content of a ready file: each material twice, with other noise in the patterns."""
    scans, potentials = [], []
    for material in materials:
        random = np.random.default_rng(int(material[3:]))
        potential = sheet(random, 4 * view)
        for _ in range(2):
            intensity = scanned(potential, probes=probes, size=size)
            intensity = np.maximum(intensity + random.normal(0, 1e-7, intensity.shape), 0)
            mean = intensity.mean(axis=(1, 2), keepdims=True)
            scans.append((intensity - mean) / intensity.std(axis=(1, 2), keepdims=True))
            potentials.append(window_of(potential, view))
    images = np.array(potentials)
    legacy = images - images.mean(axis=(1, 2), keepdims=True)
    legacy /= legacy.std(axis=(1, 2), keepdims=True)
    names = [name for name in materials for _ in range(2)]
    plane = ("sample", "v", "u")
    variables: dict[str, tuple[object, ...]] = {
        "scan": (("sample", "probe", "y", "x"), np.array(scans, "f4"), {"scaling": "z-score"}),
        "legacy_target": (plane, legacy.astype("f4"), {"units": "1"}),
        "native_file": ("sample", np.array(["a.db"] * len(names), dtype="S")),
        "native_sample": ("sample", np.array([f"{names[0]}-{i}" for i in range(len(names))], "S")),
        "potential": (plane, (images / 10).astype("f4"), {"units": "V"}),
        "electron_density": (plane, (images / 500).astype("f4"), {"units": "Angstrom-3"}),
        "pixel_size": ("sample", np.full(len(names), WINDOW / view, "f4")),
        "material": ("sample", np.array(names, dtype="S")),
        "formula": ("sample", np.array([f"X{int(name[3:]) % 4}" for name in names], dtype="S")),
    }
    names_in_file = list(variables)[:4] if published else list(variables)
    return xr.Dataset({name: variables[name] for name in names_in_file})


def write_ready(
    root: Path, folders: dict[str, list[list[str]]], *, published: bool = False
) -> Converted:
    """Write ready files: for each folder, a file for each list of materials."""
    root.mkdir(parents=True, exist_ok=True)
    splits: dict[str, list[str]] = {}
    for folder, files in folders.items():
        for number, materials in enumerate(files):
            name = f"{folder}-batch_{folder}_{number}-00000.nc"
            chunk = {"scan": {"chunksizes": (1, 16, 16, 16)}}
            ready_dataset(materials, published=published).to_netcdf(
                root / name, engine="h5netcdf", encoding=chunk
            )
            splits.setdefault(folder, []).append(name)
    write_record(root, {"splits": splits})
    descriptor = load_descriptor(find_registry(), "stemdl_reconst_ds1", "1.0")
    return Converted(descriptor, root, Manifest(()), "0" * 64, is_synthetic=True)
