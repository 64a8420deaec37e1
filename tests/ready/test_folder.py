"""The folder of ready files: unchanged files are kept, and the bytes do not depend on the order."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import xarray as xr

from sciml_data.errors import CallError
from sciml_data.home import DatasetFolder
from sciml_data.ready import convert, find_converted, open_ready, ready_folder, shards_of_split
from sciml_data.registry.descriptor import Descriptor, load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.registry.manifest import hash_file, manifest_of
from sciml_data.registry.stages import Converted, Verified
from sciml_data.synthetic import load_generator
from tests.support.slstr_scenes import SAMPLE, SEED, native_of, scene_path


@pytest.fixture(scope="module")
def descriptor() -> Descriptor:
    return load_descriptor(find_registry(), "cloud_slstr_ds1", "1.0")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("scenes")
    load_generator("slstr_hdf5").write_sample(root, {"sample": SAMPLE}, seed=SEED)
    return root


@pytest.fixture
def whole(descriptor: Descriptor, scenes: Path, tmp_path: Path) -> Verified:
    """Return seven scenes, verified, in a folder of their own."""
    folder = folder_of(scenes, tmp_path / "data")
    return Verified(descriptor, folder, manifest_of(scenes), is_synthetic=True)


def part_of(whole: Verified, *numbers: int) -> Verified:
    native = native_of(whole.root)
    paths = [scene_path(native, number) for number in numbers]
    return replace(whole, manifest=whole.manifest.select(paths))


def folder_of(scenes: Path, root: Path) -> DatasetFolder:
    """Return a new folder of the dataset with these native files."""
    folder = DatasetFolder(root)
    folder.root.mkdir()
    folder.native.symlink_to(scenes)
    return folder


def contents(root: Path) -> dict[str, bytes]:
    """Return the bytes of all files but the stat cache, which has times and inodes."""
    paths = [path for path in root.iterdir() if path.name != "verified.jsonl"]
    return {path.name: path.read_bytes() for path in paths}


def inodes(converted: Converted) -> dict[str, tuple[int, int]]:
    """Return what tells a file that was made anew: the disk may give its inode out again."""
    states = {path.name: path.stat() for path in converted.root.glob("*.nc")}
    return {name: (state.st_ino, state.st_mtime_ns) for name, state in states.items()}


def test_what_was_converted_is_kept_when_more_was_fetched(whole: Verified, tmp_path: Path) -> None:
    before = inodes(convert(part_of(whole, 0, 5)))
    lines: list[str] = []

    after = convert(whole, log=lines.append)

    assert len(before) == 2
    assert inodes(after).items() >= before.items()
    assert lines[0] == "2 of 7 ready files are there and are kept"
    elsewhere = folder_of(whole.root, tmp_path / "elsewhere")
    assert convert(replace(whole, folder=elsewhere)).manifest == after.manifest


def test_a_ready_file_names_its_own_native_files_only(whole: Verified) -> None:
    part = part_of(whole, 0)
    converted = convert(part)
    (entry,) = part.manifest

    with xr.open_dataset(next(converted.root.glob("*.nc")), engine="h5netcdf") as dataset:
        assert dataset.attrs["native_files"] == f"{entry.hash}  {entry.path}"
        assert dataset.attrs["native_files_sha256"] == part.manifest.digest
        assert whole.manifest.digest not in dataset.attrs.values()


def test_files_that_do_not_belong_to_the_folder_any_more_are_removed(whole: Verified) -> None:
    convert(whole)

    smaller = convert(part_of(whole, 1))

    assert len(smaller.manifest) == len(inodes(smaller)) == 1


def test_a_changed_native_file_makes_only_its_own_ready_file_again(
    whole: Verified, scenes: Path, tmp_path: Path
) -> None:
    before = convert(whole)
    first = inodes(before)
    entry = whole.manifest.entries[0]
    changed = replace(entry, hash=f"sha256:{'0' * 64}")
    manifest = replace(whole.manifest, entries=(changed, *whole.manifest.entries[1:]))

    after = inodes(convert(replace(whole, manifest=manifest)))

    assert len(after.items() - first.items()) == 1


def test_another_ready_form_makes_all_files_again(
    whole: Verified, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = part_of(whole, 0, 1)
    before = inodes(convert(part))
    monkeypatch.setattr("sciml_data.ready.conversion.READY_FORM", "99.0")

    assert not inodes(convert(part)).items() & before.items()


def test_a_release_alone_changes_no_file_of_the_folder(
    whole: Verified, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part, log = part_of(whole, 0, 1), list[str]()
    before = convert(part)
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] == "sciml_data" and hasattr(module, "__version__"):
            monkeypatch.setattr(module, "__version__", "99.0")

    kept = convert(part, log=log.append)
    elsewhere = convert(replace(part, folder=folder_of(whole.root, tmp_path / "elsewhere")))

    assert log == ["nothing to convert: 2 ready files found"]
    assert inodes(kept) == inodes(before)
    assert contents(elsewhere.root) == contents(before.root)


def test_truncated_and_removed_files_are_made_again(whole: Verified) -> None:
    part = part_of(whole, 0, 1, 2)
    converted = convert(part)
    whole_file, short, gone = sorted(converted.root.glob("*.nc"))
    short.write_bytes(short.read_bytes()[:-1])
    gone.unlink()
    (converted.root / "manifest.csv").unlink()  # as a process leaves it that is killed
    before = whole_file.stat().st_ino

    again = convert(part)

    assert whole_file.stat().st_ino == before
    assert converted.manifest == again.manifest
    assert hash_file(short) == again.manifest.by_path[short.name].hash


def test_an_incomplete_journal_line_costs_one_file(whole: Verified) -> None:
    part = part_of(whole, 0, 1, 2)
    converted = convert(part)
    notes = converted.root / "shards.jsonl"
    last = json.loads(notes.read_text().splitlines()[-1])["path"]
    notes.write_text(notes.read_text()[:-10])
    (converted.root / "manifest.csv").unlink()
    before = inodes(converted)

    again = convert(part)

    assert {last} == {name for name, _ in inodes(again).items() - before.items()}
    assert converted.manifest == again.manifest


def test_temporary_files_of_a_killed_process_are_removed(whole: Verified) -> None:
    part = part_of(whole, 0)
    root = ready_folder(whole.folder, {})
    root.mkdir(parents=True)
    (root / ".training-a.nc.0123.unfinished").write_bytes(b"half")

    convert(part)

    assert {p.name for p in root.iterdir() if p.name.startswith(".")} == set()


def test_splits_have_the_names_of_the_descriptor(whole: Verified) -> None:
    with_one = replace(whole.descriptor, splits={"all": ("**",)})
    as_published = shards_of_split(convert(whole))
    as_one = shards_of_split(convert(replace(whole, descriptor=with_one)))

    assert {name: len(files) for name, files in as_published.items()} == {
        "inference": 2,
        "training": 5,
    }
    assert list(as_one) == ["all"]


def test_a_split_without_files_is_distinguished_from_an_unknown_split(
    whole: Verified,
) -> None:
    converted = convert(part_of(whole, 0))

    with pytest.raises(CallError, match="no file of split 'inference' was fetched"):
        open_ready(converted, split="inference")
    with pytest.raises(CallError, match="there is no split 'inferense'"):
        open_ready(converted, split="inferense")


def test_while_more_is_made_nothing_incomplete_can_be_opened(
    whole: Verified, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert(part_of(whole, 0))
    existing: list[Converted | None] = []

    convert(
        whole,
        progress=lambda *_: existing.append(find_converted(whole.descriptor, whole.folder)),
    )

    assert existing == [None] * 7  # at the start, and after each of the six files
