"""A registry that lists a published ready form of small cloud scenes, and the folder to serve."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from sciml_data.curate.pin import write_pin
from sciml_data.curate.pin_ready import pin_ready
from sciml_data.home import find_home
from sciml_data.ready import convert
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import Registry
from sciml_data.registry.manifest import manifest_of
from sciml_data.registry.stages import Converted, Verified
from tests.support.small_scenes import DATASET, VERSION, write_registry

URL = "https://example.org/ds1-ready/"
SHAPE = (300, 320)  # two chunks of 256 along each axis, the second of each cut
COUNTS = {"training": 3, "inference": 2}


@dataclass(frozen=True)
class Published:
    """A published ready form.

    Attributes:
        registry: lists it.
        folder: has its files, as a mirror would.
        converted: the files where they were converted.
    """

    registry: Registry
    folder: Path
    converted: Converted


def publish_scenes(
    root: Path,
    *,
    shape: tuple[int, int] = SHAPE,
    counts: dict[str, int] = COUNTS,
    url: str = URL,
) -> Published:
    """Make scenes, convert them as published data, pin them, and copy them for a mirror."""
    from sciml_data.synthetic.slstr_hdf5 import write_sample

    folder = find_home(root / "curator").dataset(DATASET, VERSION)
    write_sample(folder.native, {"sample": {"count": counts, "shape": list(shape)}}, 0)
    write_registry(root / "registry", folder.native, ["https://example.org"])
    registry = Registry(root / "registry")
    descriptor = load_descriptor(registry, DATASET)
    converted = convert(Verified(descriptor, folder, manifest_of(folder.native)))
    write_pin(pin_ready(descriptor, folder, [url]), registry)
    served = root / "served"
    shutil.copytree(converted.root, served)
    (served / "manifest.csv").unlink()  # the manifest of the registry counts
    return Published(registry, served, converted)
