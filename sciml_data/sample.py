"""The synthetic sample of a dataset: made here from a seed, in the native layout, and marked.

It takes the place of fetching: what comes out is verified, converted and opened like real data,
and says at every stage that it is synthetic.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from sciml_data import __version__
from sciml_data.descriptor import Descriptor
from sciml_data.home import DatasetFolder, Home, publish, write_atomically
from sciml_data.manifest import manifest_of
from sciml_data.readers import load_reader, require_reader
from sciml_data.stages import Fetched
from sciml_data.verify import MARKER_NAME, differences, load_fetched


def make_sample(descriptor: Descriptor, home: Home, *, seed: int = 0) -> Fetched:
    """Return the sample of a seed; one that is there and unchanged is used again.

    Args:
        descriptor: of any version; its native block names the reader that makes the sample.
        home: where it will lie, beside the real versions.
        seed: the same seed and software give the same bytes.

    Raises:
        CallError: there is no such reader, or none at all.
        LockedError: another process works in the folder.
    """
    require_reader(descriptor, home.dataset(descriptor.dataset, descriptor.version).native)
    folder = home.dataset(descriptor.dataset, descriptor.version, sample_seed=seed)
    marker = {
        "synthetic": True,
        "dataset": descriptor.dataset,
        "version": descriptor.version,
        "seed": seed,
        "reader": descriptor.native["reader"],
        "software": f"sciml-data {__version__}",
    }
    with folder.lock(f"make the sample of {descriptor.dataset}"):
        if _marker(folder) == marker and folder.manifest.is_file():
            fetched = load_fetched(descriptor, folder)
            if not differences(fetched):
                return fetched
        _write(descriptor, folder, marker)
    return load_fetched(descriptor, folder)


def _write(descriptor: Descriptor, folder: DatasetFolder, marker: dict[str, Any]) -> None:
    """Make the files in `partial/` and move them as one; what was there goes to quarantine."""
    reader = load_reader(descriptor.native["reader"])
    _remove(folder.partial)
    folder.partial.mkdir(parents=True)
    reader.write_sample(folder.partial, descriptor.native, marker["seed"])
    manifest = manifest_of(folder.partial)
    folder.manifest.unlink(missing_ok=True)  # a sample without a manifest is made again
    if folder.native.exists():
        replaced = folder.quarantine / "native.replaced"
        _remove(replaced)
        replaced.parent.mkdir(exist_ok=True)
        folder.native.replace(replaced)
    write_atomically(folder.root / MARKER_NAME, json.dumps(marker, indent=1) + "\n")
    publish(folder.partial, folder.native)
    write_atomically(folder.manifest, manifest.dump())


def _marker(folder: DatasetFolder) -> Any:
    path = folder.root / MARKER_NAME
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
