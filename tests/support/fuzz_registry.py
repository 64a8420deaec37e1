"""Mutated descriptors, manifests, tasks and files of a home: each is a sentence, or is sound.

    python -m tests.support.fuzz_registry --seed 7 --mutations 200

A mutation changes one file of a small registry, or one file that a home keeps beside its data. Then
verbs that read it are called. They may succeed, or end with one of our errors; the sound dataset
beside the mutated one must still be listed.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from random import Random

from click.testing import CliRunner

from sciml_data.cli import group
from tests.support.fuzz_records import Fuzz, mutate_bytes, mutate_json_file
from tests.support.paths import TOY_REGISTRY
from tests.support.small_registry import DATASET, VERSION, small_registry

SOUND = "tides"  # a copy of the dataset, which is never changed
DESCRIPTION = f"datapackages/{DATASET}/{VERSION}"
REGISTRY_FILES = (
    *(f"{DESCRIPTION}/datapackage.json",) * 4,
    *(f"{DESCRIPTION}/manifest.csv",) * 2,
    f"datapackages/{DATASET}/README.md",
    "runners/toy/task.toml",
)
HOME_FILES = (
    f"data/{DATASET}/{VERSION}/receipt.json",
    f"data/{DATASET}/{VERSION}/asked.json",
    f"data/{DATASET}/{VERSION}/ready/44136fa355b3/conversion.json",
    f"data/{DATASET}/{VERSION}/ready/44136fa355b3/manifest.csv",
    f"data/{DATASET}/{VERSION}/ready/44136fa355b3/verified.jsonl",
)
READS_REGISTRY = (
    "list", "list --json", "check", "derive --check", f"describe {DATASET}", f"cite {DATASET}",
    f"get {DATASET} --dry-run", f"fair {DATASET}", f"export croissant {DATASET}",
    f"export datacite {DATASET}", f"export dcat {DATASET}", f"export rocrate {DATASET}",
    f"export schema.org {DATASET}", f"convert {DATASET}", "board", "catalog",
)  # fmt: skip
READS_HOME = (
    f"verify {DATASET}", f"verify {DATASET} --ready", f"convert {DATASET}", "cache", "catalog",
)  # fmt: skip
NEEDS_NO_HOME = {"list", "check", "derive", "describe", "cite", "fair", "export"}


def sound_copy(root: Path) -> tuple[Path, Path]:
    """Return a registry with two equal datasets and a benchmark, and a home with files of one."""
    registry = small_registry(root / "registry")
    shutil.copytree(TOY_REGISTRY / "runners", registry.root / "runners")
    folder = registry.root / "datapackages"
    shutil.copytree(folder / DATASET, folder / SOUND)
    for path in (folder / SOUND).rglob("*"):
        if path.is_file():
            path.write_text(path.read_text().replace(DATASET, SOUND))
    home = root / "home"
    for name in HOME_FILES:
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}\n")
    (home / HOME_FILES[0]).write_text(f'["deep/2001.csv", "file", 12, 1, 2, "sha256:{"a" * 64}"]\n')
    (home / HOME_FILES[1]).write_text('{"paths": ["deep/2001.csv"]}\n')
    (home / f"data/{DATASET}/{VERSION}/native/deep").mkdir(parents=True)
    (home / f"data/{DATASET}/{VERSION}/native/deep/2001.csv").write_bytes(b"twelve bytes")
    return registry.root, home


def fuzz_registry(fuzz: Fuzz, root: Path, count: int) -> None:
    """Mutate one file of a registry or a home, and call verbs that read it."""
    registry, home = sound_copy(root / "sound")
    place, used = root / "registry", root / "home"
    for random in fuzz.mutations("registry", count):
        for source, target in ((registry, place), (home, used)):
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(source, target)
        is_of_home = random.random() < 0.25
        name = random.choice(HOME_FILES if is_of_home else REGISTRY_FILES)
        path = (used if is_of_home else place) / name
        told = _mutate(path, random)
        for line in random.sample(READS_HOME if is_of_home else READS_REGISTRY, 4):
            call = partial(call_verb, line.split(), place, used)
            fuzz.expect("registry", f"{name}: {told}: {line}", call)
        listed = fuzz.expect(
            "registry", f"{name}: {told}: list", partial(call_verb, ["list"], place, used)
        )
        if listed is not None and SOUND not in listed:
            fuzz.note(f"seed {fuzz.seed}, registry: {name}: {told}: {SOUND} is not listed")


def _mutate(path: Path, random: Random) -> str:
    if path.suffix == ".json":
        try:
            return mutate_json_file(path, random, digest=False)
        except ValueError:  # a file with several JSON texts, or none
            pass
    path.write_bytes(mutate_bytes(path.read_bytes(), random))
    return "bytes"


def call_verb(words: Sequence[str], registry: Path, home: Path) -> str:
    """Run a verb in this process, raise what it raises, and return what it printed."""
    rest = ["--registry", str(registry)]
    if words[0] == "cache":
        rest = []
    if words[0] not in NEEDS_NO_HOME:
        rest += ["--home", str(home)]
    result = CliRunner().invoke(group, [*words, *rest])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    if "\x1b" in result.output or "\x9b" in result.output:
        raise ValueError("a control character reached the terminal")
    return result.stdout


def main() -> None:
    """Mutate, print the seed and what failed, and exit with 1 if anything did."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--mutations", type=int, default=200)
    options = parser.parse_args()
    fuzz = Fuzz(options.seed)
    with tempfile.TemporaryDirectory() as scratch:
        fuzz_registry(fuzz, Path(scratch), options.mutations)
    tried = ", ".join(f"{number} {name}" for name, number in fuzz.tried.items())
    lines = [f"seed {fuzz.seed}: {tried}", *fuzz.failures, f"{len(fuzz.failures)} failures"]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.exit(1 if fuzz.failures else 0)


if __name__ == "__main__":
    main()
