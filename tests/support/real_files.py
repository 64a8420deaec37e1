"""The mirror of real files beside the checkout, as far as it has the files of a dataset."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

import pytest

from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import find_registry


def require_real_files(dataset: str, shared: Path) -> Path:
    """Return the mirror folder; skip the test if a file of the dataset's version 1.0 is not in it.

    Args:
        dataset: id of a pinned dataset of the built-in registry.
        shared: folder beside the checkout.
    """
    descriptor = load_descriptor(find_registry(), dataset, "1.0")
    assert descriptor.manifest is not None
    mirror = shared / "mirror"
    for entry in descriptor.manifest:
        url = descriptor.mirrors[0].url(entry.path)
        assert url is not None
        if not (mirror / unquote(url.removeprefix("https://"))).is_file():
            pytest.skip(f"{entry.path} of {dataset} is not in the mirror beside this checkout")
    return mirror
