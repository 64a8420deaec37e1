"""Ready scenes of one or several splits: when, where, in what light, and where their chunks lie.

What heads say is kept in `.scenes-*.npz` beside the files, one for each layout, so 29,300 of them
are read once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciml_data.errors import CallError, ConversionError, Problem, nearest
from sciml_data.ready.folder import shards_of_split
from sciml_data.ready.patches.heads import (
    SCENE_VALUES,
    Head,
    Layout,
    dump_layouts,
    load_layouts,
    read_head,
)
from sciml_data.ready.patches.store import Columns, Identities, identify, keep, load
from sciml_data.registry.stages import Converted

STORE = ".scenes-{digest}.npz"
STORES = STORE.format(digest="*")
PLACES = "places_"  # and a variable's name: a column of the store


@dataclass(frozen=True)
class Scenes:
    """Ready files, one scene each. All have the same layout.

    Attributes:
        paths: of the ready files.
        split: (scene,) name of the split; "" where paths were given and not a dataset.
        granule: (scene,) name of the level-1 granule, text.
        values: (scene,) arrays of `SCENE_VALUES`, as in the files; time is datetime64[s], UTC.
        layouts: by variable, how it lies in the files.
        places: by variable, (scene, chunk, 3) int64: byte offset, bytes, filters left out.
        sizes, changed: (scene,) int64, bytes and nanoseconds of the last change: a file that was
            written anew meanwhile is not read.
    """

    paths: tuple[Path, ...]
    split: NDArray[np.str_]
    granule: NDArray[np.str_]
    values: Mapping[str, NDArray[Any]]
    layouts: Mapping[str, Layout]
    places: Mapping[str, NDArray[np.int64]]
    sizes: NDArray[np.int64]
    changed: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of scenes."""
        return len(self.paths)

    @property
    def shape(self) -> tuple[int, int]:
        """Return rows and columns of each scene, padding included."""
        rows, columns = next(iter(self.layouts.values())).shape[:2]
        return rows, columns

    @property
    def time(self) -> NDArray[np.datetime64]:
        """Return when each granule starts, UTC."""
        return self.values["time"]

    @property
    def orbit(self) -> NDArray[np.int32]:
        """Return a running number of the orbit: scenes of one orbit of a platform share it."""
        return self.values["orbit"]

    @property
    def platform(self) -> NDArray[np.int8]:
        """Return the satellite: 0 is Sentinel-3A, 1 Sentinel-3B."""
        return self.values["platform"]

    @property
    def illumination(self) -> NDArray[np.int8]:
        """Return 0 for night, 1 for twilight, 2 for day."""
        return self.values["illumination"]

    @property
    def native_rows(self) -> NDArray[np.int32]:
        """Return the rows that were measured; rows beyond are padding."""
        return self.values["native_rows"]

    @property
    def valid_fraction(self) -> NDArray[np.float32]:
        """Return the share of valid pixels."""
        return self.values["valid_fraction"]

    def select(self, which: Any) -> Scenes:
        """Return some of the scenes, in the order asked for.

        Args:
            which: numbers of scenes, or a (scene,) array of bool.
        """
        numbers = np.arange(len(self))[which]
        return Scenes(
            paths=tuple(self.paths[number] for number in numbers),
            split=self.split[numbers],
            granule=self.granule[numbers],
            values={name: values[numbers] for name, values in self.values.items()},
            layouts=self.layouts,
            places={name: places[numbers] for name, places in self.places.items()},
            sizes=self.sizes[numbers],
            changed=self.changed[numbers],
        )


def find_scenes(
    source: Converted | Path | Iterable[Path], *, splits: str | Sequence[str] = ()
) -> Scenes:
    """Return the scenes of a converted dataset, or of files, sorted by file name in each split.

    Args:
        source: what `convert` or `find_converted` returned; or paths of ready files, kept in their
            order; or a folder that has nothing but ready files of one layout.
        splits: those wanted, of a converted dataset; none means all.

    Raises:
        CallError: no such split, or no file.
        ConversionError: `.problems` names every file that cannot be read, or that differs in shape,
            packing or variables from the others.
    """
    names = [splits] if isinstance(splits, str) else list(splits)
    paths, split = _paths(source, names)
    if not paths:
        raise CallError("there are no ready scenes to read", hint="sciml-data convert")
    files = identify(paths)
    layouts, columns = _look_up(paths, files)
    return Scenes(
        paths=tuple(paths),
        split=np.array(split, np.str_),
        granule=np.char.decode(columns["granule"].astype(np.bytes_), "ascii"),
        values={name: columns[name] for name in SCENE_VALUES},
        layouts=layouts,
        places={name: columns[PLACES + name] for name in layouts},  # type: ignore[misc]
        sizes=files.sizes,
        changed=files.changed,
    )


def _paths(
    source: Converted | Path | Iterable[Path], names: list[str]
) -> tuple[list[Path], list[str]]:
    if not isinstance(source, Converted):
        if names:
            raise CallError("splits are those of a converted dataset; paths were given")
        paths = sorted(source.glob("*.nc")) if isinstance(source, Path) else list(source)
        return paths, [""] * len(paths)
    found = shards_of_split(source)
    unknown = [name for name in names if name not in found]
    if unknown:
        raise CallError(
            f"no files of split {unknown[0]!r} were converted{nearest(unknown[0], found)}",
            hint=f"splits: {', '.join(found)}",
        )
    pairs = [(source.root / file, name) for name in names or found for file in sorted(found[name])]
    return [path for path, _ in pairs], [name for _, name in pairs]


def _look_up(paths: Sequence[Path], files: Identities) -> tuple[dict[str, Layout], Columns]:
    """Return layouts and columns of all files, from the stores as far as they know them."""
    folders = {path.parent for path in paths}
    folder = folders.pop() if len(folders) == 1 else None
    missing, known = set(range(len(paths))), []
    for store in sorted(folder.glob(STORES)) if folder else ():
        numbers, columns, note = load(store, files)
        if len(numbers) and missing.issuperset(numbers.tolist()):
            missing -= set(numbers.tolist())
            known.append((note, numbers, columns))
    if missing:
        known += _read(paths, sorted(missing))
    _require_one(paths, [(note, numbers) for note, numbers, _ in known])
    order = np.argsort(np.concatenate([numbers for _, numbers, _ in known]))
    joined = {
        name: np.concatenate([columns[name] for _, _, columns in known])[order]
        for name in known[0][2]
    }
    if missing and folder:
        digest = hashlib.sha256(known[0][0].encode()).hexdigest()[:8]
        keep(folder / STORE.format(digest=digest), files, joined, known[0][0])
    return load_layouts(known[0][0]), joined


def _read(
    paths: Sequence[Path], numbers: Sequence[int]
) -> list[tuple[str, NDArray[np.intp], Columns]]:
    """Return layouts, numbers and columns of files, by layout."""
    problems: list[Problem] = []
    by_layout: dict[str, list[tuple[int, Head]]] = {}
    for number in numbers:
        head, wrong = read_head(paths[number])
        problems += wrong
        if head is not None:
            by_layout.setdefault(dump_layouts(head.layouts), []).append((number, head))
    if problems:
        raise ConversionError(
            f"ready files cannot be used: {len(problems)} problems in {len(numbers)} files",
            problems=problems,
            untouched="nothing was changed",
            hint="convert the dataset again: sciml-data convert ID --again",
        )
    return [
        (text, np.array([number for number, _ in pairs], np.intp), _columns([h for _, h in pairs]))
        for text, pairs in by_layout.items()
    ]


def _columns(heads: Sequence[Head]) -> Columns:
    columns: Columns = {
        name: np.array([head.values[name] for head in heads]) for name in SCENE_VALUES
    }
    columns["granule"] = np.array([head.granule.encode() for head in heads])
    for name in heads[0].places:
        columns[PLACES + name] = np.stack([head.places[name] for head in heads])
    return columns


def _require_one(paths: Sequence[Path], known: Sequence[tuple[str, NDArray[np.intp]]]) -> None:
    """Refuse files of several layouts; the one that most have stands."""
    texts = {text for text, _ in known}
    if len(texts) == 1:
        return
    count = {text: sum(len(numbers) for one, numbers in known if one == text) for text in texts}
    usual = max(sorted(count), key=count.__getitem__)
    expected = load_layouts(usual)
    problems = [
        Problem("layout", paths[number].name, _difference(expected, load_layouts(text)))
        for text, numbers in known
        if text != usual
        for number in numbers
    ]
    raise ConversionError(
        f"{len(problems)} of {len(paths)} scenes differ from the others in layout",
        problems=problems,
        untouched="nothing was changed",
        hint="scenes of one shape and packing are read together: name a split, or convert again",
    )


def _difference(expected: Mapping[str, Layout], found: Mapping[str, Layout]) -> str:
    for name, layout in expected.items():
        if name not in found:
            return f"has no {name}"
        if layout != found[name]:
            return f"{name}: {layout} expected, {found[name]} found"
    return f"has besides {', '.join(sorted(set(found) - set(expected)))}"
