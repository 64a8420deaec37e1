"""A registry with a small, valid dataset, which tests can break."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from sciml_data.curate.derive import write_derived
from sciml_data.curate.new import HEADINGS, start_dataset
from sciml_data.registry.descriptor import MANIFEST_NAME
from sciml_data.registry.layout import Registry
from sciml_data.registry.manifest import Entry, Manifest
from sciml_data.testing.datasets import change_descriptor

DATASET, VERSION = "waves", "1.0"
FILES = Manifest(
    (
        Entry("deep/2001.csv", 12, f"sha256:{'a' * 64}"),
        Entry("shore/2001.csv", 3400, f"sha256:{'b' * 64}"),
    )
)


def small_registry(root: Path, *, reader: str = "earthquake", base_url: str = "") -> Registry:
    """Return a registry that passes `check` and `derive --check`; with a base_url, published."""
    today = datetime.date(2001, 2, 3)
    if base_url:
        root.mkdir(parents=True, exist_ok=True)
        (root / "registry.toml").write_text(f'base_url = "{base_url}"\n', encoding="utf-8")
    start_dataset(root, DATASET, VERSION, reader=reader, today=today)
    folder = root / "datapackages" / DATASET / VERSION
    (folder / MANIFEST_NAME).write_text(FILES.dump(), encoding="utf-8")
    parts = [f"## {heading}\n\nHeights of waves at two buoys.\n" for heading in HEADINGS]
    (folder.parent / "README.md").write_text("\n".join(["# waves\n", *parts]), encoding="utf-8")
    change_descriptor(folder, _fill)
    registry = Registry(root)
    write_derived(registry)
    return registry


def _fill(document: dict[str, Any]) -> None:
    document |= {
        "title": "Heights of waves at two buoys",
        "description": "Significant wave height at two buoys, one over deep water and one near the "
        "shore, every hour of 2001, as written by the buoys' own recorders. Made up for tests.",
        "keywords": ["waves", "ocean", "buoys"],
        "licenses": [{"name": "CC0-1.0", "title": "Creative Commons Zero 1.0"}],
        "sources": [{"title": "The buoys", "path": "https://example.org/buoys"}],
        "contributors": [{"title": "The crew"}],
    }
    document["sciml"] |= {
        "citation": ["The crew (2001): Heights of waves at two buoys."],
        "mirrors": [{"name": "example", "prefixes": {"": "https://example.org/waves/"}}],
        "variables": {
            "height": {
                "dims": ["time"],
                "dtype": "float32",
                "units": "m",
                "long_name": "significant wave height",
            }
        },
        "sample": {"description": "Waves of a narrow-band random sea."},
    }
