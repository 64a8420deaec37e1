"""The synthetic sample of a dataset: made here from a seed, in the native layout, and marked.

It takes the place of fetching: what comes out is verified, converted and opened like real data,
and says at every stage that it is synthetic.
"""

from __future__ import annotations

import copy
import inspect
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sciml_data import __version__
from sciml_data.errors import CallError, Problem, nearest
from sciml_data.formats import require_reader
from sciml_data.home import DatasetFolder, Home, publish, write_atomically
from sciml_data.registry.descriptor import Descriptor
from sciml_data.registry.manifest import manifest_of
from sciml_data.registry.options import value_like
from sciml_data.registry.stages import Fetched
from sciml_data.synthetic import load_generator, sample_settings
from sciml_data.transfer.verification import MARKER_NAME, differences, load_fetched

Place = tuple[dict[str, Any], str]  # a group of settings, and a name in it
Progress = Callable[[int, int], None]  # parts of the sample that are made, and all parts
LINE_EVERY_S = 10.0  # samples are made in minutes


def make_sample(
    descriptor: Descriptor,
    home: Home,
    *,
    seed: int = 0,
    overrides: Sequence[str] = (),
    progress: Progress | None = None,
) -> Fetched:
    """Return the sample of a seed; one that is there and unchanged is used again.

    There is one sample of a seed: without overrides it is used in whatever size it was made, with
    others than it was made with it is made anew.

    Args:
        descriptor: of any version; its native block names the format of the sample.
        home: where it will lie, beside the real versions.
        seed: the same seed, settings and software give the same bytes.
        overrides: `KEY=VALUE` texts for the settings of the sample (`native.sample` and the
            generator's own); `KEY.KEY=VALUE` where a setting has several.
        progress: told of parts (done, to do), by generators whose sample takes long.

    Raises:
        CallError: there is no such reader, or none at all; an override that is not understood.
        LockedError: another process works in the folder.
    """
    require_reader(descriptor, home.dataset(descriptor.dataset, descriptor.version).native)
    folder = home.dataset(descriptor.dataset, descriptor.version, sample_seed=seed)
    block, marker = _wanted(descriptor, seed, overrides)
    with folder.lock(f"make the sample of {descriptor.dataset}"):
        if _is_kept(_marker(folder), marker) and folder.manifest.is_file():
            fetched = load_fetched(descriptor, folder)
            if not differences(fetched):
                return fetched
        _write(block, folder, marker, progress)
    return load_fetched(descriptor, folder)


def part_lines(
    doing: str,
    say: Callable[[str], None],
    *,
    every_s: float = LINE_EVERY_S,
    clock: Callable[[], float] = time.monotonic,
) -> Progress:
    """Return a `progress` that says parts done and to do and the time left, now and then.

    Args:
        doing: begins each line.
        say: takes a line.
        every_s: seconds between lines; what is done sooner says nothing.
        clock: seconds that do not go back.
    """
    began = said_at = clock()

    def show(done: int, total: int) -> None:
        nonlocal said_at
        now = clock()
        if not done or now - said_at < every_s:
            return
        left = (total - done) * (now - began) / done
        say(f"{doing}: {done} of {total} parts, {left:.0f} s left")
        said_at = now

    return show


def kept_sample(
    descriptor: Descriptor, home: Home, *, seed: int = 0, overrides: Sequence[str] = ()
) -> Fetched | None:
    """Return the sample that `make_sample` would use again; no byte is read, no lock taken.

    Raises:
        CallError: an override that is not understood.
    """
    folder = home.dataset(descriptor.dataset, descriptor.version, sample_seed=seed)
    _, marker = _wanted(descriptor, seed, overrides)
    if not _is_kept(_marker(folder), marker) or not folder.manifest.is_file():
        return None
    return load_fetched(descriptor, folder)


def made_with(folder: DatasetFolder) -> tuple[str, ...]:
    """Return the `KEY=VALUE` texts that the sample of a folder was made with; none for its default.

    With them `make_sample` makes the same sample anew.
    """
    marker = _marker(folder)
    settings = marker.get("settings", {}) if isinstance(marker, dict) else {}
    return tuple(f"{name}={_text(group[key])}" for name, (group, key) in _places(settings))


def _text(value: Any) -> str:
    return ",".join(map(_text, value)) if isinstance(value, list) else str(value)


def _wanted(
    descriptor: Descriptor, seed: int, overrides: Sequence[str]
) -> tuple[Mapping[str, Any], dict[str, Any]]:
    """Return the native block with the sizes of the sample, and what marks the sample."""
    block = _with_overrides(descriptor, overrides)
    marker = {
        "synthetic": True,
        "dataset": descriptor.dataset,
        "version": descriptor.version,
        "seed": seed,
        "reader": block["reader"],
        "software": f"sciml-data {__version__}",
    }
    return block, marker | ({"settings": block["sample"]} if overrides else {})


def _with_overrides(descriptor: Descriptor, overrides: Sequence[str]) -> Mapping[str, Any]:
    """Return the native block with the settings of the sample that are asked for."""
    block = descriptor.native
    if not overrides:
        return block
    settings = copy.deepcopy(dict(sample_settings(load_generator(block["reader"]), block)))
    places = dict(_places(settings))
    problems = []
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals or key not in places:
            what = f"no such setting{nearest(key, places)}" if equals else "KEY=VALUE is expected"
            problems.append(Problem("unknown", text, what))
            continue
        group, name = places[key]
        try:
            group[name] = value_like(value, group[name])
        except ValueError as error:
            problems.append(Problem("type", key, str(error)))
    if problems:
        raise CallError(
            f"--sample-set was not understood for {descriptor.dataset}",
            problems=problems,
            untouched="nothing was made",
            hint=f"settings are {', '.join(sorted(places)) or 'none'}",
        )
    return {**block, "sample": settings}


def _places(settings: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Place]]:
    """Yield the dotted name of each setting, and where it stands."""
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _places(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", (settings, name)


def _is_kept(found: Any, wanted: Mapping[str, Any]) -> bool:
    """Return whether the sample that is there is the one that is wanted."""
    return isinstance(found, dict) and {**found, **wanted} == found


def _write(
    block: Mapping[str, Any],
    folder: DatasetFolder,
    marker: dict[str, Any],
    progress: Progress | None,
) -> None:
    """Make the files in `partial/` and move them as one; what was there goes to quarantine."""
    write: Callable[..., None] = load_generator(block["reader"]).write_sample
    tells = progress is not None and "progress" in inspect.signature(write).parameters
    _remove(folder.partial)
    folder.partial.mkdir(parents=True)
    write(folder.partial, block, marker["seed"], **({"progress": progress} if tells else {}))
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
