"""What `new` finds in a folder: hashes with progress, and arrays of HDF5 files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from sciml_data.curate.inventory import Proposal, propose_arrays, take_inventory
from sciml_data.errors import CallError
from sciml_data.registry import TO_FILL
from sciml_data.registry.manifest import manifest_of
from sciml_data.testing.datasets import write_files


def write(path: Path, **arrays: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for key, values in arrays.items():
            file[key.replace("__", "/")] = values


def proposed(folder: Path) -> Proposal | None:
    return propose_arrays(folder, manifest_of(folder))


def test_files_are_hashed_and_their_bytes_counted(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/1.bin").write_bytes(b"one")
    (tmp_path / "2.bin").write_bytes(b"twice")
    calls: list[tuple[int, int]] = []

    manifest = take_inventory(tmp_path, lambda done, total: calls.append((done, total)))

    assert manifest == manifest_of(tmp_path)
    assert calls == [(5, 8), (8, 8)]


def test_the_bytes_of_a_large_file_are_counted_as_they_are_read(tmp_path: Path) -> None:
    (tmp_path / "large.bin").write_bytes(bytes(2_500_000))
    calls: list[int] = []

    manifest = take_inventory(tmp_path, lambda done, _: calls.append(done))

    assert manifest == manifest_of(tmp_path)
    assert calls == [1 << 20, 2 << 20, 2_500_000]


def test_a_folder_without_files_has_no_inventory(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    for name, wrong in (("none", "no such folder"), ("empty", "has no files")):
        with pytest.raises(CallError, match=wrong):
            take_inventory(tmp_path / name)


def test_folders_are_splits(tmp_path: Path) -> None:
    for split, count in (("train", 6), ("test", 2)):
        write(tmp_path / split / "x.h5", pictures=np.zeros((count, 4, 5), "f4"))
        write(tmp_path / split / "y.h5", labels=np.zeros(count, "i2"))

    proposal = proposed(tmp_path)

    assert proposal is not None
    assert proposal.splits == {
        "test": ["test/x.h5", "test/y.h5"],
        "train": ["train/x.h5", "train/y.h5"],
    }
    assert proposal.block["arrays"]["train"] == {
        "pictures": {
            "file": "train/x.h5",
            "key": "pictures",
            "shape": [None, 4, 5],
            "dtype": ["float32"],
        },
        "labels": {"file": "train/y.h5", "key": "labels", "shape": [None], "dtype": ["int16"]},
    }
    assert list(proposal.variables) == ["sample", "pictures", "labels"]
    assert proposal.variables["pictures"]["dims"] == [
        "sample",
        f"{TO_FILL}: name of the axis of length 4",
        f"{TO_FILL}: name of the axis of length 5",
    ]
    assert proposal.left_out == ()


def test_files_with_the_same_arrays_are_splits(tmp_path: Path) -> None:
    for split in ("train", "test"):
        write(tmp_path / f"{split}.h5", x=np.zeros((3, 2)), more__y=np.zeros(3))

    proposal = proposed(tmp_path)

    assert proposal is not None
    assert set(proposal.block["arrays"]) == {"train", "test"}
    assert set(proposal.variables) == {"sample", "x", "more_y"}


def test_files_with_different_arrays_are_one_split(tmp_path: Path) -> None:
    write(tmp_path / "noise.h5", images=np.zeros((3, 2)))
    write(tmp_path / "clean.h5", images=np.zeros((3, 2), "f4"))

    proposal = proposed(tmp_path)

    assert proposal is not None
    assert set(proposal.block["arrays"]) == {"all"}
    assert set(proposal.variables) == {"sample", "clean_images", "noise_images"}


def test_arrays_that_the_reader_does_not_take_stay_native(tmp_path: Path) -> None:
    write(tmp_path / "a.h5", x=np.zeros((3, 2)), y=np.zeros(3), axis=np.arange(2), name=b"text")
    (tmp_path / "notes.txt").write_text("words")

    proposal = proposed(tmp_path)

    assert proposal is not None
    assert set(proposal.variables) == {"sample", "x", "y"}
    assert proposal.left_out == ("a.h5:axis (2,)",)


def test_an_array_called_sample_is_not_an_axis(tmp_path: Path) -> None:
    write(tmp_path / "a.h5", sample=np.zeros((3, 2)))

    proposal = proposed(tmp_path)

    assert proposal is not None
    assert proposal.variables["native_sample"]["dims"] == ["native_sample"]
    assert proposal.variables["sample"]["dims"][0] == "native_sample"


def test_without_arrays_nothing_is_proposed(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("time,height\n0,1\n")
    assert proposed(tmp_path) is None

    (tmp_path / "cut.h5").write_bytes(b"\x89HDF\r\n\x1a\n and no more")
    assert proposed(tmp_path) is None


def test_one_file_a_sample_is_not_proposed(tmp_path: Path) -> None:
    for number in range(33):
        write(tmp_path / f"{number}.h5", x=np.zeros((3, 2)))

    assert proposed(tmp_path) is None


def test_links_of_a_snapshot_are_files_and_a_clone_is_left_out(tmp_path: Path) -> None:
    write_files(
        tmp_path,
        {"blobs/ab": b"waves", "s/.git/hooks/run": b"", "s/.datalad/config": b"", "s/b": b"b"},
    )
    (tmp_path / "s" / "a.bin").symlink_to("../blobs/ab")
    lines: list[str] = []

    manifest = take_inventory(tmp_path / "s", log=lines.append)

    assert [(entry.path, entry.size_bytes) for entry in manifest] == [("a.bin", 5), ("b", 1)]
    assert lines == ["2 hidden or system files left out: .datalad, .git"]


def test_every_link_and_name_that_cannot_be_listed_is_named(tmp_path: Path) -> None:
    write_files(tmp_path, {"a/b.bin": b"", os.fsdecode(b"\xe9.csv"): b""})
    (tmp_path / "annexed").symlink_to(".git/annex/objects/none")
    (tmp_path / "folder").symlink_to("a")

    with pytest.raises(CallError) as error:
        take_inventory(tmp_path)

    assert {(problem.kind, problem.place) for problem in error.value.problems} == {
        ("link", "annexed"),
        ("unexpected", "folder"),
        ("name", r"\xe9.csv"),
    }
