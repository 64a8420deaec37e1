"""Mutated records, predictions, checkpoints and submissions: each is a sentence, or is sound.

    python -m tests.support.fuzz_records --seed 7 --mutations 200

A mutation changes a value of a JSON document (and computes its digest again, as a forger would), or
bytes of a file. Then every command that reads it is called. A command may succeed, or end with one
of our errors. Any other exception is a failure, as is a command that takes too long. The seed and
the number of a mutation determine it, so a failure can be repeated.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import faulthandler
import json
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

import numpy as np
from click.testing import CliRunner

from sciml_data.bench.record.record import record_digest
from sciml_data.bench.scoring.predictions import Predictions, load_predictions, save_predictions
from sciml_data.bench.training.checkpoint import FILE, State, load_state, save_state
from sciml_data.cli import group
from sciml_data.errors import SciMLDataError
from sciml_data.home import Home
from sciml_data.registry.layout import Registry
from sciml_data.results.submission import check_submission
from sciml_data.results.submission.layout import own_manifest
from sciml_data.site import gather, site_files
from tests.support.run_samples import written_run
from tests.support.site_samples import TOY_BENCHMARK, site_registry

LIMIT_S = 60  # of one command; the slowest takes some seconds
DIGEST = f"sha256:{'1' * 64}"
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 10**39, -(10**18), 2**53 + 1, 1e308, -1e308, 5e-324, 0.5, "",
    " ", "a", "x" * 3000, "\x00\n\x1b[2J", "../../../etc/passwd", "/etc/passwd", "é🌍\u202e",
    "{{ 7 * 7 }}<script>", "%s%n{0}", "9" * 60, "NaN", "2026-99-99T99:99:99Z", "=1+1", "a|b\r\n::e",
    [], {}, [None], [[]], {"": None}, [1] * 50, {"a": {"b": {"c": 1}}}, ["a", 1, None, {}],
)  # fmt: skip
# Texts that no JSON document of ours has: put in the place of a random character.
TEXTS = (
    b"", b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b"NaN", b"-Infinity", b"1e999", b"9" * 5000,
    b"[" * 3000, b'{"a":' * 3000, b'"', b"\\ud800", b"\\", b",", b"\r\n", b"\xef\xbb\xbf",
)  # fmt: skip


@dataclass
class Fuzz:
    """What was tried, and what failed.

    Attributes:
        seed: of all mutations.
        tried: name of a target -> number of mutations.
        failures: a text for each failure.
    """

    seed: int
    tried: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Note a failure, and print it at once: a long session may be stopped."""
        self.failures.append(text)
        sys.stderr.write(f"{text}\n")

    def mutations(self, target: str, count: int) -> Iterator[Random]:
        """Yield the random generator of each mutation of a target."""
        for number in range(count):
            self.tried[target] = number + 1
            yield Random(f"{self.seed} {target} {number}")  # noqa: S311 - to be repeated

    def expect(self, target: str, what: str, call: Callable[[], object]) -> Any:
        """Call a function that may raise only our errors; note any other exception."""
        try:
            with time_limit():
                try:
                    return call()
                except SciMLDataError as error:
                    str(error).encode("utf-8")  # it has to be printable
                    return None
        except Exception:  # noqa: BLE001 - any other error is what is looked for
            number = self.tried[target] - 1
            where = f"seed {self.seed}, {target} {number}, {what}"
            self.note(f"{where}\n{traceback.format_exc(limit=-6)}")
            return None


@contextlib.contextmanager
def time_limit() -> Iterator[None]:
    """Raise TimeoutError if the block takes longer than `LIMIT_S`.

    A library in C may never return to Python, which alone handles signals. Then, after twice the
    time, the process prints its stack and ends.
    """

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"more than {LIMIT_S} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(LIMIT_S)
    faulthandler.dump_traceback_later(2 * LIMIT_S, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


# Mutations


def places_in(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value of a JSON document."""
    items: list[tuple[Any, Any]] = list(value.items()) if isinstance(value, dict) else []
    if isinstance(value, list):
        items = list(enumerate(value))
    for key, inner in items:
        yield (*path, key)
        yield from places_in(inner, (*path, key))


def mutate_document(document: Any, random: Random) -> str:
    """Change one to three values of a JSON document in place, and return what was changed."""
    told = []
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        places = sorted(places_in(document), key=str)
        if not places:
            break
        *parents, last = random.choice(places)
        parent = document
        for key in parents:
            parent = parent[key]
        kind = random.choice(("value", "value", "value", "type", "remove", "repeat", "add"))
        told.append(f"{kind} {'/'.join(map(str, (*parents, last)))}"[:200])
        _change(parent, last, kind, random)
    return "; ".join(told)


def _change(parent: Any, last: Any, kind: str, random: Random) -> None:
    old = parent[last]
    if kind == "value":
        parent[last] = copy.deepcopy(random.choice(VALUES))
    elif kind == "type":  # of the same type: more likely to pass the schema
        same = [value for value in VALUES if isinstance(value, type(old))]
        parent[last] = copy.deepcopy(random.choice(same or list(VALUES)))
    elif kind == "remove":
        del parent[last]
    elif kind == "repeat" and isinstance(parent, list):
        parent.insert(last, copy.deepcopy(old))
    elif isinstance(old, dict):
        old[str(random.choice(VALUES))[:40]] = copy.deepcopy(random.choice(VALUES))
    elif isinstance(old, list):
        old.append(copy.deepcopy(random.choice((*VALUES, *old))))


def mutate_bytes(content: bytes, random: Random) -> bytes:
    """Return bytes that were cut, flipped, repeated, or replaced by something special."""
    kind = random.choice(("cut", "flip", "flip", "flips", "insert", "repeat", "empty", "zeros"))
    place = random.randrange(len(content) + 1)
    changed = bytearray(content)
    if kind == "cut":
        del changed[place:]
    elif kind in {"flip", "flips"} and content:
        for _ in range(1 if kind == "flip" else random.randrange(2, 30)):
            changed[random.randrange(len(content))] ^= 1 << random.randrange(8)
    elif kind == "insert":
        changed[place : place + random.choice((0, 1))] = random.choice(TEXTS)
    elif kind == "repeat":
        changed[place:place] = content[place : place + random.randrange(1, 4000)]
    elif kind == "zeros":
        length = random.randrange(1, 4000)
        changed[place : place + length] = bytes(len(changed[place : place + length]))
    return b"" if kind == "empty" else bytes(changed)


def mutate_json_file(path: Path, random: Random, *, digest: bool) -> str:
    """Change a JSON file as a document or as bytes, and return what was changed."""
    if random.random() < 0.25:
        path.write_bytes(mutate_bytes(path.read_bytes(), random))
        return "bytes"
    document = json.loads(path.read_text(encoding="utf-8"))
    told = mutate_document(document, random)
    if digest and random.random() < 0.9 and isinstance(document, dict):
        document["record_digest"] = record_digest(document)
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return told


# Targets


def fuzz_records(fuzz: Fuzz, root: Path, count: int) -> None:
    """Mutate the record and the small files of a run beside a sound one, and read the home."""
    registry, home = site_registry(root / "registry"), Home(root / "home")
    good, bad = (home.runs("toy") / name for name in ("20260101T000000Z-a", "20260102T000000Z-b"))
    written_run(good, benchmark=TOY_BENCHMARK)
    spare = root / "spare"
    written_run(spare, benchmark=TOY_BENCHMARK, run_id="22345678-1234-4234-8234-123456789abc")
    for random in fuzz.mutations("record", count):
        shutil.rmtree(bad, ignore_errors=True)
        shutil.copytree(spare, bad)
        if random.random() < 0.85:
            told = mutate_json_file(bad / "record.json", random, digest=True)
        else:
            told = random.choice(("curve.jsonl", "monitor.csv", "log.txt"))
            (bad / told).write_bytes(mutate_bytes((bad / told).read_bytes(), random))
        for words in _commands(good, bad, random):
            call = partial(run, words, home, registry)
            fuzz.expect("record", f"{told}: {' '.join(words)}", call)
        content = fuzz.expect("record", f"{told}: gather", lambda: gather(registry, home))
        if content is not None:
            shown = [item.folder for item in content.runs]
            if good not in shown:
                fuzz.note(f"seed {fuzz.seed}, {told}: the sound run has no page")
            fuzz.expect("record", f"{told}: site", partial(site_files, content, home))


def _commands(good: Path, bad: Path, random: Random) -> list[list[str]]:
    """Return calls that read a home: all scans, and some of the others."""
    forms = ("every-eval-ever", "catalogue", "croissant-task", "spdx")
    target = str(bad.parent.parent / "out")
    return [
        ["board", "--format", random.choice(("markdown", "csv", "json", "html"))],
        ["board", str(bad.parent)],
        ["show", "latest", "--no-figures"],
        ["show", good.name, str(bad), "--no-figures"],
        ["aggregate", good.name, str(bad), "--count-failed"],
        ["log", str(bad), "--org", "lab", "--system", "node"],
        ["export", random.choice(forms), str(bad)],
        ["export", "run-crate", str(bad), "--to", target],
    ]


def run(words: list[str], home: Home, registry: Registry) -> None:
    """Run a command in this process, and raise what it raises."""
    shutil.rmtree(home.root / "runs" / "out", ignore_errors=True)
    rest = ["--home", str(home.root), "--registry", str(registry.root)]
    result = CliRunner().invoke(group, [*words, *rest])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception


def fuzz_predictions(fuzz: Fuzz, root: Path, count: int) -> None:
    """Mutate the bytes of a file of predictions, and load it."""
    path = root / "predictions.nc"
    values = np.random.default_rng(0).normal(size=(62, 2)).astype("float32")
    axes = {
        "row": np.array([f"row {number}" for number in range(62)], dtype=object),
        "output": np.arange(2).astype("M8[D]").astype("M8[ns]"),
    }
    parts = dict.fromkeys(("train", "test"), Predictions(values, values + 1, axes))
    save_predictions(path, parts, synthetic=False)
    content = path.read_bytes()
    for random in fuzz.mutations("predictions", count):
        path.write_bytes(mutate_bytes(content, random))
        fuzz.expect("predictions", "load_predictions", lambda: load_predictions(path))


def fuzz_checkpoints(fuzz: Fuzz, root: Path, count: int) -> None:
    """Mutate the last state of a run: it is read as it was, or the one before it is taken."""
    arrays = [np.arange(600, dtype="float32").reshape(20, 30), np.array(3)]
    for epochs in (1, 2):
        state = State(arrays, arrays, arrays, {"epochs": epochs, "curve": []}, DIGEST)
        save_state(root, state)
    content = (root / FILE).read_bytes()
    for random in fuzz.mutations("checkpoint", count):
        (root / FILE).write_bytes(mutate_bytes(content, random))
        found = fuzz.expect("checkpoint", "load_state", lambda: load_state(root, DIGEST))
        is_sound = found is not None and all(
            np.array_equal(one, other)
            for read in (found.model, found.optimizer, found.best)
            for one, other in zip(read, arrays, strict=True)
        )
        if not is_sound or found.progress["epochs"] != (1 if found.damage else 2):
            fuzz.note(f"seed {fuzz.seed}, checkpoint: wrong values were read")


def fuzz_submission(fuzz: Fuzz, sound: Path, registry: Registry, root: Path, count: int) -> None:
    """Mutate one file of a submission, list the files again, and check it: never accepted.

    Args:
        fuzz: notes what fails.
        sound: folder of an accepted submission.
        registry: of its benchmark.
        root: for copies.
        count: number of mutations.
    """
    place = root.joinpath(*sound.parts[-4:])
    names = sorted(path.name for path in sound.iterdir() if path.name != "verification.json")
    for random in fuzz.mutations("submission", count):
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(sound, place, ignore=shutil.ignore_patterns("verification.json"))
        name = random.choice([*names, "record-1.json", "record-1.json", "predictions-1.nc"])
        path = place / name
        if name.endswith(".json"):
            told = mutate_json_file(path, random, digest=name.startswith("record"))
        else:
            told = "bytes"
            path.write_bytes(mutate_bytes(path.read_bytes(), random))
        if name != "manifest.csv" and random.random() < 0.8:
            (place / "manifest.csv").write_text(own_manifest(place).dump(), encoding="utf-8")
        if all((place / other).read_bytes() == (sound / other).read_bytes() for other in names):
            continue
        what = f"{name}: {told}"
        verdict = fuzz.expect("submission", what, lambda: check_submission(place, registry))
        if verdict is None:
            fuzz.note(f"seed {fuzz.seed}, {what}: no verdict")
        elif verdict.is_accepted:
            number = fuzz.tried["submission"] - 1
            fuzz.note(f"seed {fuzz.seed}, submission {number}, {what}: accepted")


def fuzz_files(seed: int, count: int, root: Path) -> Fuzz:
    """Mutate records, predictions and checkpoints, and return what failed."""
    fuzz = Fuzz(seed)
    targets: Mapping[str, Callable[[Fuzz, Path, int], None]] = {
        "records": fuzz_records,
        "predictions": fuzz_predictions,
        "checkpoints": fuzz_checkpoints,
    }
    for name, target in targets.items():
        (root / name).mkdir(parents=True)
        target(fuzz, root / name, count)
    return fuzz


def main() -> None:
    """Mutate files of all targets, print the seed and what failed, and exit with 1 if any did."""
    from tests.support.submissions import make_bench, without_staging

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--mutations", type=int, default=200, help="of each target")
    parser.add_argument("--without-submissions", action="store_true", help="they need training")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        fuzz = fuzz_files(options.seed, options.mutations, root)
        if not options.without_submissions:
            bench = make_bench(root / "bench")
            with without_staging(bench.code.parent):
                sound = bench.pack(root / "packed", runs=bench.real[:1])
                registry = Registry(bench.registry)
                fuzz_submission(fuzz, sound, registry, root / "copies", options.mutations)
    tried = ", ".join(f"{number} {name}" for name, number in fuzz.tried.items())
    lines = [f"seed {fuzz.seed}: {tried}", *fuzz.failures, f"{len(fuzz.failures)} failures"]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.exit(1 if fuzz.failures else 0)


if __name__ == "__main__":
    main()
