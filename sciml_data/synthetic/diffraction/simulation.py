"""The crystals of a sample and their stacks, simulated by several processes in a fixed order.

A crystal's stacks depend on the seed, its space group and its number alone, so they are the same
whatever the number of processes and however many other crystals there are.
"""

from __future__ import annotations

import importlib.util
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, TypeVar

from sciml_data.errors import CallError

if TYPE_CHECKING:
    from sciml_data.synthetic.diffraction.cbed import Stack
    from sciml_data.synthetic.diffraction.crystals import Crystal

SPLITS = ("train", "dev", "test")
SHARE = 0.2  # of a class's materials for dev, and as many for test
LIBRARIES = ("gemmi", "scipy", "spglib")  # what sciml_data.synthetic.diffraction stands on
WAITING_PER_PROCESS = 2  # crystals handed out: one that is made, one so that none has to wait
Progress = Callable[[int, int], None]
Made = tuple["Crystal", "list[Stack]"]
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Task:
    """One crystal and the stacks that are made of it."""

    split: str
    space_group: int
    number: int
    seed: int
    energies: tuple[int, ...]
    size: int


def tasks_of(chosen: Mapping[str, Any], seed: int, size: int) -> dict[str, list[Task]]:
    """Return the crystals of each split; every class is in all of them from three materials on.

    Neighbours are of different classes, as upstream's structures were shuffled.

    Raises:
        CallError: groups, materials, energies or size cannot be, or nothing can be simulated.
    """
    require_simulator()
    groups, materials, energies = (chosen[key] for key in ("groups", "materials", "energies"))
    wrong = [
        ("groups", groups, groups and all(1 <= one <= 230 for one in groups)),
        ("groups", groups, len(set(groups)) == len(groups)),
        ("materials", materials, materials >= 1),
        ("energies", energies, energies and all(20 <= one <= 1000 for one in energies)),
        ("size", size, size >= 16),
        ("processes", chosen["processes"], chosen["processes"] >= 0),
    ]
    bad = [f"{name} {value!r}" for name, value, is_good in wrong if not is_good]
    if bad:
        raise CallError(
            f"no sample can be made with {', '.join(dict.fromkeys(bad))}",
            untouched="nothing was written",
        )
    return {
        split: [
            Task(split, group, number, seed, tuple(energies), size)
            for number in numbers
            for group in groups
        ]
        for split, numbers in _numbers(materials).items()
    }


def _numbers(materials: int) -> dict[str, range]:
    """Return which materials of a class are in which split: of ten 6, 2 and 2."""
    held = max(1, round(SHARE * materials)) if materials > 1 else 0
    test = held
    dev = held if materials > 2 else 0
    train = materials - dev - test
    ends = (train, train + dev, materials)
    return dict(
        zip(SPLITS, (range(a, b) for a, b in zip((0, *ends), ends, strict=False)), strict=True)
    )


def simulated(
    tasks: Sequence[Task], processes: int, progress: Progress | None = None
) -> Iterator[Made]:
    """Yield crystals with their stacks in the order of the tasks; see `in_order`."""
    return in_order(simulate, tasks, processes, progress)


def in_order(
    make: Callable[[T], R], tasks: Sequence[T], processes: int, progress: Progress | None = None
) -> Iterator[R]:
    """Yield what a function makes of each task, in the order of the tasks.

    Args:
        make: a function of a module, for it may run in other processes.
        tasks: what is to be made.
        processes: how many make it; 0 is one for each core that this process may use.
        progress: told of tasks (done, to do).
    """
    count = min(processes or len(os.sched_getaffinity(0)), len(tasks))
    made = map(make, tasks) if count <= 1 else _by_processes(make, tasks, count)
    for number, one in enumerate(made, start=1):
        if progress is not None:
            progress(number, len(tasks))
        yield one


def _by_processes(make: Callable[[T], R], tasks: Sequence[T], count: int) -> Iterator[R]:
    """Yield what processes make, a few tasks ahead of the one that is asked for."""
    pool = ProcessPoolExecutor(count, mp_context=get_context("spawn"))
    running: deque[Future[R]] = deque()
    try:
        for task in tasks:
            running.append(pool.submit(make, task))
            if len(running) > count * WAITING_PER_PROCESS:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def require_simulator() -> None:
    """Say which extra is missing before anything is written.

    Raises:
        CallError: the libraries of the simulation are not installed.
    """
    absent = [name for name in LIBRARIES if importlib.util.find_spec(name) is None]
    if absent:
        raise CallError(
            f"the sample is simulated with {', '.join(absent)}: not installed",
            untouched="nothing was written",
            hint="pip install 'sciml-data[stemdl]'",
        )


def simulate(task: Task) -> Made:
    """Return one crystal and its stacks, one for each energy."""
    from sciml_data.synthetic.diffraction.cbed import cbed_stacks
    from sciml_data.synthetic.diffraction.crystals import make_crystal

    crystal = make_crystal(task.space_group, task.number, seed=task.seed)
    return crystal, list(cbed_stacks(crystal, task.energies, size=task.size))
