"""Read native files with seeded damage: each ends in data or in a sentence that names a file.

    python -m tests.support.fuzz_formats --seed 1 --mutations 200 --format slstr_hdf5
    python -m tests.support.fuzz_formats --seed 1 --mutations 200 --seconds 600      # every format

Small files of a format (`small_formats`) are copied, one of them is damaged, and another process
converts them: reads each ready file that is made of the damaged one, and writes it. What must not
happen, and ends this program with exit code 1: any other exception than those of
`sciml_data.errors`, an error that names no file, a process that is killed by a signal, more than 30
seconds, more than 2 GB of memory. The seed and the number of a mutation say all:
`--seed 1 --only 17` repeats one. Formats are read at the same time, as many as there are
processors.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import select
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from sciml_data.errors import SciMLDataError
from tests.support.damaged_files import damage
from tests.support.paths import ROOT
from tests.support.small_formats import FORMATS, read_small, write_small

MAX_SECONDS = 30.0
START_SECONDS = 120.0  # until the process has imported everything, on a busy computer
MAX_BYTES = 2 * 10**9  # of memory
ADDRESS_BYTES = 16 * 10**9  # beyond which the process gets no memory at all
DATA, REFUSED = "data", "refused"  # the two good ends


@dataclass(frozen=True)
class Outcome:
    """How reading a damaged sample ended: `data`, `refused`, or what must not happen."""

    number: int
    end: str
    what: str
    text: str

    @property
    def is_fault(self) -> bool:
        """Return whether this must not happen."""
        return self.end not in (DATA, REFUSED)

    def __str__(self) -> str:
        return f"{self.number} {self.end}: {self.what}: {self.text}"


def fuzz(name: str, sample: Path, seed: int, numbers: range) -> Iterator[Outcome]:
    """Yield how each damaged copy of a sample is read.

    Args:
        name: of the format.
        sample: folder with sound files of the format.
        seed: of all damage.
        numbers: of the mutations.
    """
    reader = Reader(name)
    names = {path.name for path in sample.rglob("*")}
    try:
        for number in numbers:
            random = np.random.default_rng([seed, list(FORMATS).index(name), number])
            with tempfile.TemporaryDirectory() as folder:
                root = Path(folder) / "native"
                place, what = damage(sample, root, random)
                end, text = reader.read(root, place)
            if end == REFUSED and not any(name in text for name in names):
                end = "nameless"
            yield Outcome(number, end, f"{place}: {what}", text)
    finally:
        reader.end()


class Reader:
    """A process that reads one folder after the other; it is started again when it was killed."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._process: subprocess.Popen[str] | None = None

    def read(self, root: Path, changed: str | None) -> tuple[str, str]:
        """Return how reading a folder ended, and the message of the error.

        Args:
            root: of the files.
            changed: path of the damaged file; None reads all.
        """
        process, answers = self._started()
        if process.stdin is None:
            raise ValueError(process)
        process.stdin.write(json.dumps([str(root), changed]) + "\n")
        process.stdin.flush()
        line = _line(answers, MAX_SECONDS)
        if line:
            end, text, peak_bytes = json.loads(line)
            if peak_bytes > MAX_BYTES:
                self.end()  # the peak is of the whole process
                return "memory", f"{peak_bytes} bytes; {end}: {text}"
            return end, text
        hung = process.poll() is None and not select.select([answers], [], [], 0.5)[0]
        if hung:
            process.kill()
        code = process.wait()
        self._process = None
        return ("hang", "") if hung else ("killed", f"exit code {code}")

    def end(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def _started(self) -> tuple[subprocess.Popen[str], IO[str]]:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __spec__.name, "--child", "--format", self._name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
            if self._process.stdout is None or not _line(self._process.stdout, START_SECONDS):
                raise RuntimeError(f"the process that reads {self._name} does not start")
        if self._process.stdout is None:
            raise ValueError(self._process)
        return self._process, self._process.stdout


def _line(stream: IO[str], seconds: float) -> str:
    """Return the next line, "" if none comes in time."""
    ready, _, _ = select.select([stream], [], [], seconds)
    return stream.readline() if ready else ""


# --- in the other process ------------------------------------------------------------------------


def child(name: str) -> None:
    """Read each folder that stdin names, and answer with a line of JSON."""
    from sciml_data.bench.monitoring.machine import peak_memory_bytes
    from sciml_data.ready import write_netcdf

    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_BYTES, ADDRESS_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    print(flush=True)
    for line in sys.stdin:
        folder, changed = json.loads(line)
        root = Path(folder)
        end, text = DATA, ""
        try:
            for number, dataset in enumerate(read_small(name, root, changed)):
                write_netcdf(dataset, root.parent / f"ready-{number}.nc")
        except SciMLDataError as error:
            end, text = REFUSED, str(error)
        except BaseException:  # noqa: BLE001 (what comes is the result)
            end, text = "exception", traceback.format_exc()
        print(json.dumps([end, text, peak_memory_bytes()]), flush=True)


def run() -> int:
    """Run the program and return its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--format", choices=FORMATS, help="native format; all without this option")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--mutations", type=int, default=200, help="of each format")
    parser.add_argument("--only", type=int, help="number of the only mutation to make")
    parser.add_argument("--seconds", type=float, help="in all; without it there is no limit")
    parser.add_argument("--verbose", action="store_true", help="print every outcome")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(given.format)
        return 0
    numbers = range(given.mutations) if given.only is None else range(given.only, given.only + 1)
    names = [given.format] if given.format else list(FORMATS)
    session = Session(given.seed, numbers, given.seconds or float("inf"), verbose=given.verbose)
    with ThreadPoolExecutor(min(session.jobs, len(names))) as pool:
        try:
            faults = sum(pool.map(session.fuzz, names))
        except KeyboardInterrupt:
            session.end = 0.0  # every format ends after its present mutation
            pool.shutdown(cancel_futures=True)
            raise
    return 1 if faults else 0


class Session:
    """Formats that share a time.

    Attributes:
        jobs: formats that are read at the same time.
        end: monotonic time of the end.
    """

    def __init__(self, seed: int, numbers: range, seconds: float, *, verbose: bool) -> None:
        self._seed, self._numbers, self._verbose = seed, numbers, verbose
        self.jobs = os.cpu_count() or 1
        self.end = time.monotonic() + seconds
        self._left = len(FORMATS)

    def fuzz(self, name: str) -> int:
        """Damage files of a format, print the outcomes, and return the number of faults."""
        counts: Counter[str] = Counter()
        faults = 0
        # The time of a format is its share of what is left; a fast one leaves more to the others.
        began, share = time.monotonic(), min(1.0, self.jobs / self._left)
        self._left -= 1
        with tempfile.TemporaryDirectory() as folder:
            write_small(name, Path(folder))
            for outcome in fuzz(name, Path(folder), self._seed, self._numbers):
                counts[outcome.end] += 1
                faults += outcome.is_fault
                if outcome.is_fault or self._verbose:
                    print(f"{name} seed {self._seed} {outcome}", flush=True)
                if time.monotonic() > began + share * (self.end - began):
                    break
        took_s = time.monotonic() - began
        print(
            f"{name}: seed {self._seed}, {counts.total()} in {took_s:.0f} s, {dict(counts)}",
            flush=True,
        )
        return faults


if __name__ == "__main__":
    sys.exit(run())
