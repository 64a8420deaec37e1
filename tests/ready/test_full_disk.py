"""A full disk is a sentence: HDF5 does not meet it, so nothing crashes and nothing is half-written.

Small files are written in memory first; room for large ones is reserved before. A small tmpfs is
the disk, which only root can mount; without root these tests are skipped. The limit of file sizes
(`ulimit -f`) needs no root.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator, Sequence
from pathlib import Path

import dask
import dask.array
import numpy as np
import pytest
import xarray as xr

from sciml_data import get_dataset
from sciml_data.ready import shards, write_netcdf

DISK_BYTES = 4 * 2**20
DATASET = "hydronet_ds1"
PAGE = 4096


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Return an empty disk of 4 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(place)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("only root can mount a small disk")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(disk: Path, gap_bytes: int) -> None:
    """Leave a number of bytes free, rounded to whole pages."""
    (disk / "filler").unlink(missing_ok=True)
    free = shutil.disk_usage(disk).free
    (disk / "filler").write_bytes(bytes(max(0, free - gap_bytes) // PAGE * PAGE))


def convert(home: Path, *, limit_bytes: int | None = None) -> subprocess.CompletedProcess[str]:
    """Run `sciml-data convert` in a home, perhaps with a limit of file sizes."""

    def limit() -> None:
        if limit_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

    return subprocess.run(
        [sys.executable, "-m", "sciml_data", "convert", DATASET, "--sample", "--home", str(home)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limit,
    )


def require_sentence(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 1, done.stderr
    assert "error: " in done.stderr
    for noise in ("Traceback", "Exception ignored", "HDF5-DIAG", "Segmentation"):
        assert noise not in done.stderr


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home with a small sample, not converted."""
    root = tmp_path_factory.mktemp("home")
    get_dataset(DATASET, home=root, sample=True, sample_set=["count=12"])
    return root


def contents() -> Sequence[tuple[xr.Dataset, dict[str, xr.Dataset]]]:
    """Return datasets of different layouts: contiguous, chunked, deflated, in groups."""
    random = np.random.default_rng(0)
    plain = xr.Dataset({"a": ("x", random.random(8_000)), "b": ("x", np.arange(8_000))})
    chunked = plain.copy()
    chunked["a"].encoding = {"chunksizes": (500,)}
    deflated = plain.copy()
    for name in ("a", "b"):
        deflated[name].encoding = {"zlib": True, "chunksizes": (500,), "shuffle": True}
    return [(plain, {}), (chunked, {}), (deflated, {}), (plain, {"one": deflated, "two": chunked})]


@pytest.mark.parametrize("number", range(4))
def test_a_file_is_whole_or_absent_however_little_room_there_is(disk: Path, number: int) -> None:
    dataset, groups = contents()[number]
    write_netcdf(dataset, disk / "a.nc", groups)
    whole = (disk / "a.nc").read_bytes()
    (disk / "a.nc").unlink()

    refused = 0
    for gap in range(0, len(whole) + 12 * PAGE, 5 * PAGE):
        fill(disk, gap)
        if gap < len(whole):  # `fill` leaves a page more
            with pytest.raises(OSError, match="bytes are needed"):
                write_netcdf(dataset, disk / "a.nc", groups)
            assert [path.name for path in disk.iterdir()] == ["filler"]
            refused += 1
        else:
            write_netcdf(dataset, disk / "a.nc", groups)
            assert (disk / "a.nc").read_bytes() == whole
            (disk / "a.nc").unlink()

    assert refused >= len(whole) // (5 * PAGE)


@pytest.mark.parametrize("number", range(4))
def test_a_large_file_has_the_same_bytes_or_is_absent(
    disk: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, groups = contents()[number]
    write_netcdf(dataset, disk / "a.nc", groups)
    whole = (disk / "a.nc").read_bytes()
    (disk / "a.nc").unlink()
    monkeypatch.setattr(shards, "MEMORY_BYTES", 0)
    written, refusals = 0, []

    for gap in range(0, DISK_BYTES, 50 * PAGE):
        fill(disk, gap)
        try:
            write_netcdf(dataset, disk / "a.nc", groups)
        except OSError as error:
            refusals.append(str(error))
        else:
            assert (disk / "a.nc").read_bytes() == whole
            (disk / "a.nc").unlink()
            written += 1
        assert [path.name for path in disk.iterdir()] == ["filler"]

    assert all("bytes are needed" in refusal for refusal in refusals)
    assert min(written, len(refusals)) >= 5


def test_a_disk_that_others_fill_meanwhile_has_room_for_a_file_that_was_begun(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "MEMORY_BYTES", 0)
    values = np.arange(100_000)

    def filling() -> np.ndarray:
        fill(disk, 0)
        return values

    lazy = dask.array.from_delayed(dask.delayed(filling)(), values.shape, values.dtype)

    write_netcdf(xr.Dataset({"a": ("x", lazy)}), disk / "a.nc")

    assert (disk / "filler").exists()
    with xr.open_dataset(disk / "a.nc", engine="h5netcdf") as dataset:
        np.testing.assert_array_equal(dataset["a"], values)


def test_lazy_variables_are_in_memory_one_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a large file nor all of its variables are."""
    monkeypatch.setattr(shards, "MEMORY_BYTES", 2**20)
    one = dask.array.ones(2**19, chunks=2**17)  # 4 MiB
    dataset = xr.Dataset({f"v{number}": ("x", one) for number in range(8)})
    write_netcdf(dataset.isel(x=slice(1)), tmp_path / "imports.nc")

    tracemalloc.start()
    write_netcdf(dataset, tmp_path / "a.nc")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert (tmp_path / "a.nc").stat().st_size > 8 * one.nbytes
    assert peak < 3 * one.nbytes


def test_text_of_unknown_length_needs_no_guess(disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "MEMORY_BYTES", 0)
    words = np.array([f"{number}" * 2000 for number in range(500)], object)  # 2.8 MB
    fill(disk, 2**21)

    with pytest.raises(OSError, match="bytes are needed"):
        write_netcdf(xr.Dataset({"a": ("x", words)}), disk / "a.nc")

    assert [path.name for path in disk.iterdir()] == ["filler"]


def test_an_older_file_stays_if_there_is_no_room_for_the_new_one(disk: Path) -> None:
    (dataset, groups), *_ = contents()
    (disk / "a.nc").write_bytes(b"older")
    fill(disk, 20 * PAGE)

    with pytest.raises(OSError, match="bytes are needed"):
        write_netcdf(dataset, disk / "a.nc", groups)

    assert (disk / "a.nc").read_bytes() == b"older"


@pytest.mark.parametrize(
    "gap_bytes",
    [60_000, *(pytest.param(gap, marks=pytest.mark.slow) for gap in (0, 20_000, 100_000, 200_000))],
)
def test_convert_says_that_the_disk_is_full(disk: Path, home: Path, gap_bytes: int) -> None:
    place = Path(shutil.copytree(home, disk / "home"))
    fill(disk, gap_bytes)

    done = convert(place)

    if gap_bytes < 200_000:
        require_sentence(done)
        assert list(place.rglob("*.unfinished")) == []
        (disk / "filler").unlink()
        done = convert(place)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "limit_bytes",
    [60_000, *(pytest.param(limit, marks=pytest.mark.slow) for limit in (8192, 500_000))],
)
def test_convert_says_that_files_may_not_be_so_large(
    home: Path, tmp_path: Path, limit_bytes: int
) -> None:
    place = Path(shutil.copytree(home, tmp_path / "home"))

    require_sentence(convert(place, limit_bytes=limit_bytes))

    assert convert(place).returncode == 0
