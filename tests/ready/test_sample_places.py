"""Samples are read at their offsets, where that is possible; where not, nothing claims that."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from sciml_data.errors import ConversionError
from sciml_data.ready.sample_places import NOTICE_BYTES, SamplePlaces, find_places

SHAPE = (6, 4, 5)
CHUNK = (1, *SHAPE[1:])
VALUES = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
LAYOUTS = [{}, {"chunks": CHUNK}]


def write(path: Path, values: Any = VALUES, **storage: Any) -> Path:
    """Write a file with an array `a`, which does not begin at offset 0."""
    with h5py.File(path, "w") as file:
        file.create_dataset("a", data=values, **storage)
    return path


def places_in(path: Path) -> SamplePlaces:
    return find_places(path, "a", np.float32)


def read(places: SamplePlaces, rows: list[int]) -> np.ndarray[Any, Any] | None:
    """Return samples in the reverse order of `rows`, or None if HDF5 has to read them."""
    values = np.full((len(rows), *SHAPE[1:]), -1, np.float32)
    into = np.arange(len(rows))[::-1]
    return values if places.read(np.array(rows), values, into) else None


@pytest.mark.parametrize("storage", LAYOUTS)
def test_samples_are_read_without_hdf5(tmp_path: Path, storage: dict[str, Any]) -> None:
    places = places_in(write(tmp_path / "a.h5", **storage))

    values = read(places, [5, 0, 3, 0])

    assert values is not None
    np.testing.assert_array_equal(values, VALUES[[0, 3, 0, 5]])
    assert places.offsets is not None
    assert places.offsets.dtype == np.int64
    assert places.sample_bytes == VALUES[0].nbytes


@pytest.mark.parametrize("storage", LAYOUTS)
def test_a_read_that_returns_fewer_bytes_is_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, storage: dict[str, Any]
) -> None:
    places = places_in(write(tmp_path / "a.h5", **storage))
    whole = os.preadv

    def read_little(file: int, buffers: list[Any], offset: int) -> int:
        return whole(file, [buffers[0][:7]], offset)

    monkeypatch.setattr(os, "preadv", read_little)

    values = read(places, [1, 4])

    assert values is not None
    np.testing.assert_array_equal(values, VALUES[[4, 1]])


@pytest.mark.parametrize(
    "storage",
    [
        {"chunks": (2, *SHAPE[1:])},
        {"chunks": (1, 4, 1)},
        {"chunks": CHUNK, "compression": "gzip"},
        {"chunks": CHUNK, "shuffle": True},
        {"dtype": "f8"},
        {"dtype": ">f4"},
    ],
)
def test_other_layouts_are_left_to_hdf5(tmp_path: Path, storage: dict[str, Any]) -> None:
    places = places_in(write(tmp_path / "a.h5", **storage))

    assert places.offsets is None
    assert places.is_current
    places.expect(np.array([0]))
    assert read(places, [0]) is None


@pytest.mark.parametrize("storage", LAYOUTS)
@pytest.mark.parametrize("written", [[], [0, 2, 3, 4, 5]])
def test_samples_that_were_never_written_are_left_to_hdf5(
    tmp_path: Path, storage: dict[str, Any], written: list[int]
) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        array = file.create_dataset("a", SHAPE, np.float32, **storage)
        for row in written:
            array[row] = VALUES[row]

    places = places_in(tmp_path / "a.h5")

    is_whole = bool(written) and not storage  # a contiguous array gets all its bytes at once
    assert (places.offsets is not None) == is_whole


def test_a_memory_of_another_size_is_left_to_hdf5(tmp_path: Path) -> None:
    places = places_in(write(tmp_path / "a.h5"))

    assert not places.read(np.array([0]), np.empty((1, 4, 6), np.float32), np.array([0]))


def test_a_file_that_changed_or_is_absent_is_not_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5")
    places = places_in(path)
    states = [places.is_current]

    os.utime(path, ns=(0, places.state[1] + 1))
    states.append(places.is_current)
    assert read(places, [0]) is None
    path.unlink()
    states.append(places.is_current)
    assert read(places, [0]) is None
    places.expect(np.array([0]))

    assert states == [True, False, False]


def test_a_file_that_ends_too_early_is_left_to_hdf5(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", chunks=CHUNK)
    places = places_in(path)
    assert places.offsets is not None
    os.truncate(path, int(places.offsets[5]) + 10)
    state = path.stat()
    now = (state.st_size, state.st_mtime_ns, state.st_ino)
    shortened = SamplePlaces(path, now, places.offsets, places.sample_bytes)

    assert read(shortened, [0]) is not None
    assert read(shortened, [5]) is None


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(b"no HDF5")

    with pytest.raises(ConversionError, match=r"a\.h5"):
        places_in(tmp_path / "a.h5")


def test_the_system_gets_notice_of_each_byte_of_the_samples_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = np.zeros((3, NOTICE_BYTES // 2 + 100), np.float32)  # two notices and a short one
    places = places_in(write(tmp_path / "a.h5", large))
    assert places.offsets is not None
    notices: list[tuple[int, int, int]] = []
    tell = os.posix_fadvise

    def record(file: int, start: int, size: int, advice: int) -> None:
        notices.append((start, size, advice))
        tell(file, start, size, advice)

    monkeypatch.setattr(os, "posix_fadvise", record)

    places.expect(np.array([2, 0]))

    assert {advice for *_, advice in notices} == {os.POSIX_FADV_WILLNEED}
    assert max(size for _, size, _ in notices) == NOTICE_BYTES
    expected = [
        (int(places.offsets[row]) + done, min(NOTICE_BYTES, places.sample_bytes - done))
        for row in (2, 0)
        for done in range(0, places.sample_bytes, NOTICE_BYTES)
    ]
    assert [(start, size) for start, size, _ in notices] == expected
