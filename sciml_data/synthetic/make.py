"""Make the synthetic sample of a dataset: files in the native layout, from a seed, offline.

A sample takes the place of fetching. It is verified, converted and opened like real data, and is
marked as synthetic at every stage.

The files come from a generator, a module found by the name of the native format:
`synthetic/<format>.py` makes the sample of `formats/<format>`. A generator may import its format's
layout and constants. A format never imports its generator, so reading published files needs nothing
of this package.
"""

from __future__ import annotations

import copy
import importlib
import importlib.util
import inspect
import json
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

from sciml_data import __version__
from sciml_data.errors import CallError, JsonError, NotWritableError, Problem, nearest
from sciml_data.formats import require_format
from sciml_data.home import DatasetFolder, Home, publish, read_json, read_toml, write_atomically
from sciml_data.progress import Log, Progress, counted, format_bytes
from sciml_data.registry.descriptor import Descriptor
from sciml_data.registry.manifest import manifest_of
from sciml_data.registry.options import value_like
from sciml_data.registry.stages import Fetched
from sciml_data.transfer.verification import MARKER_NAME, differences, load_fetched

logger = logging.getLogger(__name__)

COSTS = Path(__file__).with_name("sample_costs.toml")
PROGRESS_INTERVAL_S = 10.0  # a sample takes minutes at most: six lines a minute are enough


class Generator(Protocol):
    """The interface of a module `sciml_data/synthetic/<format>`.

    Optional: `DEFAULTS`, a mapping of the sample's settings to the values that are used where the
    descriptor's `native.sample` leaves them out. `write_sample` may have two keyword arguments: a
    generator that takes long has `progress`, a callback (parts done, parts in all), and a generator
    that makes files of the declared variables has `described`, the block `sciml` of the descriptor.
    """

    def write_sample(self, root: Path, block: Mapping[str, Any], seed: int) -> None:
        """Write a synthetic sample in the native layout.

        Args:
            root: folder of the native files.
            block: `sciml.native` of the descriptor; its `sample` has settings.
            seed: the same seed, settings and software give the same bytes.
        """


def load_generator(format_name: str) -> Generator:
    """Return the generator of a native format's samples.

    Raises:
        CallError: the format has no generator.
    """
    name = f"{__package__}.{format_name}"
    if importlib.util.find_spec(name) is None:
        raise CallError(
            f"the format {format_name} has no synthetic sample",
            untouched="nothing was written",
            hint="`sciml-data describe ID` names the format of a dataset",
        )
    return cast("Generator", importlib.import_module(name))


def sample_settings(generator: Generator, block: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the settings of a sample: the generator's defaults, then those of the descriptor."""
    return {**getattr(generator, "DEFAULTS", {}), **block.get("sample", {})}


def make_sample(
    descriptor: Descriptor,
    home: Home,
    *,
    seed: int = 0,
    overrides: Sequence[str] = (),
    progress: Progress | None = None,
) -> Fetched:
    """Return the sample of a seed, and make it if it does not exist unchanged.

    A home has one sample for each seed. Without overrides an existing sample is used with the
    settings that it was made with. With overrides that differ from those it is made again.

    Args:
        descriptor: of any version; its native block names the format of the sample.
        home: the sample gets a folder beside the real versions.
        seed: the same seed, settings and software give the same bytes.
        overrides: `KEY=VALUE` texts for settings of the sample (`native.sample` and the
            generator's own); `KEY.KEY=VALUE` for a setting inside a setting.
        progress: callback (parts done, parts in all) of generators that take long.

    Raises:
        CallError: the dataset has no reader, its format has no generator, or an override is not
            understood.
        LockedError: another process works in the folder.
    """
    require_format(descriptor, home.dataset(descriptor.dataset, descriptor.version).native)
    folder = home.dataset(descriptor.dataset, descriptor.version, sample_seed=seed)
    block, marker = _block_and_marker(descriptor, seed, overrides)
    if folder.is_shared and (fetched := _unchanged(descriptor, folder, marker)):
        return fetched
    # Two processes would write to the same `partial` folder; the second waits, then finds it done.
    try:
        with folder.own.lock(f"make the sample of {descriptor.dataset}"):
            if fetched := _unchanged(descriptor, folder.own, marker):
                return fetched
            if not overrides and (cost := sample_cost(descriptor)):
                logger.info("making the sample of %s: %s", descriptor.dataset, cost)
            extras = {"progress": progress, "described": descriptor.document["sciml"]}
            _write(block, folder.own, marker, extras)
    except NotWritableError:
        if fetched := _unchanged(descriptor, folder, marker):
            return fetched
        raise
    return load_fetched(descriptor, folder)


def _unchanged(
    descriptor: Descriptor, folder: DatasetFolder, marker: Mapping[str, Any]
) -> Fetched | None:
    """Return the sample in a folder; None if it has other settings or files, or none."""
    if not _matches(_read_marker(folder), marker) or not folder.manifest.is_file():
        return None
    fetched = load_fetched(descriptor, folder)
    return None if differences(fetched) else fetched


def sample_cost(descriptor: Descriptor) -> str:
    """Return files, bytes and seconds of a sample with its usual settings, in words.

    The text is empty for datasets that were not measured, such as those of other registries.
    """
    cost = read_toml(COSTS).get(f"{descriptor.dataset}/{descriptor.version}")
    if cost is None:
        return ""
    size = f"{counted(cost['files'], 'file')}, {format_bytes(cost['bytes'])}"
    return f"{size}, about {max(1, round(cost['cpu_s']))} s of one core"


def existing_sample(
    descriptor: Descriptor, home: Home, *, seed: int = 0, overrides: Sequence[str] = ()
) -> Fetched | None:
    """Return the sample that `make_sample` would use again, None if it would make one.

    Only the marker is read: native files are not compared with the manifest, and no lock is taken.

    Raises:
        CallError: an override is not understood.
    """
    folder = home.dataset(descriptor.dataset, descriptor.version, sample_seed=seed)
    _, marker = _block_and_marker(descriptor, seed, overrides)
    if not _matches(_read_marker(folder), marker) or not folder.manifest.is_file():
        return None
    return load_fetched(descriptor, folder)


def sample_overrides(folder: DatasetFolder) -> tuple[str, ...]:
    """Return the `KEY=VALUE` texts with which `make_sample` makes the sample of a folder again.

    The tuple is empty for a sample with default settings.
    """
    marker = _read_marker(folder)
    settings = marker.get("settings", {}) if isinstance(marker, dict) else {}
    return tuple(f"{name}={_text(group[key])}" for name, (group, key) in _leaves(settings))


def progress_lines(
    activity: str,
    log: Log,
    *,
    every_s: float = PROGRESS_INTERVAL_S,
    clock: Callable[[], float] = time.monotonic,
) -> Progress:
    """Return a `progress` callback that logs finished parts and the time left at intervals.

    Args:
        activity: first words of each line.
        log: callback that gets each line.
        every_s: seconds between lines; a sample that is done sooner logs no line.
        clock: a monotonic clock in seconds.
    """
    started = logged = clock()

    def show(done: int, total: int) -> None:
        nonlocal logged
        now = clock()
        if not done or now - logged < every_s:
            return
        left = (total - done) * (now - started) / done
        log(f"{activity}: {done} of {counted(total, 'part')}, {left:.0f} s left")
        logged = now

    return show


def _block_and_marker(
    descriptor: Descriptor, seed: int, overrides: Sequence[str]
) -> tuple[Mapping[str, Any], dict[str, Any]]:
    """Return the native block with the sample's settings, and the content of the marker file."""
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
    """Return the native block of a descriptor with `sample` replaced by the overridden settings."""
    block = descriptor.native
    if not overrides:
        return block
    settings = copy.deepcopy(dict(sample_settings(load_generator(block["reader"]), block)))
    leaves = dict(_leaves(settings))
    problems = []
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals or key not in leaves:
            message = f"no such setting{nearest(key, leaves)}" if equals else "expected KEY=VALUE"
            problems.append(Problem("unknown", text, message))
            continue
        group, name = leaves[key]
        try:
            group[name] = value_like(value, group[name])
        except ValueError as error:
            problems.append(Problem("type", key, str(error)))
    if problems:
        raise CallError(
            f"cannot apply --sample-set to {descriptor.dataset}",
            problems=problems,
            untouched="nothing was made",
            hint=f"settings of this sample: {', '.join(sorted(leaves)) or 'none'}",
        )
    return {**block, "sample": settings}


def _leaves(
    settings: dict[str, Any], prefix: str = ""
) -> Iterator[tuple[str, tuple[dict[str, Any], str]]]:
    """Yield for each setting its dotted name, the mapping that holds it, and its key there."""
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", (settings, key)


def _text(value: Any) -> str:
    """Return a setting as it is written after `KEY=`."""
    return ",".join(map(_text, value)) if isinstance(value, list) else str(value)


def _matches(existing: Any, wanted: Mapping[str, Any]) -> bool:
    """Return whether an existing marker agrees with a wanted one in all that the latter names.

    A wanted marker without settings (no overrides) therefore matches a sample of any size.
    """
    return isinstance(existing, dict) and {**existing, **wanted} == existing


def _write(
    block: Mapping[str, Any],
    folder: DatasetFolder,
    marker: dict[str, Any],
    extras: Mapping[str, Any],
) -> None:
    """Make the files in `partial/`, then replace `native/`; the old files go to quarantine.

    The order survives a kill at any point: the old manifest goes first and the new one comes last,
    and `make_sample` makes a sample without a manifest again.
    """
    write: Callable[..., None] = load_generator(block["reader"]).write_sample
    wanted = inspect.signature(write).parameters
    given = {name: value for name, value in extras.items() if name in wanted and value is not None}
    _remove(folder.partial)
    folder.partial.mkdir(parents=True)
    write(folder.partial, block, marker["seed"], **given)
    manifest = manifest_of(folder.partial)
    folder.manifest.unlink(missing_ok=True)
    if folder.native.exists():
        replaced = folder.quarantine / "native.replaced"
        _remove(replaced)
        replaced.parent.mkdir(exist_ok=True)
        folder.native.replace(replaced)
    write_atomically(folder.root / MARKER_NAME, json.dumps(marker, indent=1) + "\n")
    publish(folder.partial, folder.native)
    write_atomically(folder.manifest, manifest.dump())


def _read_marker(folder: DatasetFolder) -> Any:
    """Return the marker of a sample's folder, None if there is no marker."""
    path = folder.files_root / MARKER_NAME
    try:
        return read_json(path) if path.is_file() else None
    except JsonError:  # damaged: the sample is made again
        return None


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
