"""NetCDF files keep their values, packing, times and attributes, or what differs is named."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from sciml_data.errors import CallError, NativeFormatError
from sciml_data.formats import Native, netcdf
from tests.support.native_files import native_of, reopened
from tests.support.problems import kinds_and_places

VARIABLES: dict[str, Any] = {
    "t2m": {"dims": ["time", "lat"], "dtype": "float64", "units": "K", "long_name": "t"},
    "count": {"dims": ["time"], "dtype": "int32", "long_name": "c"},
    "place": {"dims": ["lat"], "dtype": "S", "long_name": "p"},
    "time": {"dims": ["time"], "dtype": "datetime64[ns]", "long_name": "time"},
    "lat": {"dims": ["lat"], "dtype": "float64", "units": "degrees_north", "long_name": "l"},
}
Change = Callable[[xr.Dataset], xr.Dataset]


def days(year: int, count: int = 3) -> xr.Dataset:
    values = np.arange(count * 2.0).reshape(count, 2) / 4
    values[1, 1] = np.nan
    start = np.datetime64(f"{year}-01-01", "ns")
    dataset = xr.Dataset(
        {
            "t2m": (("time", "lat"), values, {"units": "K", "cell_methods": "time: mean"}),
            "count": ("time", np.arange(count, dtype=np.int32)),
            "place": ("lat", np.array([b"abc", b"d"])),
            "beside": ("time", np.zeros(count)),
        },
        coords={
            "time": start + np.arange(count) * np.timedelta64(6, "h"),
            "lat": ("lat", [10.0, 20.0], {"units": "degrees_north"}),
        },
        attrs={"institution": "Roof", "Conventions": "CF-1.8"},
    )
    dataset["t2m"].encoding = {"dtype": "int16", "scale_factor": 0.25, "_FillValue": -99}
    dataset["time"].encoding = {"units": f"hours since {year}-01-01", "dtype": "int32"}
    return dataset


def native(
    root: Path, change: Change = lambda dataset: dataset, *, classic: bool = False, **block: Any
) -> Native:
    """Return two years of which the second is changed."""
    root.mkdir(exist_ok=True)
    form: dict[str, Any] = {"engine": "scipy", "format": "NETCDF3_64BIT"} if classic else {}
    for dataset in (days(2001), change(days(2002))):
        year = dataset["time"].dt.year.to_numpy()[0] if dataset.sizes.get("time") else 2002
        dataset.to_netcdf(root / f"{year}.nc", **(form or {"engine": "h5netcdf"}))
    return native_of(root, block={"along": "time", **block}, variables=VARIABLES)


def read(files: Native, **options: Any) -> list[xr.Dataset]:
    return [netcdf.read(files, shard, options) for shard in netcdf.shards(files, options)]


def problems(files: Native) -> list[tuple[str, str]]:
    with pytest.raises(NativeFormatError) as error:
        read(files)
    return kinds_and_places(error)


@pytest.mark.parametrize("classic", [False, True])
def test_a_ready_file_opens_with_the_values_of_the_native_one(
    tmp_path: Path, *, classic: bool
) -> None:
    files = native(tmp_path / "n", classic=classic)

    first, _ = read(files)
    ready = reopened(first, tmp_path / "ready.nc")

    expected = days(2001)
    for name in ("t2m", "count", "time", "lat"):
        np.testing.assert_array_equal(ready[name], expected[name])
    assert ready["place"].to_numpy().tolist() == [b"abc", b"d"]
    assert ready["t2m"].attrs == {"units": "K", "cell_methods": "time: mean"}
    assert {key: ready["t2m"].encoding[key] for key in ("dtype", "scale_factor", "_FillValue")} == {
        "dtype": np.dtype("int16"), "scale_factor": 0.25, "_FillValue": -99,
    }  # fmt: skip
    assert ready["time"].encoding["units"] == "hours since 2001-01-01"
    assert (ready.attrs["institution"], ready.attrs["Conventions"]) == ("Roof", "CF-1.8")
    assert "beside" not in ready  # it is not declared


@pytest.mark.parametrize(("steps", "count"), [(1, 6), (2, 4), (3, 2), (0, 2)])
def test_a_file_is_the_same_in_any_number_of_ready_files(
    tmp_path: Path, steps: int, count: int
) -> None:
    parts = read(native(tmp_path), steps_per_shard=steps)

    assert len(parts) == count
    joined = xr.concat(parts, "time", data_vars="minimal", coords="minimal", compat="override")
    assert joined["count"].to_numpy().tolist() == [0, 1, 2, 0, 1, 2]
    assert {part.attrs["shard_dimension"] for part in parts} == {"time"}


def other_latitudes(dataset: xr.Dataset) -> xr.Dataset:
    return dataset.assign_coords(lat=("lat", [10.0, 30.0], {"units": "degrees_north"}))


def other_units(dataset: xr.Dataset) -> xr.Dataset:
    dataset["t2m"].attrs["units"] = "degC"
    return dataset


def other_type(dataset: xr.Dataset) -> xr.Dataset:
    dataset["count"] = dataset["count"].astype(np.float32)
    return dataset


@pytest.mark.parametrize(
    ("change", "kind", "name"),
    [
        (other_latitudes, "axis", "lat"),
        (other_units, "units", "t2m"),
        (other_type, "dtype", "count"),
        (lambda dataset: dataset.drop_vars("t2m"), "missing", "t2m"),
        (lambda dataset: dataset.transpose("lat", "time"), "dims", "t2m"),
    ],
)
def test_a_file_that_differs_is_named(tmp_path: Path, change: Change, kind: str, name: str) -> None:
    assert problems(native(tmp_path, change)) == [(kind, f"2002.nc: {name}")]


def test_several_files_need_a_dimension(tmp_path: Path) -> None:
    files = native(tmp_path)
    alone = Native(files.root, files.folder, {}, files.paths, files.variables)

    assert problems(alone) == [("along", "2001.nc")]


@pytest.mark.filterwarnings("ignore:Cannot close a netcdf_file:RuntimeWarning")
@pytest.mark.parametrize(
    ("content", "kind"),
    [(b"", "format"), (b"text", "format"), (b"\x89HDF\r\n\x1a\n" + bytes(99), "unreadable"),
     (b"CDF\x01" + bytes(20), "unreadable"), (b"CDF\x05" + bytes(20), "format")],
)  # fmt: skip
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes, kind: str) -> None:
    files = native(tmp_path)
    (tmp_path / "2002.nc").write_bytes(content)

    found = problems(files)
    gc.collect()
    assert {each for each, _ in found} == {kind}
    assert all(place.startswith("2002.nc") for _, place in found)


# SciPy cannot close a mapped file that it could not read to the end.
@pytest.mark.filterwarnings("ignore:Cannot close a netcdf_file:RuntimeWarning")
def test_netcdf3_that_declares_far_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    files = native(tmp_path, classic=True)
    content = bytearray((tmp_path / "2002.nc").read_bytes())
    content[4:8] = (2**30).to_bytes(4, "big")  # the number of records
    at = content.index(b"time", 8) + 4
    content[at : at + 4] = (2**30).to_bytes(4, "big")  # the length of the dimension
    (tmp_path / "2002.nc").write_bytes(bytes(content))

    ((kind, place),) = problems(files)
    gc.collect()
    assert kind in ("size", "unreadable")
    assert place == "2002.nc"


def test_a_missing_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = native(tmp_path, classic=True)
    monkeypatch.setitem(sys.modules, "scipy.io", None)

    with pytest.raises(CallError, match="scipy") as error:
        netcdf.shards(files, {})
    assert "sciml-data[formats]" in error.value.hint
