"""The project attacks itself: damaged transfers, native files, records, submissions, registries.

    python -m tests.support.attack --minutes 10
    python -m tests.support.attack --seed 7 --only formats

Rounds of all parts are repeated with new seeds until the time is over. Each part is a process of
its own, which must end by itself, without a traceback, and with exit code 0. The seed of each part
is printed, and the same seed repeats it. Found are: a wrong byte that was published, an exception
that is not one of our errors, a crash, a hang, memory beyond the limit, an accepted forgery.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 900  # of one part of a round; a part takes one to three minutes
MAX_MEMORY_BYTES = 12 << 30  # of address space: TensorFlow alone reserves some GB
TRANSFERS = "tests/transfer/download/test_engine_framings.py"


@dataclass(frozen=True)
class Part:
    """One attack.

    Attributes:
        name: for the table.
        words: arguments of Python; `{seed}` is replaced.
    """

    name: str
    words: tuple[str, ...]


PARTS = (
    Part("transfers", ("-m", "pytest", "-q", TRANSFERS, "--hypothesis-seed={seed}")),
    # As many mutations of each native format as five minutes allow, 200 at most. Two processors
    # need three minutes for all of them; a busy computer makes fewer, and all without --seconds.
    Part("formats", ("-m", "tests.support.fuzz_formats", "--seed", "{seed}", "--seconds", "300")),
    Part("records", ("-m", "tests.support.fuzz_records", "--seed", "{seed}", "--mutations", "30")),
    Part("registries", ("-m", "tests.support.fuzz_registry", "--seed", "{seed}")),
)


@dataclass
class Tally:
    """What one attack did so far."""

    rounds: int = 0
    seconds: float = 0.0
    failed_seeds: tuple[int, ...] = ()


def run_part(part: Part, seed: int) -> bool:
    """Run one attack, print its output if it failed, and return whether it found nothing."""
    words = [word.replace("{seed}", str(seed)) for word in part.words]
    sys.stdout.write(f"{part.name}: seed {seed}\n")
    sys.stdout.flush()
    try:
        result = subprocess.run(
            [sys.executable, *words],
            cwd=ROOT,
            env={**os.environ, "SCIML_ATTACK": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            timeout=TIMEOUT_S,
            preexec_fn=limit_memory,
        )
    except subprocess.TimeoutExpired as error:
        output = (error.output or b"").decode(errors="replace")  # bytes, in spite of `text`
        sys.stdout.write(f"{output}\n{part.name}, seed {seed}: a hang\n")
        return False
    if result.returncode != 0:
        sys.stdout.write(f"{result.stdout}\n{part.name}, seed {seed}: exit {result.returncode}\n")
    else:
        sys.stdout.write("".join(f"  {line}\n" for line in result.stdout.splitlines()[-12:]))
    return result.returncode == 0


def limit_memory() -> None:
    """Bound the memory of a child, so that a bomb is found and does not stop the computer."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)  # some set a limit of their own
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, hard))


def main() -> None:
    """Attack until the time is over, print a table, and exit with 1 if anything was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, help="of the first round; default: by the clock")
    parser.add_argument("--only", choices=[part.name for part in PARTS])
    options = parser.parse_args()
    seed = time.time_ns() % (1 << 31) if options.seed is None else options.seed
    parts = [part for part in PARTS if options.only in {None, part.name}]
    tallies = {part.name: Tally() for part in parts}
    end = time.monotonic() + 60 * options.minutes
    while True:
        for part in parts:
            began = time.monotonic()
            tally = tallies[part.name]
            if not run_part(part, seed):
                tally.failed_seeds += (seed,)
            tally.rounds += 1
            tally.seconds += time.monotonic() - began
            if time.monotonic() > end and all(tally.rounds for tally in tallies.values()):
                report(tallies)
        seed += 1


def report(tallies: dict[str, Tally]) -> None:
    """Print the table, and end the process."""
    sys.stdout.write(f"\n{'attack':<12} {'rounds':>6} {'minutes':>8}  found with seeds\n")
    for name, tally in tallies.items():
        seeds = ", ".join(map(str, tally.failed_seeds)) or "nothing found"
        sys.stdout.write(f"{name:<12} {tally.rounds:>6} {tally.seconds / 60:>8.1f}  {seeds}\n")
    sys.exit(1 if any(tally.failed_seeds for tally in tallies.values()) else 0)


if __name__ == "__main__":
    main()
