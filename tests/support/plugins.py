"""An installed package for one test: a module with entry points, found as pip leaves it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from sciml_data.registry import layout


def install(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    modules: Mapping[str, str],
    points: Mapping[str, Mapping[str, str]],
    *,
    package: str = "harbour-plugin",
) -> None:
    """Put modules and the metadata of an installed package on the path.

    Args:
        folder: made for the package.
        monkeypatch: of the test; it removes the package from the path.
        modules: name -> source.
        points: group -> name -> value, such as `{"sciml_data.formats": {"a": "module_a"}}`.
        package: name of the distribution.
    """
    info = folder / f"{package.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    sections = [
        "\n".join([f"[{group}]", *(f"{name} = {value}" for name, value in named.items())])
        for group, named in points.items()
    ]
    (info / "entry_points.txt").write_text("\n\n".join(sections) + "\n")
    for name, source in modules.items():
        (folder / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(str(folder))
    layout._entry_points.cache_clear()
