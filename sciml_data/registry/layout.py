"""Find the registry, and list its datasets, versions and benchmarks.

A registry is a folder with `datapackages/` and `runners/`. The names of its folders are the only
index: nothing has to be listed anywhere.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciml_data.errors import CallError, nearest

if TYPE_CHECKING:
    from packaging.version import Version as PackageVersion

REGISTRY_VARIABLE = "SCIML_DATA_REGISTRY"
LIVE = "live"  # version whose files come from a service and differ each time
DATASET_ID = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")  # descriptor.schema.json, `name`
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,63}")
PRE_RELEASE = re.compile(r"[0-9][.\-_]?(a|b|c|rc|alpha|beta|pre|dev)", re.IGNORECASE)
VARIANT = re.compile(r"[0-9.]*[0-9][A-Za-z]")
MAX_ID_LENGTH = 64
# Folders of a home, and the word for the newest version.
RESERVED = {"runs", "samples", "data", "latest"}
# Windows opens a device instead of a file with such a name and any ending.
DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)


@dataclass(frozen=True)
class Registry:
    """A folder of descriptors and runners."""

    root: Path

    def datasets(self) -> list[str]:
        """Return the ids of all datasets, sorted."""
        return _folders(self.root / "datapackages")

    def versions(self, dataset: str) -> list[str]:
        """Return the versions of a dataset, oldest first, `live` last.

        Raises:
            CallError: the registry has no such dataset.
        """
        known = self.datasets()
        if dataset not in known:
            raise CallError(
                f"the registry has no dataset {dataset!r}{nearest(dataset, known)}",
                untouched="nothing was fetched or changed",
                hint="`sciml-data list` prints every dataset and version",
            )
        versions = [
            name
            for name in _folders(self.root / "datapackages" / dataset)
            if (self.root / "datapackages" / dataset / name / "datapackage.json").is_file()
        ]
        return sorted(versions, key=version_key)

    def latest(self, dataset: str) -> str:
        """Return the newest release; without one the newest pre-release, else `live`."""
        versions = self.versions(dataset)
        published = [version for version in versions if version != LIVE]
        releases = [version for version in published if _pre_release(version) is None]
        if not versions:
            raise CallError(f"dataset {dataset!r} has no version with a datapackage.json")
        return (releases or published or versions)[-1]

    def package(self, dataset: str, version: str) -> Path:
        """Return the folder of a version.

        Raises:
            CallError: the registry has no such dataset or version; the error lists the versions.
        """
        versions = self.versions(dataset)
        if version not in versions:
            raise CallError(
                f"dataset {dataset!r} has no version {version!r}; "
                f"it has {', '.join(versions) or 'none'}",
                untouched="nothing was fetched or changed",
                hint=f"sciml-data get {dataset} --version {self.latest(dataset)}",
            )
        return self.root / "datapackages" / dataset / version

    def benchmarks(self) -> list[str]:
        """Return the names of all benchmarks, sorted."""
        runners = self.root / "runners"
        return [name for name in _folders(runners) if (runners / name / "task.toml").is_file()]

    def runner(self, benchmark: str) -> Path:
        """Return the folder of a benchmark's runner.

        Raises:
            CallError: the registry has no such benchmark.
        """
        known = self.benchmarks()
        if benchmark not in known:
            raise CallError(
                f"the registry has no benchmark {benchmark!r}{nearest(benchmark, known)}; "
                f"it has {', '.join(known) or 'none'}",
                untouched="nothing was run",
                hint="`sciml-data list` prints every benchmark",
            )
        return self.root / "runners" / benchmark


def find_registry(path: str | Path | None = None) -> Registry:
    """Return the given registry, else the one that the environment names, else the built-in one.

    Args:
        path: a registry folder. None takes the one in `SCIML_DATA_REGISTRY`, then the folders of
            the checkout, or the copy in an installed wheel.

    Raises:
        CallError: the folder has no `datapackages/`.
    """
    if given := path or os.environ.get(REGISTRY_VARIABLE):  # an empty variable is as good as none
        named = Path(given).expanduser()
        if not (named / "datapackages").is_dir():
            raise CallError(
                f"{named} is not a registry: it has no folder datapackages/",
                untouched="nothing was read",
                hint="`sciml-data new ID VERSION --registry DIR` starts a registry",
            )
        return Registry(named.resolve())
    package = Path(__file__).resolve().parents[1]
    in_wheel = package / "_registry"
    return Registry(in_wheel if in_wheel.is_dir() else package.parent)


def check_dataset_id(name: str) -> str:
    """Return why a text cannot be the id of a dataset, or an empty string if it can."""
    if not DATASET_ID.fullmatch(name) or len(name) > MAX_ID_LENGTH:
        return (
            "is not a dataset id: lower-case words and digits joined by underscores, "
            f"{MAX_ID_LENGTH} characters at most"
        )
    if name in RESERVED or DEVICE.fullmatch(name):
        return "is a reserved name"
    return ""


def check_version(name: str) -> str:
    """Return why a text cannot be a version, or an empty string if it can."""
    if not VERSION.fullmatch(name):
        return "is not a version: letters, digits and . + _ - after a letter or digit, 64 at most"
    if name.lower() == "latest" or DEVICE.fullmatch(name) or name.endswith("."):
        return "is a reserved name, or has a point at its end, which Windows removes"
    return ""


def version_key(version: str) -> tuple[Any, ...]:
    """Return a sort key for versions: numbers by value, words after numbers.

    A pre-release (`2.0-beta.1`, `2.0.0rc1`, `2.0.dev3`; as in PEP 440) comes before its release.
    A letter alone after a number (`1.0a`) is a later variant, as upstream of STEMDL names it.
    """
    pre = _pre_release(version)
    # Numbers of a pre-release are those of the release that it precedes.
    parts = _parts(version if pre is None else ".".join(map(str, pre.release)))
    value = list(parts)
    while value and value[-1] == (0, 0, ""):  # 2.0 and 2.0.0-rc.1 are the same number
        value.pop()
    order: tuple[Any, ...] = (1,) if pre is None else (0, pre)
    return tuple(value), order, parts, version


def _parts(version: str) -> tuple[tuple[int, int, str], ...]:
    parts = re.split(r"[.\-_]", version)
    # `isdecimal` alone takes digits of any script, `isdigit` also `²`, which is no number to `int`.
    return tuple(
        (0, int(part), "") if part.isascii() and part.isdecimal() else (1, 0, part)
        for part in parts
    )


def _pre_release(version: str) -> PackageVersion | None:
    """Return a version that PEP 440 calls a pre-release, else None."""
    if not PRE_RELEASE.search(version) or VARIANT.fullmatch(version):
        return None  # which spares nearly all versions the import
    from packaging.version import InvalidVersion
    from packaging.version import Version as PackageVersion

    try:
        parsed = PackageVersion(version)
    except InvalidVersion:
        return None
    return parsed if parsed.is_prerelease else None


def _folders(root: Path) -> list[str]:
    if not root.is_dir():
        return []
    return sorted(
        entry.name for entry in root.iterdir() if entry.is_dir() and entry.name[0] not in "._"
    )
