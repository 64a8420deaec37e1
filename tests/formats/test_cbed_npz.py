"""npz files are read as if somebody wanted to harm: what is not as published is named, not run."""

from __future__ import annotations

import io
import pickle
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from sciml_data.errors import CallError, NativeFormatError, Problem
from sciml_data.formats import Native, Shard, cbed_npz
from sciml_data.formats.cbed_npz import MAX_FILE_BYTES, log_intensity, read_archive
from sciml_data.home import Home
from sciml_data.ready import convert
from sciml_data.ready.open import declaration_problems, open_ready
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.registry.manifest import manifest_of
from sciml_data.registry.stages import Verified
from tests.support import native_files
from tests.support.cbed_files import log_intensities, npy, write_npz, write_zip
from tests.support.native_files import dropped, read_only_shard, reopened
from tests.support.problems import kinds_and_places

LABEL = npy(np.array([2], np.int64))
FILE = "training/sample-1.npz"


def native_of(root: Path, version: str = "1.0a") -> Native:
    return native_files.native_of(root, load_descriptor(find_registry(), "stemdl_ds1", version))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder with two sound files, 0 and 2, of training."""
    write_npz(tmp_path / "native" / "training" / "sample-0.npz", 225)
    write_npz(tmp_path / "native" / "training" / "sample-2.npz", 14)
    return tmp_path / "native"


def ready(root: Path, **options: Any) -> xr.Dataset:
    """Return the one ready file as it comes back from the disk."""
    dataset = read_only_shard(cbed_npz, native_of(root), **options)
    return reopened(dataset, root.parent / "ready.nc")


# --- what is sound -------------------------------------------------------------------------------


def test_stack_and_label_are_those_that_numpy_reads(root: Path) -> None:
    dataset = ready(root)

    assert dataset["native_file"].values.tolist() == [
        b"training/sample-0.npz",
        b"training/sample-2.npz",
    ]
    assert dataset["native_sample"].values.tolist() == [b"0", b"2"]
    for at, number in enumerate((0, 2)):
        with np.load(root / "training" / f"sample-{number}.npz", allow_pickle=False) as file:
            np.testing.assert_array_equal(dataset["cbed_stack"][at], file["data"])
            assert dataset["space_group"].values[at] == file["label"][0]
    assert dataset["cbed_stack"].attrs["scaling"] == "log levels"
    assert "material" not in dataset
    declared = load_descriptor(find_registry(), "stemdl_ds1").variables
    assert declaration_problems(dataset, declared) == []


def test_packed_files_and_columns_first_are_read(root: Path) -> None:
    np.savez_compressed(root / FILE, data=log_intensities(5), label=np.array([7]))
    np.savez(
        root / "training" / "sample-3.npz",
        data=np.asfortranarray(log_intensities(6)),
        label=np.array(9, np.int32),
    )

    dataset = ready(root)

    assert dataset["space_group"].values.tolist() == [225, 7, 14, 9]
    np.testing.assert_array_equal(dataset["cbed_stack"][1], log_intensities(5))
    np.testing.assert_array_equal(dataset["cbed_stack"][3], log_intensities(6))


def test_log_intensity_is_upstreams_formula() -> None:
    intensity = np.array([0.0, np.exp(-17), 1e-5, 1.0, np.exp(8.0), 1e9], np.float32)

    expected = [0, 0, 10 * (np.log(1e-5) + 17), 170, 250, 255]
    np.testing.assert_allclose(log_intensity(intensity), expected, atol=1e-3)
    assert log_intensity(intensity).dtype == np.float32


# --- what is not ---------------------------------------------------------------------------------


class Trap:
    """Unpickling it fails the test."""

    def __reduce__(self) -> tuple[Any, ...]:
        return pytest.fail, ("it was unpickled",)


def _npz(**arrays: Any) -> Callable[[Path], object]:
    return lambda path: np.savez(path, **arrays)


def _zip(*members: tuple[str, bytes]) -> Callable[[Path], object]:
    return lambda path: write_zip(path, members)


def _bytes(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def _changed(change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(change(write_npz(path).read_bytes()))


def _with(at: tuple[int, int, int], value: float) -> Any:
    values = log_intensities()
    values[at] = value
    return values


def _header(shape: str, descr: str = "<f4") -> bytes:
    """Return an npy file that promises an array and has none."""
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (117 - len(text)) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def _bomb(path: Path) -> None:
    """Write 20 MB of zeros as 20 kB."""
    write_zip(path, [("data.npy", b"\0" * 20_000_000), ("label.npy", LABEL)], deflated=True)


def _lying_bomb(path: Path) -> None:
    """Write 20 MB of zeros as 20 kB, with a list that says they are a stack's bytes."""
    _bomb(path)
    content = bytearray(path.read_bytes())
    at = content.rindex(b"PK\1\2", 0, content.rindex(b"PK\1\2"))
    struct.pack_into("<I", content, at + 24, len(npy(log_intensities())))
    path.write_bytes(content)


def _twice(path: Path) -> None:
    members = [("data.npy", npy(log_intensities())), ("label.npy", LABEL)]
    with pytest.warns(UserWarning, match="Duplicate name"):
        write_zip(path, [*members, ("data.npy", npy(log_intensities(1)))])


def _encrypted(path: Path) -> None:
    """Set the flag that says that members are encrypted."""
    content = bytearray(write_npz(path).read_bytes())
    for mark, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = content.find(mark)
        while at >= 0:
            content[at + offset] |= 1
            at = content.find(mark, at + 1)
    path.write_bytes(content)


def _lzma(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("data.npy", npy(log_intensities()))
        archive.writestr("label.npy", LABEL)


def _flipped(content: bytes) -> bytes:
    """Change a byte of the stack, so that its sum is not right."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


PICKLE = pickle.dumps({"data": 1})
DATA = npy(log_intensities())
BAD: list[tuple[str, Callable[[Path], object], str]] = [
    ("size", _bomb, "data.npy says it has 20000000 bytes inflated, and 206608 at most are read"),
    ("unreadable", _lying_bomb, "cannot be read as npz"),
    ("size", _bytes(b"PK\3\4" + b"\0" * MAX_FILE_BYTES), "bytes, and 1048576 at most are read"),
    ("pickled", _npz(data=np.array([Trap()]), label=[2]), "data.npy has pickled objects"),
    ("pickled", _npz(data=log_intensities(), label=np.array([Trap()])), "label.npy has pickled"),
    ("unreadable", _bytes(PICKLE), "cannot be read as npz"),
    ("unreadable", _bytes(DATA), "cannot be read as npz"),
    ("unreadable", _bytes(b""), "cannot be read as npz"),
    ("unreadable", _bytes(b"<html>not found</html>"), "cannot be read as npz"),
    ("unreadable", _changed(lambda content: content[:-500]), "cannot be read as npz"),
    ("unreadable", _changed(_flipped), "cannot be read as npz: Bad CRC-32"),
    ("unreadable", _encrypted, "is encrypted, password required"),
    ("unreadable", _lzma, "data.npy is neither stored nor deflated"),
    ("unreadable", _twice, "has data.npy more than once"),
    ("unreadable", _zip(("data.npy", b"nonsense"), ("label.npy", LABEL)), "cannot be read as npz"),
    ("unreadable", _zip(("data.npy", b""), ("label.npy", LABEL)), "cannot be read as npz"),
    ("unreadable", _zip(("data.npy", DATA[:-4]), ("label.npy", LABEL)), "data.npy has 196604"),
    (
        "unreadable",
        _zip(("data.npy", b"\x93NUMPY\x09\x00" + DATA[8:]), ("label.npy", LABEL)),
        "data.npy is of an unknown version of npy",
    ),
    (
        "shape",
        _zip(("data.npy", _header("(4, 1000000, 1000000)")), ("label.npy", LABEL)),
        "data: (3, 128, 128) expected, (4, 1000000, 1000000) found",
    ),
    (
        "unreadable",
        _zip(("data.npy", _header("(3, 128, 128)")), ("label.npy", LABEL)),
        "data.npy has 0 bytes for 49152 values of 4",
    ),
    ("trailing", _changed(lambda content: content + b"more"), "before or behind its archive"),
    ("trailing", _changed(lambda content: b"less" + content), "before or behind its archive"),
    (
        "trailing",
        _zip(("data.npy", DATA + b"more"), ("label.npy", LABEL)),
        "data.npy has 196612 bytes for 49152 values of 4",
    ),
    ("missing", _npz(data=log_intensities()), "has no label.npy; it has data.npy"),
    ("missing", _npz(labels=[2], images=log_intensities()), "has no data.npy and no label.npy"),
    ("missing", _npz(), "has no data.npy and no label.npy; it has nothing"),
    ("shape", _npz(data=log_intensities()[:2], label=[2]), "data: (3, 128, 128) expected, (2,"),
    ("shape", _npz(data=log_intensities()[0], label=[2]), "data: (3, 128, 128) expected, (128,"),
    ("shape", _npz(data=log_intensities(), label=[2, 3]), "label: one number expected, (2,) found"),
    ("dtype", _npz(data=log_intensities().astype(np.float16), label=[2]), "data: float32 expected"),
    ("dtype", _npz(data=log_intensities().astype(np.uint8), label=[2]), "data: float32 expected"),
    ("dtype", _npz(data=log_intensities(), label=[2.0]), "label: int64 expected, float64"),
    ("dtype", _npz(data=log_intensities(), label=["2"]), "label: int64 expected, <U1"),
    ("label", _npz(data=log_intensities(), label=[0]), "label is 0, and 1 to 230 is expected"),
    ("label", _npz(data=log_intensities(), label=[231]), "label is 231, and 1 to 230 is expected"),
    ("label", _npz(data=log_intensities(), label=[-1]), "label is -1, and 1 to 230 is expected"),
    ("finite", _npz(data=_with((1, 5, 5), np.nan), label=[2]), "1 pixels are not finite"),
    ("negative", _npz(data=_with((1, 5, 5), -1), label=[2]), "an intensity is -1, below zero"),
    ("range", _npz(data=_with((1, 5, 5), 256), label=[2]), "a level is 256, and 0 to 255"),
]


@pytest.mark.parametrize(
    ("kind", "spoil", "said"),
    BAD,
    ids=[f"{kind}-{number}" for number, (kind, _, _) in enumerate(BAD)],
)
def test_a_file_that_is_not_as_published_is_left_out_and_named(
    root: Path, kind: str, spoil: Callable[[Path], object], said: str
) -> None:
    spoil(root / FILE)

    dataset = ready(root)

    assert dataset["space_group"].values.tolist() == [225, 14]
    np.testing.assert_array_equal(dataset["cbed_stack"][1], log_intensities(14))
    assert dropped(dataset) == {kind: 1}
    assert (dataset.attrs["samples_read"], dataset.attrs["samples_kept"]) == (3, 2)
    assert dataset.attrs["dropped_samples"].startswith(f"{FILE}: ")
    assert said in dataset.attrs["dropped_samples"]
    assert dataset.attrs["notices"].startswith(f"1 of 3 samples are left out: {FILE}: ")


@pytest.mark.parametrize("spoil", [_bomb, _lying_bomb])
def test_a_bomb_is_not_inflated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Path], None]
) -> None:
    path = tmp_path / "sample-1.npz"
    spoil(path)
    inflated: list[int] = []

    class Counting:
        def __init__(self) -> None:
            self._inflate = zlib.decompressobj(-15)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inflate, name)

        def decompress(self, content: bytes, most: int) -> bytes:
            made = self._inflate.decompress(content, most)
            inflated.append(len(made))
            return made

    monkeypatch.setattr(zipfile, "_get_decompressor", lambda _: Counting())
    read_archive(path, FILE)

    assert sum(inflated) < 1_000_000


@given(
    changes=st.dictionaries(st.integers(-600, 299), st.integers(0, 255), min_size=1, max_size=8),
    length=st.none() | st.integers(0, 197_000),
)
def test_whatever_is_changed_it_is_a_sample_or_a_problem(
    changes: dict[int, int], length: int | None
) -> None:
    content = bytearray(SOUND)
    for at, value in changes.items():
        content[at] = value
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "sample-1.npz")
        path.write_bytes(content[:length])
        found = read_archive(path, FILE)

    if not isinstance(found, Problem):
        stack, label = found
        assert stack.shape == (3, 128, 128)
        assert stack.dtype == np.float32
        assert 1 <= label <= 230


def _sound() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, data=log_intensities(), label=np.array([2]))
    return stream.getvalue()


SOUND = _sound()


def test_strict_stops_with_every_file_that_would_be_left_out(root: Path) -> None:
    write_npz(root / FILE, 231)
    (root / "training" / "sample-3.npz").write_bytes(b"")

    with pytest.raises(NativeFormatError, match="2 of 4 samples cannot be used") as error:
        ready(root, strict=True)

    assert kinds_and_places(error) == [
        ("label", FILE),
        ("unreadable", "training/sample-3.npz"),
    ]


# --- files and splits ----------------------------------------------------------------------------


def write_many(root: Path, numbers: Sequence[int], split: str = "training") -> None:
    for number in numbers:
        write_npz(root / split / f"sample-{number}.npz", number % 230 + 1)


def test_a_ready_file_has_a_fixed_range_of_running_numbers(tmp_path: Path) -> None:
    write_many(tmp_path, [9, 10, 0, 29, 25])
    write_many(tmp_path, [25], "inference")

    made = cbed_npz.shards(native_of(tmp_path), {"samples_per_shard": 10})

    assert made == (
        Shard("inference-00002.nc", "inference", ("inference/sample-25.npz",)),
        Shard("training-00000.nc", "training", _names(0, 9)),
        Shard("training-00001.nc", "training", _names(10)),
        Shard("training-00002.nc", "training", _names(25, 29)),
    )
    assert [len(cbed_npz.shards(native_of(tmp_path), {})), len(made)] == [2, 4]


def _names(*numbers: int) -> tuple[str, ...]:
    return tuple(f"training/sample-{number}.npz" for number in numbers)


def test_what_was_fetched_since_changes_no_other_ready_file(home: Home) -> None:
    folder = home.dataset("stemdl_ds1", "1.0a")
    descriptor = load_descriptor(find_registry(), "stemdl_ds1", "1.0a")
    options = {"samples_per_shard": 10}

    def converted(told: list[str]) -> Any:
        verified = Verified(descriptor, folder, manifest_of(folder.native), is_synthetic=False)
        return convert(verified, options=options, log=told.append)

    write_many(folder.native, [3, 14, 25])
    before = {one.path: one.hash for one in converted([]).manifest}
    write_many(folder.native, [15])
    told: list[str] = []
    after = {one.path: one.hash for one in converted(told).manifest}

    assert told[0] == "2 of 3 ready files are there and are kept"
    assert [name for name in before if before[name] != after[name]] == ["training-00001.nc"]


def test_splits_are_the_folders_and_follow_one_another(home: Home) -> None:
    folder = home.dataset("stemdl_ds1", "1.0a")
    descriptor = load_descriptor(find_registry(), "stemdl_ds1", "1.0a")
    write_many(folder.native, [3, 14, 5])
    write_many(folder.native, [6], "inference")
    verified = Verified(descriptor, folder, manifest_of(folder.native), is_synthetic=False)
    converted = convert(verified, options={"samples_per_shard": 10})

    with open_ready(converted, split="training") as dataset:
        assert dataset["native_sample"].values.tolist() == [b"3", b"5", b"14"]
        assert dataset.attrs["samples_kept"] == 3
        assert dataset["cbed_stack"].chunksizes["sample"] == (1, 1, 1)
    with open_ready(converted, split="inference") as dataset:
        assert dataset["space_group"].values.tolist() == [7]


def test_files_without_a_running_number_or_a_split_are_all_named(root: Path) -> None:
    write_npz(root / "training" / "sample.npz")
    write_npz(root / "dev" / "sample-5.npz")
    (root / "training" / "README-1.md").write_text("readme")

    with pytest.raises(NativeFormatError) as error:
        cbed_npz.shards(native_of(root), {})

    assert kinds_and_places(error) == [
        ("split", "dev/sample-5.npz"),
        ("name", "training/README-1.md"),
        ("name", "training/sample.npz"),
    ]


@pytest.mark.parametrize("value", [-1, True, 2.5, "many"])
def test_a_size_that_is_none_is_refused(root: Path, value: Any) -> None:
    with pytest.raises(CallError, match="1 of 1 conversion options cannot be used"):
        cbed_npz.shards(native_of(root), {"samples_per_shard": value})


def test_the_default_version_is_that_of_mlcommons() -> None:
    registry = find_registry()

    assert registry.versions("stemdl_ds1") == ["1.0", "1.0a"]
    default = load_descriptor(registry, "stemdl_ds1")
    counts = {glob: one["count"] for glob, one in default.expected["files"].items()}
    assert counts == {
        "training/**": 148_006,
        "validation/**": 20_401,
        "testing/**": 9_374,
        "inference/**": 9_375,
    }
