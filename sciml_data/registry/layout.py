"""Find the registries in use, and list their datasets, versions and benchmarks.

A registry is a folder with `datapackages/` and `runners/`. The names of its folders are the only
index: nothing has to be listed anywhere. Registries stack: they are searched in the order in which
they are named, and the built-in one comes last. A dataset or benchmark is that of the first
registry with its name, so a laboratory's own benchmark can use a dataset of the built-in registry.

Registries and installed packages may also bring code: formats, benchmarks, metrics, protocols and
exports. `installed` finds what packages offer; `extensions.py` loads it, once it is trusted.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from sciml_data.errors import CallError, DescriptorError, Problem, SciMLDataError, nearest
from sciml_data.home import read_json, read_toml

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from packaging.version import Version as PackageVersion

REGISTRY_VARIABLE = "SCIML_DATA_REGISTRY"  # folders, separated as in PATH
IN_WHEEL = "_registry"  # folder of the built-in registry in an installed package
LIVE = "live"  # version whose files come from a service and differ each time
DATASET_ID = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")  # descriptor.schema.json, `name`
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,63}")
PRE_RELEASE = re.compile(r"[0-9][.\-_]?(a|b|c|rc|alpha|beta|pre|dev)", re.IGNORECASE)
VARIANT = re.compile(r"[0-9.]*[0-9][A-Za-z]")
MAX_ID_LENGTH = 64
MAX_SUGGESTED = 5  # datasets that the error for an unknown one names
# Folders of a home, and the word for the newest version.
RESERVED = {"runs", "samples", "data", "latest"}
# Windows opens a device instead of a file with such a name and any ending.
DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)


# A registry folder, or several in the order in which they are searched.
RegistryPath: TypeAlias = str | Path | Sequence[str | Path] | None
DATASETS, RUNNERS = "datapackages", "runners"  # folders of a registry


@dataclass(frozen=True)
class Registry:
    """Folders of descriptors and runners, searched in order.

    Attributes:
        root: the first folder. Verbs that write into a registry write into this one.
        below: the other folders. A dataset or benchmark of `root` with the same name hides theirs.
    """

    root: Path
    below: tuple[Path, ...] = ()

    @property
    def folders(self) -> tuple[Path, ...]:
        """Return all folders in the order in which they are searched."""
        return (self.root, *self.below)

    @property
    def first(self) -> Registry:
        """Return the first folder alone, into which verbs write."""
        return Registry(self.root)

    @property
    def named(self) -> Registry:
        """Return the folders that the user named; without names, the built-in registry.

        Verbs that check or publish a whole registry do so for these folders.
        """
        is_below = bool(self.below) and is_built_in(self.below[-1])
        return Registry(self.root, self.below[:-1] if is_below else self.below)

    def datasets(self) -> list[str]:
        """Return the ids of all datasets, sorted."""
        return self._names(DATASETS)

    def versions(self, dataset: str) -> list[str]:
        """Return the versions of a dataset, oldest first, `live` last.

        Raises:
            CallError: the registry has no such dataset.
        """
        folder = self.folder_of(dataset) / DATASETS / dataset
        versions = [
            name for name in _folders(folder) if (folder / name / "datapackage.json").is_file()
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
        return self.folder_of(dataset) / DATASETS / dataset / version

    def benchmarks(self) -> list[str]:
        """Return the names of all benchmarks, sorted."""
        return self._names(RUNNERS)

    def benchmarks_with(self, used: Iterable[str]) -> list[str]:
        """Return the benchmarks of the named registries, and known ones of the given names.

        A board or a site of a laboratory shows its own benchmarks, and the built-in ones that it
        has run.
        """
        return sorted({*self.named.benchmarks(), *(set(used) & set(self.benchmarks()))})

    def runner(self, benchmark: str) -> Path:
        """Return the folder of a benchmark's runner.

        Raises:
            CallError: the registry has no such benchmark.
        """
        for folder in self._with(RUNNERS, benchmark):
            return folder / RUNNERS / benchmark
        known = self.benchmarks()
        raise CallError(
            f"the registry has no benchmark {benchmark!r}{nearest(benchmark, known)}; "
            f"it has {', '.join(known) or 'none'}",
            untouched="nothing was run",
            hint=f"{self._search_hint(RUNNERS, benchmark)}`sciml-data list` prints every benchmark",
        )

    def folder_of(self, dataset: str) -> Path:
        """Return the registry folder that a dataset comes from.

        Raises:
            CallError: no registry has such a dataset.
        """
        for folder in self._with(DATASETS, dataset):
            return folder
        raise CallError(
            f"the registry has no dataset {dataset!r}{nearest(dataset, self.datasets())}",
            untouched="nothing was fetched or changed",
            hint=f"{self._search_hint(DATASETS, dataset)}`sciml-data list` prints every dataset "
            "and version",
        )

    def _search_hint(self, kind: str, name: str) -> str:
        """Return the search that finds datasets or benchmarks by the words of an unknown name."""
        words = re.findall(r"[^\W_]+", name)
        known = self._names(kind)
        found = [each for each in known if words and has_words(self._texts(kind, each), words)]
        if not found:
            return ""
        more = f" and {len(found) - MAX_SUGGESTED} more" if len(found) > MAX_SUGGESTED else ""
        listed = ", ".join(found[:MAX_SUGGESTED])
        return f"`sciml-data search {' '.join(words)}` finds {listed}{more}; "

    def _texts(self, kind: str, name: str) -> tuple[str, ...]:
        """Return the texts of a dataset or benchmark that are searched; none if it is not valid."""
        folder = next(self._with(kind, name)) / kind / name
        try:
            if kind == RUNNERS:
                return searched_texts(name, read_toml(folder / "task.toml").get("task", {}))
            package = folder / self.latest(name) / "datapackage.json"
            return searched_texts(name, read_json(package))
        except (SciMLDataError, TypeError, AttributeError):
            return ()  # `sciml-data check` names what is wrong

    def hidden(self) -> list[Problem]:
        """Return a problem for each dataset and benchmark that an earlier registry hides."""
        return [
            Problem(
                "hidden",
                f"{folder / kind / name}",
                f"is not used: {first} is searched first and has {kind}/{name}, too",
            )
            for kind in (DATASETS, RUNNERS)
            for name in self._names(kind)
            for first, *others in [list(self._with(kind, name))]
            for folder in others
        ]

    def require_writable(self, untouched: str) -> None:
        """Raise an error if the first folder is the registry inside the installed package.

        Raises:
            CallError: what is written there is lost when the package is updated.
        """
        if self.root.name == IN_WHEEL:
            raise CallError(
                f"the built-in registry {self.root} is read-only",
                untouched=untouched,
                hint="name a registry folder of your own with --registry DIR",
            )

    def _names(self, kind: str) -> list[str]:
        """Return the names of the datasets or benchmarks of all folders, sorted."""
        names = {name for folder in self.folders for name in _folders(folder / kind)}
        return sorted(name for name in names if any(self._with(kind, name)))

    def _with(self, kind: str, name: str) -> Iterator[Path]:
        """Yield the folders that have a dataset or a benchmark, the first one searched first."""
        if not name or name[0] in "._" or "/" in name:
            return  # `_folders` does not list it; listing would cost the square of the datasets
        for folder in self.folders:
            inside = folder / kind / name
            if inside.is_dir() if kind == DATASETS else (inside / "task.toml").is_file():
                yield folder


def searched_texts(name: str, document: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what is searched: a name, and title, description and keywords of its document."""
    texts = (document.get(key, "") for key in ("title", "description"))
    return (name, *map(str, texts), *map(str, document.get("keywords", ())))


def has_words(texts: Iterable[str], words: Iterable[str]) -> bool:
    """Return whether texts have all words, in upper or lower case, also within longer words."""
    text = "\n".join(texts).casefold()
    return all(word.casefold() in text for word in words)


def find_registry(path: RegistryPath = None) -> Registry:
    """Return the given registries, else those that the environment names; the built-in one is last.

    Args:
        path: a registry folder, or several. None takes those in `SCIML_DATA_REGISTRY`, which are
            separated as in PATH. The built-in registry is the checkout of this code, or the copy in
            an installed wheel.

    Raises:
        CallError: a folder has no `datapackages/`.
    """
    folders = dict.fromkeys(_registry_folder(folder) for folder in named_folders(path))
    first, *below = dict.fromkeys([*folders, built_in_folder()])
    return Registry(first, tuple(below))


def named_folders(path: RegistryPath = None) -> list[Path]:
    """Return the folders that the call names, else those of the environment; they may not exist."""
    given = [path] if isinstance(path, str | Path) else list(path or ())
    # Empty parts are as good as none.
    given = [part for part in given if str(part)]
    variable = os.environ.get(REGISTRY_VARIABLE, "").split(os.pathsep)
    return [Path(part).expanduser() for part in given or variable if part]


def _registry_folder(named: Path) -> Path:
    if not (named / DATASETS).is_dir():
        raise CallError(
            f"{named} is not a registry: it has no folder datapackages/",
            untouched="nothing was read",
            hint="`sciml-data new ID VERSION --registry DIR` starts a registry",
        )
    return named.resolve()


@cache
def built_in_folder() -> Path:
    """Return the folder of the built-in registry."""
    package = Path(__file__).resolve().parents[1]
    in_wheel = package / IN_WHEEL
    return in_wheel if in_wheel.is_dir() else package.parent


def registry_of(package: Path) -> Path:
    """Return the registry folder of a version's folder."""
    return package.parents[2]


def is_built_in(folder: Path) -> bool:
    """Return whether a folder is the built-in registry."""
    return folder == built_in_folder()


@dataclass(frozen=True)
class CodeTrust:
    """Whether the code of other registries may run, as the call says.

    Attributes:
        is_given: whether the user trusts it for this call.
        ask: shows a question and returns whether the answer was yes; None where nobody can be
            asked.
    """

    is_given: bool = False
    ask: Callable[[str], bool] | None = None


NO_TRUST = CodeTrust()
# A context variable, because the call that says so is far above the import of the code.
CODE_TRUST: ContextVar[CodeTrust] = ContextVar("CODE_TRUST", default=NO_TRUST)


@contextmanager
def trusting(*, trust_code: bool, ask: Callable[[str], bool] | None = None) -> Iterator[None]:
    """Let the code of other registries run in the block, if `trust_code` or an answer says so."""
    outer = CODE_TRUST.get()
    token = CODE_TRUST.set(CodeTrust(outer.is_given or trust_code, ask or outer.ask))
    try:
        yield
    finally:
        CODE_TRUST.reset(token)


def installed(kind: str, built_in: Iterable[str]) -> dict[str, EntryPoint]:
    """Return the extensions of a kind that installed packages offer, by name.

    Args:
        kind: formats, protocols, exports or metrics: the entry points of `sciml_data.<kind>`.
        built_in: names of this package's own.

    Raises:
        DescriptorError: two have the same name; both are named.
    """
    known: dict[str, EntryPoint] = {}
    for point in _entry_points(f"sciml_data.{kind}"):
        other = "sciml-data itself" if point.name in built_in else known.get(point.name)
        if other is not None:
            raise name_clash(kind, point.name, _owner(point), _owner(other))
        known[point.name] = point
    return known


def name_clash(kind: str, name: str, first: str, second: str) -> DescriptorError:
    """Return the error for a name that two owners offer."""
    return DescriptorError(
        f"two {kind} have the name {name!r}: {first} and {second} offer it",
        untouched="neither was used",
        hint="rename one of them, or uninstall its package",
    )


def _owner(point: EntryPoint | str) -> str:
    if isinstance(point, str):
        return point
    package = point.dist.name if point.dist is not None else "an unknown package"
    return f"the installed package {package} ({point.value})"


@cache
def _entry_points(group: str) -> tuple[EntryPoint, ...]:
    # Imported here, because it takes longer than `sciml-data describe`.
    from importlib.metadata import entry_points

    return tuple(dict.fromkeys(entry_points(group=group)))


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
    # `isdecimal` alone takes digits of any script, `isdigit` also `²`, which `int` does not accept.
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
