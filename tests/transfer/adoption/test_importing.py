"""A folder that a user has becomes a dataset's native files, whole and right or not at all."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sciml_data import adopt_dataset
from sciml_data.cli.adopt import command as adopt_command
from sciml_data.cli.get import command as get_command
from sciml_data.cli.pin import command as pin_command
from sciml_data.cli.verify import command as verify_command
from sciml_data.errors import (
    CallError,
    LockedError,
    NoSpaceError,
    SciMLDataError,
    VerificationError,
)
from sciml_data.home import Home, find_home
from sciml_data.registry.descriptor import Descriptor
from sciml_data.registry.manifest import manifest_of, read_manifest
from sciml_data.testing.datasets import write_dataset, write_files, write_unpinned
from sciml_data.transfer.adoption import adopt
from sciml_data.transfer.download import StatCache
from sciml_data.transfer.listing import read_listing
from sciml_data.transfer.verification import load_fetched, verify
from tests.support.downloads import contents

FILES = {"train/0.bin": b"0123456789", "train/1.bin": b"9876543210", "test/a.bin": b"a"}
MEMORY = Path("/dev/shm")  # noqa: S108 (another file system, in folders of our own)
EXPECTED = {
    "files": {"train/*.bin": {"count": 2, "bytes_each": 10}, "test/*.bin": {"count": 1}},
    "total_bytes": {"least": 21, "most": 21},
}


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SCIML_DATA_REGISTRY", str(tmp_path / "registry"))
    return tmp_path / "registry"


@pytest.fixture
def pinned(registry: Path) -> Descriptor:
    return write_dataset(registry, FILES, mirrors=[{"": "https://one.example/bucket/data/"}])


@pytest.fixture
def unpinned(registry: Path) -> Descriptor:
    return write_unpinned(
        registry,
        mirrors=[{"": "https://one.example/bucket/"}],
        splits={"all": ["train/*.bin", "test/*.bin"]},
        expected=EXPECTED,
    )


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The folder of a user."""
    write_files(tmp_path / "mine", FILES)
    return tmp_path / "mine"


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(adopt_command, arguments)
    if isinstance(result.exception, SciMLDataError):
        raise result.exception
    assert result.exception is None
    return result


def problems_of(error: pytest.ExceptionInfo[VerificationError]) -> list[tuple[str, str]]:
    return [(problem.kind, problem.place) for problem in error.value.problems]


def test_a_pinned_folder_is_adopted_without_a_copy(
    pinned: Descriptor, home: Home, source: Path
) -> None:
    fetched = adopt(pinned, home, source)

    assert contents(fetched.root) == FILES
    assert all((fetched.root / path).samefile(source / path) for path in FILES)
    assert not fetched.folder.partial.exists()
    assert verify(fetched, full=True).manifest == pinned.manifest
    shutil.rmtree(source)
    assert contents(fetched.root) == FILES


def test_what_was_hashed_is_not_hashed_again_by_verify(
    pinned: Descriptor, home: Home, source: Path
) -> None:
    fetched = adopt(pinned, home, source)

    receipt = StatCache(fetched.folder.stat_cache, fetched.folder.native)
    for entry in fetched.manifest:
        assert receipt.has(entry.path, entry.hash, (fetched.root / entry.path).lstat())


def test_an_unpinned_folder_counts_from_then_on(
    unpinned: Descriptor, home: Home, source: Path, registry: Path
) -> None:
    fetched = adopt(unpinned, home, source)

    folder = fetched.folder
    assert read_manifest(folder.manifest) == manifest_of(folder.native) == fetched.manifest
    listing = read_listing(folder.listing)
    assert listing is not None
    assert {one.path: one.size_bytes for one in listing.files} == {
        path: len(content) for path, content in FILES.items()
    }
    runner = CliRunner()
    assert runner.invoke(verify_command, ["tiny", "--full"]).exit_code == 0
    again = runner.invoke(get_command, ["tiny", "--mirror", f"file:{source}"])
    assert "3 present, 0 files to fetch" in again.stderr
    pin = runner.invoke(pin_command, ["tiny", "--registry", str(registry)])
    assert pin.stdout.startswith("Pin tiny 1.0: 3 files, 21 bytes\n")
    (source / "test/a.bin").write_bytes(b"b")  # the other name of the same file
    changed = runner.invoke(verify_command, ["tiny"])
    assert "changed    test/a.bin" in str(changed.exception)


def test_a_copy_is_of_its_own(pinned: Descriptor, home: Home, source: Path) -> None:
    fetched = adopt(pinned, home, source, copy=True)

    assert contents(fetched.root) == FILES
    assert not any((fetched.root / path).samefile(source / path) for path in FILES)
    (source / "test/a.bin").write_bytes(b"b")
    verify(fetched, full=True)


@pytest.mark.parametrize("copy", [False, True])
def test_everything_that_differs_is_named_at_once_and_nothing_is_adopted(
    pinned: Descriptor, home: Home, source: Path, *, copy: bool
) -> None:
    (source / "train/0.bin").write_bytes(b"012345678x")
    (source / "train/1.bin").unlink()
    write_files(source, {"notes.txt": b"mine", "train/2.bin": b"2"})
    lines: list[str] = []

    with pytest.raises(VerificationError) as error:
        adopt(pinned, home, source, copy=copy, log=lines.append)

    assert problems_of(error) == [
        ("unexpected", "notes.txt"),
        ("changed", "train/0.bin"),
        ("missing", "train/1.bin"),
        ("unexpected", "train/2.bin"),
    ]
    assert "sha256" in error.value.problems[1].message
    assert "--ignore GLOB" in error.value.hint
    assert lines[1] == "3 problems so far; the other files are checked, too:"
    assert "  missing    train/1.bin  10 bytes expected" in lines
    folder = home.dataset("tiny", "1.0")
    assert not folder.native.exists()
    with pytest.raises(CallError, match="is not in"):
        load_fetched(pinned, folder)


def test_an_unpinned_folder_that_is_not_as_expected_is_refused(
    unpinned: Descriptor, home: Home, source: Path
) -> None:
    (source / "train/1.bin").write_bytes(b"short")
    (source / "test/a.bin").unlink()
    write_files(source, {"train/2.txt": b"?"})

    with pytest.raises(VerificationError) as error:
        adopt(unpinned, home, source)

    assert [(one.kind, one.place, one.message) for one in error.value.problems] == [
        ("expected", "tiny", "train/*.bin: 10 bytes each expected; other sizes: train/1.bin (5)"),
        ("expected", "tiny", "test/*.bin: 1 file expected, 0 listed"),
        ("expected", "tiny", "between 21 and 21 bytes in all expected, 15 listed"),
        ("unexpected", "train/2.txt", "1 bytes, not a file of the dataset"),
    ]
    assert not home.dataset("tiny", "1.0").listing.exists()


def test_what_is_ignored_or_hidden_is_left(pinned: Descriptor, home: Home, source: Path) -> None:
    write_files(source, {"notes.txt": b"", "logs/1.log": b"", ".git/config": b"", "test/.x": b""})

    fetched = adopt(pinned, home, source, ignore=["*.txt", "logs/**"])

    assert contents(fetched.root) == FILES


def test_a_clone_of_git_annex_is_adopted_through_its_links(
    pinned: Descriptor, home: Home, source: Path
) -> None:
    objects = source / ".git/annex/objects"
    for number, path in enumerate(FILES):
        key = objects / str(number) / "key"
        key.parent.mkdir(parents=True)
        (source / path).rename(key)
        key.chmod(0o444)
        (source / path).symlink_to(os.path.relpath(key, (source / path).parent))

    fetched = adopt(pinned, home, source)

    assert contents(fetched.root) == FILES
    assert not any(path.is_symlink() for path in fetched.root.rglob("*"))
    verify(fetched, full=True)


def test_a_link_to_nothing_and_a_link_to_a_folder_are_named(
    pinned: Descriptor, home: Home, source: Path, tmp_path: Path
) -> None:
    (source / "train/0.bin").unlink()
    (source / "train/0.bin").symlink_to("nothing")
    (source / "test").rename(tmp_path / "elsewhere")
    (source / "test").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(VerificationError) as error:
        adopt(pinned, home, source)

    assert [(one.place, one.message) for one in error.value.problems] == [
        ("test", "a link to a folder, not followed"),
        ("test/a.bin", "1 bytes expected"),
        ("train/0.bin", "a link to a missing file (with git-annex: `datalad get` it)"),
    ]


@pytest.mark.parametrize("prefix", ["one.example/bucket/data", "bucket/data", ""])
def test_a_folder_may_be_laid_out_as_a_mirror(
    registry: Path, home: Home, tmp_path: Path, prefix: str
) -> None:
    mirrors = [
        {
            "train/": "https://one.example/bucket/data/one-day/",
            "test/": "https://one.example/bucket/data/ssts/",
        }
    ]
    descriptor = write_dataset(registry, FILES, mirrors=mirrors)
    renamed = {
        path.replace("train/", "one-day/").replace("test/", "ssts/"): content
        for path, content in FILES.items()
    }
    layout = renamed if prefix.startswith("one") else FILES
    write_files(tmp_path / "mine" / prefix, layout)
    root = tmp_path / "mine" if prefix.startswith("one") else tmp_path / "mine" / prefix

    assert contents(adopt(descriptor, home, root).root) == FILES


def test_a_killed_call_goes_on_with_what_was_not_read(
    pinned: Descriptor, home: Home, source: Path
) -> None:
    staging = home.dataset("tiny", "1.0").partial / "adopt"
    read: list[int] = []

    def kill(done: int, total: int) -> None:
        read.append(total)
        if done > 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        adopt(pinned, home, source, jobs=1, progress=kill)
    assert (staging / "receipt.json").is_file()
    assert not home.dataset("tiny", "1.0").native.exists()

    adopt(pinned, home, source, progress=lambda _done, total: read.append(total))

    assert read[0] == 21
    assert read[-1] < 21
    assert contents(home.dataset("tiny", "1.0").native) == FILES


KILLED = """
import os, signal, sys
from pathlib import Path
from sciml_data.transfer.adoption import adopt
from sciml_data.registry.descriptor import read_descriptor
from sciml_data.home import Home
def progress(done, total):
    if done >= int(sys.argv[4]):
        os.kill(os.getpid(), signal.SIGKILL)
adopt(read_descriptor(Path(sys.argv[1])), Home(Path(sys.argv[2])), Path(sys.argv[3]),
      copy=sys.argv[5] == "copy", jobs=1, progress=progress)
"""


@pytest.mark.parametrize("how", ["link", "copy"])
def test_a_kill_at_any_moment_adopts_nothing_and_loses_little(
    registry: Path, home: Home, tmp_path: Path, how: str
) -> None:
    files = {f"{number}.bin": bytes([number]) * 3_000_000 for number in range(6)}
    descriptor = write_dataset(registry, files)
    write_files(tmp_path / "mine", files)
    folder = home.dataset("tiny", "1.0")
    totals: list[int] = []

    for done in (1, 4_000_000, 7_000_000):
        arguments = [descriptor.folder, home.root, tmp_path / "mine", done, how]
        process = subprocess.run([sys.executable, "-c", KILLED, *map(str, arguments)], check=False)
        assert process.returncode == -signal.SIGKILL
        assert not folder.native.exists()
    adopt(
        descriptor,
        home,
        tmp_path / "mine",
        copy=how == "copy",
        progress=lambda _done, total: totals.append(total),
    )

    assert set(totals) == {(6 - 0 - 1 - 2) * 3_000_000}
    assert contents(folder.native) == files
    assert not folder.partial.exists()


def test_a_file_that_changed_since_the_kill_is_read_again(
    pinned: Descriptor, home: Home, source: Path
) -> None:
    (source / "train/1.bin").write_bytes(b"x" * 10)
    with pytest.raises(VerificationError):
        adopt(pinned, home, source)
    totals: list[int] = []

    (source / "train/1.bin").unlink()
    (source / "train/1.bin").write_bytes(FILES["train/1.bin"])
    adopt(pinned, home, source, progress=lambda _done, total: totals.append(total))

    assert set(totals) == {10}


def test_another_folder_after_a_failure_leaves_nothing_of_the_first(
    unpinned: Descriptor, home: Home, source: Path, tmp_path: Path
) -> None:
    write_files(source, {"train/2.bin": b"0123456789"})
    with pytest.raises(VerificationError):
        adopt(unpinned, home, source)
    other = {path: content[::-1] for path, content in FILES.items()}
    write_files(tmp_path / "other", other)

    assert contents(adopt(unpinned, home, tmp_path / "other").root) == other


def test_another_file_system_is_said_with_what_to_do(
    pinned: Descriptor, home: Home, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr("os.link", refuse)
    with pytest.raises(CallError, match="another file system than the home") as error:
        adopt(pinned, home, source)

    assert "--copy" in error.value.hint
    assert "--home DIR" in error.value.hint
    assert contents(adopt(pinned, home, source, copy=True).root) == FILES


@pytest.mark.skipif(not MEMORY.is_dir(), reason="needs a second file system")
def test_a_real_other_file_system_cannot_be_linked_to(
    pinned: Descriptor, home: Home, source: Path
) -> None:
    if source.stat().st_dev == MEMORY.stat().st_dev:
        pytest.skip("there is one file system only")
    with tempfile.TemporaryDirectory(dir=MEMORY) as place:
        write_files(Path(place), FILES)
        with pytest.raises(CallError, match="another file system than the home"):
            adopt(pinned, home, Path(place))
        assert contents(adopt(pinned, home, Path(place), copy=True).root) == FILES


def test_a_disk_that_does_not_hold_a_copy_is_said_in_a_sentence(
    pinned: Descriptor, home: Home, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(source)
    monkeypatch.setattr("shutil.disk_usage", lambda _path: usage._replace(free=20))

    with pytest.raises(NoSpaceError, match=r"copies of 3 files need 21 bytes .* 20 bytes free"):
        adopt(pinned, home, source, copy=True)

    assert contents(adopt(pinned, home, source).root) == FILES  # a second name needs no room


@pytest.mark.parametrize(
    ("place", "what"),
    [
        ("nowhere", "no such folder"),
        ("mine/test/a.bin", "is not a folder; the folder with the files of tiny 1.0 is expected"),
        ("empty", "is empty"),
        ("home/stuff", "is in the home"),
        ("strange", "no file in .* belongs to the dataset; expected are test/a.bin, train/0.bin"),
    ],
)
def test_folders_that_cannot_be_adopted(
    pinned: Descriptor, home: Home, source: Path, tmp_path: Path, place: str, what: str
) -> None:
    (tmp_path / "empty").mkdir()
    write_files(tmp_path, {"home/stuff/a": b"", "strange/a": b""})

    with pytest.raises(CallError, match=what):
        adopt(pinned, home, tmp_path / place)

    assert not home.dataset("tiny", "1.0").native.exists()


def test_what_is_here_already_is_not_adopted_again(
    pinned: Descriptor, home: Home, source: Path
) -> None:
    adopt(pinned, home, source)

    with pytest.raises(CallError, match=r"tiny 1\.0 is here already: 3 files"):
        adopt(pinned, home, source)


def test_a_home_inside_the_folder_is_not_looked_into(pinned: Descriptor, source: Path) -> None:
    home = Home(source / "home")

    assert contents(adopt(pinned, home, source).root) == FILES


def test_one_process_at_a_time(pinned: Descriptor, home: Home, source: Path) -> None:
    hurried = find_home(home, wait=False)
    with (
        home.dataset("tiny", "1.0").lock("test"),
        pytest.raises(LockedError, match="cannot adopt"),
    ):
        adopt(pinned, hurried, source)


def test_a_file_that_is_written_to_meanwhile_is_named(
    pinned: Descriptor, home: Home, source: Path
) -> None:
    def touch(_done: int, _total: int) -> None:
        os.utime(source / "train/0.bin", ns=(1, 1))
        os.utime(source / "train/1.bin", ns=(1, 1))
        os.utime(source / "test/a.bin", ns=(1, 1))

    with pytest.raises(VerificationError) as error:
        adopt(pinned, home, source, jobs=1, progress=touch)

    assert "was written to while it was read" in {p.message for p in error.value.problems}


def test_a_live_version_has_no_files_to_adopt(source: Path) -> None:
    with pytest.raises(CallError, match="has no files to adopt"):
        adopt_dataset("tevolop_socal", source, version="live")


def test_an_unknown_id_is_named(registry: Path, pinned: Descriptor, source: Path) -> None:
    with pytest.raises(CallError, match=r"has no dataset 'tinny' .did you mean 'tiny'"):
        adopt_dataset("tinny", source)


def test_the_verb_prints_the_folder_or_json(pinned: Descriptor, home: Home, source: Path) -> None:
    result = run("tiny", str(source), "--json")

    native = home.dataset("tiny", "1.0").native
    found = json.loads(result.stdout)
    assert found["folder"] == str(native)
    assert [one["path"] for one in found["files"]] == sorted(FILES)
    assert ": 3 files of the dataset" in result.stderr
    assert "tiny 1.0: 3 files, 21 bytes, equal to the manifest" in result.stderr


def test_the_verb_says_that_nobody_vouches_for_an_unpinned_folder(
    unpinned: Descriptor, home: Home, source: Path
) -> None:
    result = run("tiny", str(source))

    assert result.stdout.strip() == str(home.dataset("tiny", "1.0").native)
    assert "unpinned: the registry has no checksums" in result.stderr


@pytest.mark.reference
def test_a_mirror_of_the_real_catalogues_is_adopted(shared: Path, home: Home) -> None:
    if (shared / "mirror").stat().st_dev != home.root.parent.stat().st_dev:
        pytest.skip("the mirror lies on another file system")

    fetched = adopt_dataset("tevolop_socal", shared / "mirror", version="1.0")

    assert len(fetched.manifest) == 100
    verify(fetched, full=True)
