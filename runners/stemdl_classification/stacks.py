"""Find the stacks of all ready files, with labels and names, and read their patterns.

Opening reads labels and names only. The patterns, up to 548 GB, stay on disk until a batch needs
them, or until they are loaded into memory because they fit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from sciml_data.errors import CallError, ConversionError, Problem
from sciml_data.formats import open_hdf5
from sciml_data.ready import shards_of_split

if TYPE_CHECKING:
    from sciml_data.registry.stages import Converted

STACK = "cbed_stack"
GROUP = "space_group"
TEXTS = ("native_file", "native_sample", "material", "formula")
REQUIRED_TEXTS = ("native_file", "native_sample")
UNSCALED = "none"  # value of the attribute `scaling` if stacks are intensities
STACKS_PER_READ = 32  # 100 MB at 3 x 512 x 512

Numbers: TypeAlias = npt.NDArray[np.intp]
Texts: TypeAlias = npt.NDArray[np.str_]
Floats: TypeAlias = npt.NDArray[np.floating[Any]]


class ReadyFile(NamedTuple):
    """A ready file: its folder, path, and its content without the patterns."""

    folder: str
    path: Path
    head: dict[str, Any]


@dataclass(frozen=True)
class Stacks:
    """All stacks, in the order of folders and files.

    Attributes:
        paths: of the ready files.
        file: (stack,) index of the path.
        row: (stack,) index in the file.
        folder: (stack,) folder of the dataset (its split).
        group: (stack,) space group, 1 to 230.
        texts: (stack,) text by name of `TEXTS`; `material` and `formula` are absent if the files
            have none.
        energy: (stack,) of the beam in keV, NaN where unknown.
        side: pixels along a side of a pattern.
        is_log_intensity: whether the files hold logarithms scaled to 0..255 and not intensities.
        dataset: id of the dataset.
    """

    paths: tuple[Path, ...]
    file: Numbers
    row: Numbers
    folder: Texts
    group: npt.NDArray[np.int64]
    texts: Mapping[str, Texts]
    energy: npt.NDArray[np.float64]
    side: int
    is_log_intensity: bool
    dataset: str

    def __len__(self) -> int:
        """Return the number of stacks."""
        return len(self.file)

    @property
    def names(self) -> Texts:
        """Return a unique name for each stack: native file and sample in it."""
        return np.array([self.name(number) for number in range(len(self))])

    def name(self, number: int) -> str:
        """Return the name of one stack."""
        return f"{self.texts['native_file'][number]}:{self.texts['native_sample'][number]}"

    @property
    def material(self) -> Texts | None:
        """Return the material of each stack (stack,); None if the dataset does not name them."""
        return self.texts.get("material")

    def read(self, numbers: Numbers) -> Floats:
        """Return stacks in the given order: (stack, view, y, x) float32.

        Raises:
            ConversionError: a file is missing, truncated or damaged.
        """
        values = np.empty((len(numbers), 3, self.side, self.side), np.float32)
        for file in np.unique(self.file[numbers]):
            places = np.flatnonzero(self.file[numbers] == file)
            try:
                with open_hdf5(self.paths[file], error=ConversionError, is_verified=True) as opened:
                    stored = opened[STACK]
                    for place in places:
                        stored.read_direct(values, int(self.row[numbers[place]]), int(place))
            except ConversionError as error:
                raise _unreadable(self.paths[file], error) from error
        return values

    def blocks(self, numbers: Numbers) -> Iterator[tuple[Numbers, Floats]]:
        """Yield (indices into `numbers`, stacks) for a few stacks at a time, file by file."""
        order = np.lexsort((self.row[numbers], self.file[numbers]))
        for start in range(0, len(order), STACKS_PER_READ):
            places = order[start : start + STACKS_PER_READ]
            yield places, self.read(numbers[places])


def find_stacks(converted: Converted) -> Stacks:
    """Return the stacks of all ready files.

    Raises:
        CallError: there is no stack.
        ConversionError: files cannot be read or differ from the first; all of them are listed.
    """
    places = [
        (folder, converted.root / name)
        for folder, names in shards_of_split(converted).items()
        for name in sorted(names)
    ]
    dataset = converted.descriptor.dataset
    files: list[ReadyFile] = []
    problems: list[Problem] = []
    for folder, path in places:
        try:
            files.append(ReadyFile(folder, path, _read_head(path)))
        except ConversionError as error:
            problems += error.problems
    files = [file for file in files if len(file.head[GROUP])]
    problems += _differences(files)
    if problems:
        raise ConversionError(
            f"{len(problems)} problems in the {len(places)} ready files of {dataset}",
            problems=problems,
            untouched="nothing was changed",
            hint=f"convert the dataset again: sciml-data convert {dataset} --again",
        )
    if not files:
        raise CallError("there are no ready stacks", hint=f"sciml-data convert {dataset}")
    return _concatenate(files, dataset)


def _concatenate(files: list[ReadyFile], dataset: str) -> Stacks:
    folders, paths, heads = zip(*files, strict=True)
    lengths = [len(head[GROUP]) for head in heads]
    texts = {
        name: np.concatenate([head[name] for head in heads])
        for name in TEXTS
        if all(name in head for head in heads)
    }
    return Stacks(
        paths=paths,
        file=np.repeat(np.arange(len(paths)), lengths).astype(np.intp),
        row=np.concatenate([np.arange(length) for length in lengths]).astype(np.intp),
        folder=np.repeat(folders, lengths),
        group=np.concatenate([head[GROUP] for head in heads]),
        texts={name: text for name, text in texts.items() if name in REQUIRED_TEXTS or text.all()},
        energy=np.concatenate([head["energy"] for head in heads]),
        side=heads[0]["side"],
        is_log_intensity=heads[0]["scaling"] != UNSCALED,
        dataset=dataset,
    )


def _read_head(path: Path) -> dict[str, Any]:
    """Return labels, names and shapes of a file, without its patterns."""
    with open_hdf5(path, error=ConversionError, is_verified=True) as opened:
        stack = opened[STACK]
        if len(stack.shape) != 4 or stack.shape[1] != 3 or stack.shape[2] != stack.shape[3]:
            raise ValueError(f"{STACK} has shape {stack.shape}; (sample, 3, y, y) was expected")
        scaling = stack.attrs["scaling"]
        head = {
            "side": int(stack.shape[2]),
            "scaling": scaling.decode() if isinstance(scaling, bytes) else str(scaling),
            GROUP: opened[GROUP][:].astype(np.int64),
            "energy": _energies(opened),
        }
        return head | {name: _text(opened[name][:]) for name in TEXTS if name in opened}


def _energies(opened: Any) -> npt.NDArray[np.float64]:
    if "energy" in opened:
        return np.asarray(opened["energy"][:], np.float64)
    return np.full(len(opened[GROUP]), np.nan)


def _text(values: npt.NDArray[Any]) -> Texts:
    """Return strings from text as NetCDF stores it: bytes, a second axis of letters, or objects."""
    if not len(values):
        return np.zeros(0, np.str_)
    if values.ndim == 2:
        values = np.ascontiguousarray(values).view(f"S{values.shape[1]}").ravel()
    return np.array(
        [value.decode() if isinstance(value, bytes) else str(value) for value in values]
    )


def _differences(files: list[ReadyFile]) -> list[Problem]:
    """Return files whose patterns differ in kind from the first file's, and wrong labels."""
    problems = []
    for _, path, head in files:
        for key in ("side", "scaling"):
            expected = files[0].head[key]
            if head[key] != expected:
                message = f"{expected} expected, {head[key]} found"
                problems.append(Problem(key, path.name, message))
        wrong = head[GROUP][(head[GROUP] < 1) | (head[GROUP] > 230)]
        if len(wrong):
            problems.append(
                Problem("label", path.name, f"{wrong[0]} is not a space group (1 to 230)")
            )
    return problems


def _unreadable(path: Path, error: ConversionError) -> ConversionError:
    return ConversionError(
        f"ready stacks cannot be read: {path.name}",
        problems=error.problems,
        untouched="nothing was changed",
        hint="convert the dataset again: sciml-data convert DATASET --again",
    )
