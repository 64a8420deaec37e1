"""Load code that does not belong to this package: of registries, and of installed packages.

A package that the user installed is trusted. A registry is a folder of text that may come from
anybody, and fetching or describing data runs none of its code. Its runners, formats and metrics run
only after `require_trust`: the call says so, an environment variable says so, or the user answered
a question on the terminal. The answer is stored with a digest of all Python files of the registry,
so changed code asks again.

The code is compiled from its source each time: Python's own cache (`__pycache__`) is beside the
source and could hold other code than the files whose digest was trusted.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from sciml_data.errors import CallError, DescriptorError, JsonError
from sciml_data.home import read_json, write_atomically
from sciml_data.progress import counted
from sciml_data.registry.layout import CODE_TRUST, RUNNERS, is_built_in

TRUST_VARIABLE = "SCIML_DATA_TRUST_CODE"  # 1 trusts the code of every registry
ANSWERS_NAME = "trusted-registries.json"  # in the user's configuration
FORMATS, METRICS_NAME = "formats", "metrics.py"  # in a registry, beside `runners`
MAX_LISTED = 5  # files that a question or an error names


def load_installed(point: EntryPoint) -> Any:
    """Return what an entry point names.

    Raises:
        DescriptorError: the package cannot be imported; the error names it.
    """
    try:
        return point.load()
    except Exception as error:
        package = point.dist.name if point.dist is not None else "unknown"
        raise DescriptorError(
            f"{point.name} of the installed package {package} cannot be loaded from "
            f"{point.value}: {type(error).__name__}: {error}",
            hint=f"repair or uninstall the package {package}",
        ) from error


def load_from_registry(registry: Path, folder: Path, package: str, module: str) -> ModuleType:
    """Return a module of a registry's folder, which is imported as a package.

    Args:
        registry: folder of the registry.
        folder: of the module, such as `runners/<benchmark>`; an `__init__.py` in it is not run.
        package: name of the package under which the folder is imported.
        module: name of the module in the folder.

    Raises:
        CallError: the code is not trusted.
    """
    require_trust(registry)
    _make_package(package, folder, is_built_in=is_built_in(registry))
    return importlib.import_module(f"{package}.{module}")


def require_trust(registry: Path) -> None:
    """Raise an error if the code of a registry may not run.

    Raises:
        CallError: the user trusts it neither in this call nor in a stored answer.
    """
    if is_built_in(registry) or CODE_TRUST.get().is_given or _is_set(TRUST_VARIABLE):
        return
    digest = code_digest(registry)
    if _answers().get(str(registry)) == digest:
        return
    if (ask := CODE_TRUST.get().ask) is not None and ask(_question(registry)):
        _store(registry, digest)
        return
    raise CallError(
        f"the registry {registry} brings code that you have not trusted: {_listed(registry)}",
        untouched="none of its code was run",
        hint=f"read the files; then add --trust-code, or set {TRUST_VARIABLE}=1; in Python: with "
        "sciml_data.trusting(trust_code=True): ...",
    )


def code_files(registry: Path) -> list[Path]:
    """Return all files of a registry that can be imported, sorted."""
    files = [path for path in (registry / METRICS_NAME,) if path.is_file()]
    for name in (FORMATS, RUNNERS):
        files += _python_files(registry / name, set())
    return sorted(files)


def code_digest(registry: Path) -> str:
    """Return a digest of the paths and contents of a registry's code."""
    digest = hashlib.sha256()
    for path in code_files(registry):
        content = path.read_bytes()
        name = path.relative_to(registry).as_posix()
        digest.update(f"{len(name.encode())} {name} {len(content)}\n".encode())
        digest.update(content)
    return f"sha256:{digest.hexdigest()}"


def _python_files(folder: Path, seen: set[str]) -> Iterator[Path]:
    """Yield the Python files below a folder; links are followed, each folder once."""
    real = os.path.realpath(folder)
    if real in seen or not folder.is_dir():
        return
    seen.add(real)
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            yield from _python_files(path, seen)
        elif path.suffix == ".py":
            yield path


def _question(registry: Path) -> str:
    return (
        f"The registry {registry} brings code, which would run with all your rights: "
        f"{_listed(registry)}. Trust this code until it changes?"
    )


def _listed(registry: Path) -> str:
    names = [path.relative_to(registry).as_posix() for path in code_files(registry)]
    more = (
        f" and {counted(len(names) - MAX_LISTED, 'more file')}" if len(names) > MAX_LISTED else ""
    )
    return f"{', '.join(names[:MAX_LISTED])}{more}"


def _is_set(variable: str) -> bool:
    return os.environ.get(variable, "").lower() in {"1", "true", "yes"}


def _answers_path() -> Path | None:
    import platformdirs

    try:
        return Path(platformdirs.user_config_path("sciml-data")) / ANSWERS_NAME
    except RuntimeError:  # a user id without a name, and HOME is not set
        return None


def _answers() -> dict[str, str]:
    """Return the digest of each registry that the user trusted, by its resolved path."""
    path = _answers_path()
    if path is None or not path.is_file():
        return {}
    try:
        answers = read_json(path)
    except JsonError:  # an answer that cannot be read was not given
        return {}
    return answers if isinstance(answers, dict) else {}


def _store(registry: Path, digest: str) -> None:
    if (path := _answers_path()) is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    answers = _answers() | {str(registry): digest}
    write_atomically(path, json.dumps(answers, indent=1, sort_keys=True) + "\n")


# --- import by path ------------------------------------------------------------------------------


class _FromSource(importlib.machinery.SourceFileLoader):
    """Compiles a module from its source, and neither reads nor writes `__pycache__`."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code


class _RegistryFinder(importlib.abc.MetaPathFinder):
    """Finds the modules of the packages that were made from folders of registries."""

    packages: set[str]

    def __init__(self) -> None:
        self.packages = set()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return where a module of these packages is; None for all others."""
        if fullname.partition(".")[0] not in self.packages:
            return None
        for folder in path or ():
            finder = importlib.machinery.FileFinder(folder, (_FromSource, [".py"]))
            if spec := finder.find_spec(fullname):
                return spec
        return None


_FINDER = _RegistryFinder()


def _make_package(name: str, folder: Path, *, is_built_in: bool) -> None:
    """Make a package of a folder; its modules are imported on first use.

    A package of this name from another folder (the same benchmark of another registry) is dropped
    with its modules.
    """
    known = sys.modules.get(name)
    if known is not None and list(known.__path__) == [str(folder)]:
        return
    for loaded in [key for key in sys.modules if key == name or key.startswith(f"{name}.")]:
        del sys.modules[loaded]
    _FINDER.packages.discard(name)
    if not is_built_in:
        _FINDER.packages.add(name)
        if _FINDER not in sys.meta_path:
            sys.meta_path.insert(0, _FINDER)
    spec = importlib.machinery.ModuleSpec(name, None, is_package=True)
    spec.submodule_search_locations = [str(folder)]
    sys.modules[name] = importlib.util.module_from_spec(spec)
