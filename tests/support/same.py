"""Compare what two checkouts make of every benchmark's sample: the guard of a large change.

    nox -s same -- REVISION            # the working tree against a commit
    nox -s same -- REVISION uno        # one benchmark only
    nox -s same -- REVISION --splits all --epochs 0

Each checkout runs in processes of its own, in the same environment, with one thread, so that runs
are deterministic. Compared are the bytes of native files, ready files and predictions; the digests
of splits; all scores; records and MLPerf logs without what has to differ (`VOLATILE`); and every
export and citation of every dataset, without the version of the software. Each difference is
printed, and the exit code is then 1.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py

from tests.support.paths import ROOT
from tests.support.software import code_version

# What a record says of the time, the machine's load and the code: different in each run or release.
# A Keras file has the date at which it was saved, and its model card the hash of the file.
VOLATILE = re.compile(
    r"^(run_id|record_digest|code\.(version|commit|is_dirty|reason|runner_digest)|timing\."
    r"|software\.sciml_data$|throughput\.|outputs\.(keras|card)\.(sha256|size_bytes)$"
    r"|timeline\[\d+\]\.time_ms|resources\.|monitor\.|energy\.|curve\[\d+\]\.(\w+_s|\w+_ms)$"
    r"|outputs\.(state|monitor|curve)\.|outputs\.(predictions|files)\.(sha256|size_bytes)$"
    r"|facts\..*(\.s_per_\w+|_s)$)"
)
# The same in the lines of an MLPerf log: commits and digests, times, and figures per second.
LOG_VOLATILE = re.compile(
    r"time_ms$|metadata\.(lineno|file|runner_digest)$|_s$|per_s(econd)?$|throughput|run_id$"
    r"|(record|content)_digest$|predictions_sha256$|commit|submissio[nm]_version$"
)
FORMS = (
    ("croissant", "json"), ("datacite", "json"), ("datacite", "xml"), ("schema.org", "json"),
    ("rocrate", "json"), ("dcat", "json"), ("dcat", "turtle"),
)  # fmt: skip
CITATIONS = ("text", "bibtex", "cff")
MOST_SHOWN = 12  # differences of one thing that are printed

Facts = dict[str, str]  # what is compared -> its digest or value


def main() -> None:
    """Compare, print a line for each thing, and exit with 1 where something differs."""
    options = _options()
    with contextlib.ExitStack() as stack:
        other = stack.enter_context(checkout(options.other))
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        wanted = options.benchmarks or sorted(path.parent.name for path in _tasks(ROOT))
        differing = 0
        for name in wanted:
            for split in _splits(ROOT, name, options.splits):
                words = _words(name, split, options.epochs)
                before, after = (
                    run_facts(folder, scratch / side, words)
                    for side, folder in (("before", other), ("after", ROOT))
                )
                differing += compare(f"{name}, split {split or '(headline)'}", before, after)
        before, after = export_facts(other), export_facts(ROOT)
        differing += compare("exports and citations of datasets", before, after)
    print("all equal" if not differing else f"{differing} differ")
    sys.exit(bool(differing))


@contextlib.contextmanager
def checkout(place: str) -> Iterator[Path]:
    """Yield a folder with another checkout: the folder named, or a commit of this repository."""
    if Path(place).is_dir():
        yield Path(place).resolve()
        return
    with tempfile.TemporaryDirectory() as folder:
        git = ("git", "-C", str(ROOT), "worktree")
        subprocess.run([*git, "add", "--quiet", "--detach", f"{folder}/tree", place], check=True)
        try:
            yield Path(folder) / "tree"
        finally:
            subprocess.run([*git, "remove", "--force", f"{folder}/tree"], check=True)


def run_facts(folder: Path, home: Path, words: Sequence[str]) -> Facts:
    """Run a benchmark's sample with the code of a checkout and return what can be compared."""
    _sciml_data(folder, home, [["run", *words]])
    (run,) = (home / "runs" / words[0]).glob("same*")
    record = json.loads((run / "record.json").read_text(encoding="utf-8"))
    shown = _sciml_data(folder, home, [["log", str(run), "--org", "Org", "--system", "System"]])
    facts = {f"record {key}": value for key, value in flat(record) if not VOLATILE.match(key)}
    facts |= {f"log {key}": value for key, value in _log_facts(shown[0])}
    dataset = record["dataset"]["id"]
    for path in sorted(home.rglob("*")):
        parts = path.relative_to(home).parts
        is_kept = path.is_file() and path.name[0] != "." and path.name != "verified.jsonl"  # caches
        kind = next((part for part in parts if part in {"native", "ready"}), None)
        if is_kept and kind and dataset in parts:  # the folders above have had several layouts
            facts[f"file {'/'.join(parts[parts.index(kind) :])}"] = _sha256(path)
    facts |= {f"prediction {key}": value for key, value in _arrays(run / "predictions.nc")}
    for path in sorted(run.glob("outputs/**/*")):
        place = path.relative_to(run)
        if path.suffix == ".nc":
            facts |= {f"output {place} {key}": value for key, value in _arrays(path)}
        elif path.is_file():
            facts[f"output {place}"] = _sha256(path)
    return {key: value for key, value in facts.items() if not key.endswith("conversion.json")}


def export_facts(folder: Path) -> Facts:
    """Return a digest of every export and citation of every dataset version of a checkout."""
    listed = json.loads(_sciml_data(folder, folder, [["list", "--json"]])[0])
    versions = [(row["name"], row["version"]) for row in listed if row["kind"] == "dataset"]
    calls = [
        [*words, name, "--version", version, "--format", format_]
        for name, version in versions
        for words, format_ in (
            *((["export", form], format_) for form, format_ in FORMS),
            *((["cite"], format_) for format_ in CITATIONS),
        )
    ]
    texts = _sciml_data(folder, folder, calls)
    version = code_version(folder)  # citations name the software
    return {
        " ".join(words): hashlib.sha256(text.replace(version, "VERSION").encode()).hexdigest()
        for words, text in zip(calls, texts, strict=True)
    }


def compare(title: str, before: Facts, after: Facts) -> int:
    """Print how many things are equal and each one that is not; return the number of those."""
    keys = [*before, *(key for key in after if key not in before)]
    differing = [key for key in keys if before.get(key) != after.get(key)]
    kinds = sorted({key.split(" ")[0] for key in keys})
    counts = ", ".join(
        f"{sum(key.startswith(f'{kind} ') for key in keys)} of {kind}" for kind in kinds
    )
    print(f"{title}: {len(keys) - len(differing)} of {len(keys)} equal ({counts})", flush=True)
    for key in differing[:MOST_SHOWN]:
        print(f"  {key}: {before.get(key, 'absent')[:100]} -> {after.get(key, 'absent')[:100]}")
    if len(differing) > MOST_SHOWN:
        print(f"  and {len(differing) - MOST_SHOWN} more")
    return len(differing)


def flat(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Yield (dotted place, value as JSON) of every leaf of a JSON document."""
    if isinstance(value, Mapping) and value:
        for key, part in value.items():
            yield from flat(part, f"{place}.{key}" if place else key)
    elif isinstance(value, list) and value:
        for number, part in enumerate(value):
            yield from flat(part, f"{place}[{number}]")
    else:
        yield place, json.dumps(value)


def _arrays(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (name, digest of type, shape, attributes and values) of each array of an HDF5 file.

    The file's own bytes will not do: HDF5 writes the time into the header of each group.
    """
    with h5py.File(path) as file:
        items: list[tuple[str, h5py.Group | h5py.Dataset]] = [("/", file)]
        file.visititems(lambda name, item: items.append((name, item)))
        for name, item in items:
            digest = hashlib.sha256(repr(sorted(_attributes(item))).encode())
            if isinstance(item, h5py.Dataset):
                digest.update(f"{item.dtype} {item.shape}".encode())
                values = item[()]
                is_text = item.dtype.hasobject
                digest.update(repr(values.tolist()).encode() if is_text else values.tobytes())
            yield name, digest.hexdigest()


def _attributes(item: h5py.Group | h5py.Dataset) -> Iterator[tuple[str, str]]:
    """Yield the attributes that say something: not the references between arrays and axes."""
    for key, value in item.attrs.items():
        if key not in ("DIMENSION_LIST", "REFERENCE_LIST"):
            yield key, repr(value)


def _log_facts(text: str) -> Iterator[tuple[str, str]]:
    """Yield the comparable values of each line of an MLPerf log."""
    for number, line in enumerate(text.splitlines()):
        document = json.loads(line.split(" ", 1)[1] if line.startswith(":::") else line)
        for key, value in flat(document):
            if not LOG_VOLATILE.search(key) and not LOG_VOLATILE.search(document["key"]):
                yield f"[{number}] {document['key']} {key}", value


def _sciml_data(folder: Path, home: Path, calls: Sequence[Sequence[str]]) -> list[str]:
    """Run calls of the command line, all in one process of a checkout; return what each prints."""
    environment = {
        **os.environ, "PYTHONPATH": str(folder), "SCIML_DATA_HOME": str(home),
        "OMP_NUM_THREADS": "1", "SCIML_DATA_REGISTRY": "",
    }  # fmt: skip
    del environment["SCIML_DATA_REGISTRY"]
    done = subprocess.run(
        [sys.executable, "-c", CALLS],
        input=json.dumps(calls),
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{folder}: {calls[0]}\n{done.stderr[-3000:]}")
    return list(json.loads(done.stdout))


# Runs in the other checkout, so it names nothing but the entry point, which is the same in all.
CALLS = """
import contextlib, io, json, sys
from sciml_data.cli import main
texts = []
for words in json.load(sys.stdin):
    sys.argv = ["sciml-data", *words]
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        try:
            main()
        except SystemExit as end:
            if end.code:
                raise
    texts.append(text.getvalue())
print(json.dumps(texts))
"""


def _words(name: str, split: str | None, epochs: int) -> list[str]:
    words = [name, "--sample", "--seed", "0", "--threads", "1", "--name", f"same-{split or 'h'}"]
    words += ["--set", f"epochs={epochs}"] if epochs else []
    return [*words, *(["--split", split] if split else [])]


def _tasks(root: Path) -> list[Path]:
    return sorted((root / "runners").glob("*/task.toml"))


def _splits(root: Path, name: str, wanted: str) -> Sequence[str | None]:
    """Return the splits to run: None for the headline split, or the names of all."""
    if wanted == "headline":
        return [None]
    return sorted(path.stem for path in (root / "runners" / name / "splits").glob("*.json"))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("other", help="a commit of this repository, or a folder with a checkout")
    parser.add_argument("benchmarks", nargs="*", help="names of benchmarks; all if left out")
    parser.add_argument("--splits", choices=("headline", "all"), default="headline")
    parser.add_argument("--epochs", type=int, default=2, help="0 trains the sample's default")
    return parser.parse_args()


if __name__ == "__main__":
    main()
