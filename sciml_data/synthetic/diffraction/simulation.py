"""Simulate the crystals of a sample and their patterns with several processes, in a fixed order.

The patterns of a crystal depend on the seed, its space group, its number and the energies. They are
the same for any number of processes and any number of other crystals.
"""

from __future__ import annotations

import importlib.util
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from sciml_data.errors import CallError
from sciml_data.formats.processes import process_pool
from sciml_data.progress import Progress

if TYPE_CHECKING:
    from sciml_data.synthetic.diffraction.cbed import Stack
    from sciml_data.synthetic.diffraction.crystals import Crystal

SPLITS = ("train", "dev", "test")
HELD_OUT_SHARE = 0.2  # of the materials of a class for dev, and the same for test
LIBRARIES = ("gemmi", "scipy", "spglib")  # that this package imports
# Tasks handed out for each process: one that runs, and one so that a process never waits.
QUEUED_PER_PROCESS = 2
CrystalStacks = tuple["Crystal", "list[Stack]"]
Input = TypeVar("Input")
Output = TypeVar("Output")


@dataclass(frozen=True)
class Task:
    """A crystal to simulate.

    Attributes:
        split: "train", "dev" or "test".
        space_group: number, 1 to 230.
        number: number of the crystal in its space group.
        seed: seed of the sample.
        energies: keV, a stack or scan for each.
        size: pixels along a side of a pattern.
        diffuse: whether patterns have a background of thermal diffuse scattering.
    """

    split: str
    space_group: int
    number: int
    seed: int
    energies: tuple[int, ...]
    size: int
    diffuse: bool = False


def tasks_of(settings: Mapping[str, Any], seed: int, size: int) -> dict[str, list[Task]]:
    """Return the crystals of each split; with three or more materials a class is in all splits.

    Neighbours are of different classes, because upstream's structures are shuffled.

    Args:
        settings: `groups`, `materials`, `energies`, `processes` and, where patterns can have it,
            `diffuse` of a sample.
        seed: seed of the sample.
        size: pixels along a side of a pattern.

    Raises:
        CallError: a setting is not valid, or a library of the simulation is not installed.
    """
    require_simulator()
    groups, materials, energies = (settings[key] for key in ("groups", "materials", "energies"))
    checks = [
        ("groups", groups, groups and all(1 <= group <= 230 for group in groups)),
        ("groups", groups, len(set(groups)) == len(groups)),
        ("materials", materials, materials >= 1),
        ("energies", energies, energies and all(20 <= energy <= 1000 for energy in energies)),
        ("size", size, size >= 16),
        ("processes", settings["processes"], settings["processes"] >= 0),
    ]
    bad = [f"{name} {value!r}" for name, value, is_valid in checks if not is_valid]
    if bad:
        raise CallError(
            f"no sample can be made with {', '.join(dict.fromkeys(bad))}",
            untouched="nothing was written",
        )
    diffuse = settings.get("diffuse", False)
    return {
        split: [
            Task(split, group, number, seed, tuple(energies), size, diffuse)
            for number in numbers
            for group in groups
        ]
        for split, numbers in _numbers(materials).items()
    }


def _numbers(materials: int) -> dict[str, range]:
    """Return the numbers of the materials of a class in each split: 6, 2 and 2 of ten."""
    held_out = max(1, round(HELD_OUT_SHARE * materials)) if materials > 1 else 0
    test = held_out
    dev = held_out if materials > 2 else 0
    train = materials - dev - test
    ends = (train, train + dev, materials)
    return dict(
        zip(SPLITS, (range(a, b) for a, b in zip((0, *ends), ends, strict=False)), strict=True)
    )


def simulated_stacks(
    tasks: Sequence[Task], processes: int, progress: Progress | None = None
) -> Iterator[CrystalStacks]:
    """Yield crystals with their stacks in the order of the tasks; see `in_order`."""
    return in_order(simulate, tasks, processes, progress)


def in_order(
    function: Callable[[Input], Output],
    tasks: Sequence[Input],
    processes: int,
    progress: Progress | None = None,
) -> Iterator[Output]:
    """Yield the result of a function for each task, in the order of the tasks.

    Args:
        function: a function of a module, because other processes import it.
        tasks: arguments of the function.
        processes: number of processes; 0 is one for each core that this process may use.
        progress: callback (tasks done, tasks in all).
    """
    count = min(processes or len(os.sched_getaffinity(0)), len(tasks))
    results: Iterable[Output]
    results = map(function, tasks) if count <= 1 else _by_processes(function, tasks, count)
    for number, result in enumerate(results, start=1):
        if progress is not None:
            progress(number, len(tasks))
        yield result


def _by_processes(
    function: Callable[[Input], Output], tasks: Sequence[Input], count: int
) -> Iterator[Output]:
    """Yield results from processes that work a few tasks ahead of the reader.

    Not all tasks are submitted at once: finished patterns would fill the memory while the reader
    writes. Processes are spawned, because a fork copies locked locks of threads.
    """
    running: deque[Future[Output]] = deque()
    with process_pool(count) as pool:
        for task in tasks:
            running.append(pool.submit(function, task))
            if len(running) > count * QUEUED_PER_PROCESS:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()


def require_simulator() -> None:
    """Check for the libraries of the simulation before anything is written.

    Raises:
        CallError: a library is not installed.
    """
    absent = [name for name in LIBRARIES if importlib.util.find_spec(name) is None]
    if absent:
        raise CallError(
            f"cannot simulate the sample: {', '.join(absent)} not installed",
            untouched="nothing was written",
            hint="pip install 'sciml-data[stemdl]'",
        )


def simulate(task: Task) -> CrystalStacks:
    """Return a crystal and its stacks, one for each energy."""
    from sciml_data.synthetic.diffraction.cbed import cbed_stacks
    from sciml_data.synthetic.diffraction.crystals import make_crystal

    crystal = make_crystal(task.space_group, task.number, seed=task.seed)
    return crystal, list(cbed_stacks(crystal, task.energies, size=task.size, diffuse=task.diffuse))
