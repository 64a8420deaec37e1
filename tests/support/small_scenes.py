"""CloudMask's dataset at a size for tests: synthetic scenes with the addresses of real scenes.

The descriptor is that of the registry, with another number and size of the expected files and other
hosts of mirrors. Buckets, keys and the two names of each folder are the same.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from sciml_data.registry.layout import find_registry

DATASET, VERSION = "cloud_slstr_ds1", "1.0"
BUCKET = "sciml-datasets"
PREFIX = "es/cloud_slstr_ds1/"
OLDER_NAMES = {"training": "one-day", "inference": "ssts"}  # names of the folders until 2026
COUNTS = {"training": 3, "inference": 2}
SHAPE = (96, 120)


def write_native(root: Path, counts: Mapping[str, int] = COUNTS, seed: int = 0) -> None:
    """Write small scenes as root/training/*.hdf and root/inference/*.hdf."""
    from sciml_data.synthetic.slstr_hdf5 import write_sample

    write_sample(root, {"sample": {"count": dict(counts), "shape": list(SHAPE)}}, seed)


def write_older(native: Path, root: Path) -> None:
    """Copy scenes to folders under their older names."""
    for name, older in OLDER_NAMES.items():
        shutil.copytree(native / name, root / older)


def write_registry(root: Path, native: Path, mirrors: Sequence[str]) -> None:
    """Write a registry with the unpinned dataset, which expects the number of files in a folder.

    Args:
        root: folder of the registry.
        native: folder of the files.
        mirrors: addresses of endpoints; each is a mirror with new and with older folder names.
    """
    folder = root / "datapackages" / DATASET / VERSION
    shutil.copytree(find_registry(None).root / "datapackages" / DATASET, folder.parent)
    path = folder / "datapackage.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    document["sciml"]["expected"] = {
        "files": {
            f"{name}/**": {"count": len(list((native / name).iterdir()))} for name in OLDER_NAMES
        },
        "total_bytes": dict.fromkeys(
            ("least", "most"), sum(file.stat().st_size for file in native.rglob("*.hdf"))
        ),
    }
    document["sciml"]["mirrors"] = [
        {
            "name": f"endpoint-{number}{suffix}",
            "s3": f"s3://{BUCKET}/{PREFIX}",
            "prefixes": {f"{name}/": f"{url}/{BUCKET}/{PREFIX}{names[name]}/" for name in names},
        }
        for number, url in enumerate(mirrors)
        for suffix, names in (("", {name: name for name in OLDER_NAMES}), ("-older", OLDER_NAMES))
    ]
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
