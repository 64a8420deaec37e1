"""The stacks that are here: where each lies, of what crystal it is, and its patterns when asked.

Ready files are looked up once, without their patterns: 548 GB stay on the disk until a batch, or
the memory they fit, asks for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import h5py
import numpy as np
import numpy.typing as npt

from sciml_data.errors import CallError, ConversionError, Problem
from sciml_data.ready.convert import shards_of_split

if TYPE_CHECKING:
    from sciml_data.registry.stages import Converted

STACK = "cbed_stack"
GROUP = "space_group"
TEXTS = ("native_file", "native_sample", "material", "formula")
ALWAYS = ("native_file", "native_sample")
UNSCALED = "none"  # the attribute `scaling` of stacks that are intensities
READ_AT_ONCE = 32  # stacks: 100 MB of 3 x 512 x 512

Numbers: TypeAlias = npt.NDArray[np.intp]
Texts: TypeAlias = npt.NDArray[np.str_]
Floats: TypeAlias = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Stacks:
    """All stacks, in the order of folders and files; arrays have an entry for each stack.

    Attributes:
        paths: of the ready files.
        file, row: number of the path, and of the stack in the file.
        folder: split of the dataset it comes from.
        group: space group, 1 to 230.
        texts: by name of TEXTS; `material` and `formula` are missing where the files have none.
        energy: keV, NaN where not known.
        side: pixels along a side of a pattern.
        is_scaled: whether the files hold levels 0..255 and no intensity.
        dataset: its id.
    """

    paths: tuple[Path, ...]
    file: Numbers
    row: Numbers
    folder: Texts
    group: npt.NDArray[np.int64]
    texts: Mapping[str, Texts]
    energy: npt.NDArray[np.float64]
    side: int
    is_scaled: bool
    dataset: str

    def __len__(self) -> int:
        """Return the number of stacks."""
        return len(self.file)

    @property
    def names(self) -> Texts:
        """Return a name for each stack, no two alike: native file and sample in it."""
        return np.array([self.name(number) for number in range(len(self))])

    def name(self, number: int) -> str:
        """Return the name of one stack."""
        return f"{self.texts['native_file'][number]}:{self.texts['native_sample'][number]}"

    @property
    def material(self) -> Texts | None:
        """Return the material of each stack; None where nobody knows."""
        return self.texts.get("material")

    def read(self, numbers: Numbers) -> Floats:
        """Return stacks in the order asked for: (stack, view, y, x) float32.

        Raises:
            ConversionError: a file is gone, cut or damaged.
        """
        values = np.empty((len(numbers), 3, self.side, self.side), np.float32)
        for file in np.unique(self.file[numbers]):
            places = np.flatnonzero(self.file[numbers] == file)
            try:
                with h5py.File(self.paths[file], "r") as opened:
                    stored = opened[STACK]
                    for place in places:
                        stored.read_direct(values, int(self.row[numbers[place]]), int(place))
            except (OSError, KeyError, ValueError, TypeError) as error:
                raise _unreadable(self.paths[file], error) from error
        return values

    def blocks(self, numbers: Numbers) -> Iterator[tuple[Numbers, Floats]]:
        """Yield (places in `numbers`, stacks) of a few stacks at a time, each file read once."""
        order = np.lexsort((self.row[numbers], self.file[numbers]))
        for start in range(0, len(order), READ_AT_ONCE):
            places = order[start : start + READ_AT_ONCE]
            yield places, self.read(numbers[places])


def find_stacks(converted: Converted) -> Stacks:
    """Return the stacks of all ready files.

    Raises:
        CallError: there is none.
        ConversionError: files cannot be read or differ from the others; every one is named.
    """
    places = [
        (folder, converted.root / name)
        for folder, names in shards_of_split(converted).items()
        for name in sorted(names)
    ]
    dataset = converted.descriptor.dataset
    found: list[tuple[str, Path, dict[str, Any]]] = []
    problems: list[Problem] = []
    for folder, path in places:
        try:
            found.append((folder, path, _head(path)))
        except (OSError, KeyError, ValueError, TypeError) as error:
            problems.append(Problem("unreadable", path.name, f"{type(error).__name__}: {error}"))
    found = [one for one in found if len(one[2][GROUP])]
    problems += _differences(found)
    if problems:
        raise ConversionError(
            f"ready files of {dataset} cannot be used: {len(problems)} of {len(places)}",
            problems=problems,
            untouched="nothing was changed",
            hint=f"convert the dataset again: sciml-data convert {dataset} --again",
        )
    if not found:
        raise CallError("there are no ready stacks", hint=f"sciml-data convert {dataset}")
    return _joined(found, dataset)


def _joined(found: list[tuple[str, Path, dict[str, Any]]], dataset: str) -> Stacks:
    folders, paths, heads = zip(*found, strict=True)
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
        texts={name: text for name, text in texts.items() if name in ALWAYS or text.all()},
        energy=np.concatenate([head["energy"] for head in heads]),
        side=heads[0]["side"],
        is_scaled=heads[0]["scaling"] != UNSCALED,
        dataset=dataset,
    )


def _head(path: Path) -> dict[str, Any]:
    """Return what a file says without its patterns."""
    with h5py.File(path, "r") as opened:
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
    """Return text of text as NetCDF has it: bytes, characters along a second axis, or objects."""
    if not len(values):
        return np.zeros(0, np.str_)
    if values.ndim == 2:
        values = np.ascontiguousarray(values).view(f"S{values.shape[1]}").ravel()
    return np.array([one.decode() if isinstance(one, bytes) else str(one) for one in values])


def _differences(found: list[tuple[str, Path, dict[str, Any]]]) -> list[Problem]:
    """Return files whose patterns are of another kind than the first's, or that have no group."""
    problems = []
    for _, path, head in found:
        for key in ("side", "scaling"):
            if head[key] != found[0][2][key]:
                message = f"{found[0][2][key]} expected, {head[key]} found"
                problems.append(Problem(key, path.name, message))
        wrong = head[GROUP][(head[GROUP] < 1) | (head[GROUP] > 230)]
        if len(wrong):
            problems.append(Problem("label", path.name, f"{wrong[0]} is no space group"))
    return problems


def _unreadable(path: Path, error: Exception) -> ConversionError:
    return ConversionError(
        f"ready stacks cannot be read: {path.name}",
        problems=[Problem("unreadable", path.name, f"{type(error).__name__}: {error}")],
        untouched="nothing was changed",
        hint="convert the dataset again",
    )
