"""Conversion in shares: the bytes of one process, also after kills and with double starts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sciml_data.errors import CallError, ConversionError, LockedError
from sciml_data.home import DatasetFolder, Waiting
from sciml_data.ready import (
    convert,
    convert_share,
    find_converted,
    finish_conversion,
    ready_folder,
    ready_problems,
)
from sciml_data.ready.folder import chunk_indexes
from sciml_data.ready.job_array import parse_share
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.registry.manifest import Manifest, hash_file
from sciml_data.registry.stages import Verified
from tests.support.shared_library import compiled
from tests.support.slstr_scenes import write_many

SCENES = 7
# Converts a share and prints a line for each finished file. With a fourth argument, it waits for a
# line of standard input after each of them.
SHARE = """
import sys
from pathlib import Path
from sciml_data.home import DatasetFolder, Waiting
from sciml_data.ready import convert_share
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.registry.manifest import manifest_of
from sciml_data.registry.stages import Verified
def progress(done, total):
    print(done, flush=True)
    if len(sys.argv) > 3:
        sys.stdin.readline()
folder = DatasetFolder(Path(sys.argv[1]), waiting=Waiting(is_on=False))
descriptor = load_descriptor(find_registry(), "cloud_slstr_ds1", "1.0")
verified = Verified(descriptor, folder, manifest_of(folder.native), is_synthetic=True)
convert_share(verified, sys.argv[2], progress=progress)
"""


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_many(tmp_path_factory.mktemp("scenes"), SCENES).root


@pytest.fixture(scope="module")
def manifest(scenes: Path) -> Manifest:
    from sciml_data.registry.manifest import manifest_of

    return manifest_of(scenes)


@pytest.fixture
def verified(scenes: Path, manifest: Manifest, tmp_path: Path) -> Verified:
    return at(tmp_path / "data", scenes, manifest)


def at(root: Path, scenes: Path, manifest: Manifest) -> Verified:
    """Return the scenes in a folder of their own; nothing waits for another process."""
    root.mkdir()
    folder = DatasetFolder(root, waiting=Waiting(is_on=False))
    folder.native.symlink_to(scenes)
    descriptor = load_descriptor(find_registry(), "cloud_slstr_ds1", "1.0")
    return Verified(descriptor, folder, manifest, is_synthetic=True)


@pytest.fixture(scope="module")
def expected(
    scenes: Path, manifest: Manifest, tmp_path_factory: pytest.TempPathFactory
) -> Manifest:
    """Return the ready files of a conversion in one process."""
    return convert(at(tmp_path_factory.mktemp("alone") / "data", scenes, manifest)).manifest


def start(
    verified: Verified, share: str, *, pauses: bool = False, preload: str = ""
) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", SHARE, str(verified.folder.root), share]
    return subprocess.Popen(
        words + ["pause"] * pauses,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "LD_PRELOAD": preload},
    )


def read_lines(process: subprocess.Popen[str], count: int) -> None:
    assert process.stdout is not None
    for _ in range(count):
        assert process.stdout.readline(), process.communicate()[1]


def go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def stamps(verified: Verified) -> dict[str, tuple[int, int]]:
    states = {path.name: path.stat() for path in ready_folder(verified.folder, {}).glob("*.nc")}
    return {name: (state.st_ino, state.st_mtime_ns) for name, state in states.items()}


def assert_complete(verified: Verified, expected: Manifest) -> None:
    """Check bytes and state of finished ready files: nothing tells that there were shares."""
    converted = find_converted(verified.descriptor, verified.folder)
    assert converted is not None
    assert converted.manifest == expected
    assert {e.path: e.hash for e in expected} == {
        path.name: hash_file(path) for path in converted.root.glob("*.nc")
    }
    assert {path.name for path in converted.root.iterdir()} - expected.by_path.keys() == {
        "manifest.csv", "conversion.json", "shards.jsonl", "verified.jsonl",
    }  # fmt: skip
    read: list[int] = []
    assert ready_problems(converted, progress=lambda done, _: read.append(done)) == []
    assert read == []  # the stat caches of all processes were kept


def test_processes_with_a_share_each_make_the_bytes_of_one(
    verified: Verified, expected: Manifest
) -> None:
    processes = [start(verified, f"{number}/3") for number in (1, 2, 3)]
    ends = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], ends
    assert find_converted(verified.descriptor, verified.folder) is None
    before = stamps(verified)

    finished = finish_conversion(verified)

    assert finished.manifest == expected
    assert stamps(verified) == before
    assert_complete(verified, expected)


def test_a_killed_process_loses_the_file_that_it_was_making(
    verified: Verified, expected: Manifest
) -> None:
    convert_share(verified, "2/2")
    process = start(verified, "1/2", pauses=True)
    read_lines(process, 1)
    for _ in range(2):
        go_on(process)
        read_lines(process, 1)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=20)
    before = stamps(verified)
    root = ready_folder(verified.folder, {})
    (root / f".{expected.entries[0].path}.1234.unfinished").write_bytes(b"half of a file")
    lines: list[str] = []

    convert_share(verified, "1/2", log=lines.append)

    # 2 files of share 1/2 were finished. The third may have got its name, but was in no journal.
    assert lines[0] == "2 of 4 ready files of share 1/2 are there and are kept"
    assert len(before.items() & stamps(verified).items()) == 2 + 3
    assert not list(root.glob(".*"))
    finish_conversion(verified)
    assert_complete(verified, expected)


def test_a_whole_conversion_keeps_what_shares_have_made(
    verified: Verified, expected: Manifest
) -> None:
    convert_share(verified, "2/3")
    before = stamps(verified)
    lines: list[str] = []

    convert(verified, log=lines.append)

    assert lines[0] == "2 of 7 ready files are there and are kept"
    assert stamps(verified).items() >= before.items()
    assert_complete(verified, expected)


def test_shares_of_another_number_keep_what_earlier_ones_have_made(
    verified: Verified, expected: Manifest
) -> None:
    convert_share(verified, "1/2")
    before = stamps(verified)
    for number in range(1, 9):  # the eighth has no file
        convert_share(verified, f"{number}/8")

    finish_conversion(verified)

    assert stamps(verified).items() >= before.items()
    assert_complete(verified, expected)


def test_chunk_indexes_of_all_processes_are_kept_once(
    verified: Verified, expected: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sciml_data.ready.shards.MIN_INDEXED_BYTES", 1)
    for share in ("1/2", "2/2"):
        convert_share(verified, share)
    root = ready_folder(verified.folder, {})
    for path in root.glob("shares/1-of-2.*/chunks.jsonl"):  # as if two processes had made these
        path.write_text(path.read_text() * 2)

    finish_conversion(verified)

    indexed = [(index.path, index.hash) for index in chunk_indexes(root)]
    assert sorted(indexed) == [(entry.path, entry.hash) for entry in expected]


def test_finishing_names_the_shares_with_missing_files_and_makes_none(verified: Verified) -> None:
    convert_share(verified, "2/3")
    convert_share(verified, "3/3")
    before = stamps(verified)

    with pytest.raises(ConversionError) as error:
        finish_conversion(verified)

    (problem,) = error.value.problems
    assert (problem.kind, problem.place) == ("missing", "share 1/3")
    assert problem.message.startswith("3 of 3 ready files")
    assert "--share 1/3" in error.value.hint
    assert stamps(verified) == before
    assert find_converted(verified.descriptor, verified.folder) is None


def test_finishing_without_shares_names_the_files(verified: Verified) -> None:
    with pytest.raises(ConversionError) as error:
        finish_conversion(verified)

    assert len(error.value.problems) == SCENES
    assert "--share" not in error.value.hint


def test_a_share_of_finished_files_leaves_them_open_to_readers(
    verified: Verified, expected: Manifest
) -> None:
    convert(verified)
    lines: list[str] = []

    convert_share(verified, "1/2", log=lines.append)

    assert lines == ["nothing to convert: 4 ready files of share 1/2 found"]
    converted = find_converted(verified.descriptor, verified.folder)
    assert converted is not None
    finish_conversion(verified)
    assert_complete(verified, expected)


def test_changed_ready_files_of_a_share_are_made_again(
    verified: Verified, expected: Manifest
) -> None:
    for share in ("1/2", "2/2"):
        convert_share(verified, share)
    root = ready_folder(verified.folder, {})
    (root / expected.entries[0].path).write_bytes(b"changed")

    with pytest.raises(ConversionError) as error:
        finish_conversion(verified)
    convert_share(verified, error.value.problems[0].place.removeprefix("share "))
    finish_conversion(verified)

    assert_complete(verified, expected)


def test_while_a_share_is_converted_only_other_shares_of_its_number_are(
    verified: Verified, expected: Manifest
) -> None:
    process = start(verified, "1/2", pauses=True)
    read_lines(process, 1)
    refused: dict[str, Callable[[], Any]] = {
        f"process {process.pid} on ": lambda: convert_share(verified, "1/2"),
        "(convert share 1/2)": lambda: convert(verified),
        "works in": lambda: finish_conversion(verified),
        "converts one of 2 shares": lambda: convert_share(verified, "2/3"),
    }
    for message, action in refused.items():
        with pytest.raises(LockedError) as error:
            action()
        assert message in str(error.value)

    convert_share(verified, "2/2")

    process.communicate("\n" * SCENES, timeout=60)
    assert process.returncode == 0
    finish_conversion(verified)
    assert_complete(verified, expected)


def test_a_share_waits_for_a_whole_conversion(verified: Verified) -> None:
    with verified.folder.lock("convert"), pytest.raises(LockedError) as error:
        convert_share(verified, "1/2")

    assert "(convert)" in str(error.value)


@pytest.mark.parametrize("error", ["ENOLCK", "ENOSYS"])
def test_without_file_locks_processes_may_even_convert_the_same_share(
    verified: Verified, expected: Manifest, tmp_path: Path, error: str
) -> None:
    preload = compiled(tmp_path, f"int flock(int f, int o) {{ errno = {error}; return -1; }}")
    paused = start(verified, "1/2", pauses=True, preload=preload)
    read_lines(paused, 1)
    _, log = (again := start(verified, "1/2", preload=preload)).communicate(timeout=120)
    paused.kill()  # its lock, were it a file, would be held for ever on another computer
    paused.communicate()
    convert_share(verified, "2/2")

    assert again.returncode == 0, log
    assert not (verified.folder.root / ".lock.soft").exists()
    finish_conversion(verified)
    assert_complete(verified, expected)


@pytest.mark.parametrize("text", ["", "3", "0/3", "4/3", "1/0", "-1/3", "1/99999", "1/2/3", "a/b"])
def test_what_is_no_share_is_refused(verified: Verified, text: str) -> None:
    with pytest.raises(CallError, match="is not a share K/N"):
        convert_share(verified, text)


def test_every_file_is_in_one_share() -> None:
    names = {str(number): "" for number in range(11)}

    parts = [parse_share(f"{number}/4").of(names) for number in (1, 2, 3, 4)]

    assert sorted(name for part in parts for name in part) == sorted(names)
    assert max(map(len, parts)) - min(map(len, parts)) == 1
