"""Toy runs, a registry that pins their data and a history that knows their commit: for tests."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sciml_data.bench.monitoring import machine
from sciml_data.bench.record.record import record_digest
from sciml_data.cli import group
from sciml_data.errors import SciMLDataError
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import Registry
from sciml_data.results.mlperf_log import Submitter, log_text
from sciml_data.results.submission.layout import own_manifest
from sciml_data.results.submission.texts import policy_table
from sciml_data.testing.datasets import write_dataset
from tests.support.paths import TOY_REGISTRY
from tests.support.toy import toy_source

TOY = TOY_REGISTRY / "runners"
NAMED = ("--org", "lab", "--system", "node-a", "--descriptor", "first")
FOLDER = Path("lab", "toy", "node-a", "first")
IDENTITY = ("-c", "user.name=A", "-c", "user.email=a@example.org")


@dataclass(frozen=True)
class Bench:
    """Where everything of a test lies.

    Attributes:
        home: with the runs.
        registry: with `toy` and the pinned `toy_points`.
        code: git checkout whose one commit the runs name.
        real: folders of three runs, seeds 0 to 2.
        sample: folder of a run on synthetic data.
    """

    home: Path
    registry: Path
    code: Path
    real: tuple[Path, ...]
    sample: Path

    def call(self, *words: str) -> Result:
        """Run a command with this registry."""
        return CliRunner().invoke(group, [*words, "--registry", str(self.registry)])

    def pack(self, to: Path, *more: str, runs: tuple[Path, ...] | None = None) -> Path:
        """Pack runs, the three real ones unless told, and return the submission's folder."""
        named = [str(run) for run in (self.real if runs is None else runs)]
        words = ["submit", "pack", *named, *NAMED, "--to", str(to), *more]
        result = CliRunner().invoke(group, words)
        if isinstance(result.exception, SciMLDataError):
            raise result.exception
        assert result.exception is None, result.exception
        return Path(result.stdout.strip())

    def check(self, folder: Path) -> dict[str, Any]:
        """Return the verdict on one submission."""
        words = ("submit", "check", str(folder), "--repository", str(self.code), "--json")
        result = self.call(*words)
        if isinstance(result.exception, SciMLDataError):
            raise result.exception
        (verdict,) = json.loads(result.stdout)
        assert result.exit_code == (0 if verdict["accepted"] else 1)
        return dict(verdict)


def git(folder: Path, *words: str) -> str:
    """Run git in a folder."""
    command = ["git", "-C", str(folder), *IDENTITY, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def repository(folder: Path) -> str:
    """Make a git repository with one commit, and return the commit."""
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    (folder / "README.md").write_text("results\n", encoding="utf-8")
    return commit_all(folder)


def commit_all(folder: Path) -> str:
    """Commit everything in a repository, and return the commit."""
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "a commit")
    return git(folder, "rev-parse", "HEAD").strip()


def make_bench(root: Path) -> Bench:
    """Run the toy benchmark four times on data that come `without_staging`."""
    registry = root / "registry"
    shutil.copytree(TOY, registry / "runners", ignore=shutil.ignore_patterns("__pycache__"))
    write_dataset(registry, {"points.bin": b"any"}, dataset="toy_points")
    repository(root / "code")
    run = ["run", "toy", "--home", str(root / "home"), "--registry", str(registry)]
    run += ["--strategy", "default", "--set", "epochs=2"]
    with without_staging(root):
        for more in (["--seeds", "0-2"], ["--sample"]):
            result = CliRunner().invoke(group, [*run, *more])
            assert result.exception is None, result.exception
    return bench_in(root)


def bench_in(root: Path) -> Bench:
    """Return the runs that `make_bench` made in a folder, or in the original of this copy."""
    folders = sorted((root / "home" / "runs" / "toy").iterdir())
    found = {record_of(folder)["synthetic"]: folder for folder in folders}
    real = [folder for folder in folders if not record_of(folder)["synthetic"]]
    real.sort(key=lambda folder: int(record_of(folder)["seeds"]["seed"]))
    return Bench(root / "home", root / "registry", root / "code", tuple(real), found[True])


@contextlib.contextmanager
def without_staging(root: Path) -> Iterator[None]:
    """Let runs use toy data with the registry's digest, and know the commit of `code`."""
    manifest = load_descriptor(Registry(root / "registry"), "toy_points", "1.0").manifest
    assert manifest is not None
    commit = git(root / "code", "rev-parse", "HEAD").strip()
    staged = partial(toy_source, digest=f"sha256:{manifest.digest}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sciml_data.bench.stage", staged)
        patch.setattr(machine, "_checkout", lambda _root: (commit, False, None))
        yield


def record_of(folder: Path, name: str = "record.json") -> dict[str, Any]:
    """Return a record as it stands."""
    return dict(json.loads((folder / name).read_text(encoding="utf-8")))


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a document as our files are written."""
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def change_record(
    folder: Path, change: Callable[[dict[str, Any]], object], name: str = "record-1.json"
) -> dict[str, Any]:
    """Put a packed record through a function, compute its digest anew, and return it."""
    record = record_of(folder, name)
    change(record)
    record["record_digest"] = record_digest(record)
    write_json(folder / name, record)
    return record


def list_anew(folder: Path) -> None:
    """Write the manifest of a folder anew, as whoever hides a change would."""
    (folder / "manifest.csv").write_text(own_manifest(folder).dump(), encoding="utf-8")


def sha256(path: Path) -> str:
    """Return the hash of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def kinds(verdict: Mapping[str, Any]) -> set[str]:
    """Return the names of what is wrong."""
    return {problem["kind"] for problem in verdict["problems"]}


def change_text(path: Path, old: str, new: str) -> None:
    """Replace a text that has to be there, once."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def better(record: dict[str, Any]) -> None:
    """Give the model a better score than it has."""
    row = next(r for r in record["metrics"] if (r["metric_id"], r["part"]) == ("explained", "test"))
    row["score"] += 0.1
    for target in record["targets"]:
        if (target["metric"], target["part"]) == ("explained", "test"):
            target["score"] = row["score"]


def hide(folder: Path, number: int = 1) -> None:
    """Make log, README and manifest anew from a changed record, as its forger would."""
    record = record_of(folder, f"record-{number}.json")
    log = log_text(record, Submitter("lab", "node-a"))
    (folder / f"result-{number}.txt").write_text(log, encoding="utf-8")
    readme = folder / "README.md"
    text = readme.read_text(encoding="utf-8")
    start, end = text.index("| Measurement name"), text.index("- data: ")
    table = policy_table([record])
    readme.write_text(f"{text[:start]}{table}\n\n{text[end:]}", encoding="utf-8")
    list_anew(folder)
