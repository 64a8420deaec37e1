"""References of kerchunk: xarray opens a ready form by fsspec and zarr, without this package."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

import sciml_data
from sciml_data.cli.export import command
from sciml_data.errors import CallError
from sciml_data.integrations.kerchunk import to_kerchunk
from sciml_data.ready import open_ready, shards_of_split, write_netcdf
from sciml_data.ready.chunk_index import index_line
from sciml_data.registry.manifest import Entry, hash_file
from tests.support.nginx import needs_nginx, nginx
from tests.support.published_scenes import Published, publish_scenes
from tests.support.small_scenes import DATASET

# As a user would type it, in a process that does not import sciml_data.
READ = """
import sys
import xarray as xr
path, group, target, protocol = sys.argv[1:]
opened = xr.open_dataset(
    "reference://", engine="zarr", group=group or None, mask_and_scale=False, decode_times=False,
    backend_kwargs={
        "storage_options": {
            "fo": path, "remote_protocol": protocol, "remote_options": {"asynchronous": True},
        },
    },
)
opened.load().to_netcdf(target, engine="h5netcdf")
assert "sciml_data" not in sys.modules
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Published, str]]:
    root = tmp_path_factory.mktemp("served")
    (root / "www").mkdir()
    with nginx(root / "nginx", root / "www") as url:
        published = publish_scenes(
            root / "www", counts={"training": 3, "inference": 1}, url=f"{url}/served/"
        )
        yield published, url


def read(references: Path, group: str, tmp_path: Path) -> xr.Dataset:
    target = tmp_path / "read.nc"
    address = next(iter(json.loads(references.read_text(encoding="utf-8"))["templates"].values()))
    arguments = [str(references), group, str(target), address.partition(":")[0]]
    subprocess.run([sys.executable, "-W", "ignore", "-c", READ, *arguments], check=True)
    return xr.load_dataset(target, engine="h5netcdf", mask_and_scale=False, decode_times=False)


def assert_same_values(actual: xr.Dataset, expected: xr.Dataset) -> None:
    assert set(actual.variables) == set(expected.variables)
    for name in expected.variables:
        assert actual[name].dims == expected[name].dims
        np.testing.assert_array_equal(actual[name].values, expected[name].values)


@needs_nginx
def test_plain_xarray_reads_the_published_form_over_http(
    served: tuple[Published, str], tmp_path: Path
) -> None:
    published, _ = served
    line = ["kerchunk", DATASET, "--registry", str(published.registry.root)]
    to = tmp_path / "references.json"

    result = CliRunner().invoke(command, [*line, "--home", str(tmp_path / "home"), "--to", str(to)])

    assert result.exit_code == 0, result.output
    paths = sorted(published.converted.root.glob("training*.nc"))
    expected = xr.open_mfdataset(
        paths,
        engine="h5netcdf",
        combine="nested",
        concat_dim="scene",
        data_vars="minimal",
        coords="minimal",
        compat="override",
        mask_and_scale=False,
        decode_times=False,
    )
    assert_same_values(read(to, "training", tmp_path), expected)


@needs_nginx
def test_decoded_values_are_those_of_open_dataset(
    served: tuple[Published, str], tmp_path: Path
) -> None:
    published, _ = served
    references = sciml_data.kerchunk_references(
        DATASET, registry=published.registry.root, home=tmp_path / "home"
    )
    (tmp_path / "references.json").write_text(json.dumps(references), encoding="utf-8")
    options = {
        "storage_options": {
            "fo": str(tmp_path / "references.json"),
            "remote_protocol": "http",
            "remote_options": {"asynchronous": True},
        }
    }

    with xr.open_dataset(
        "reference://", engine="zarr", group="training", backend_kwargs=options
    ) as opened:
        here = open_ready(published.converted, split="training")
        # Attributes are numbers of JSON, so that packed values are of double precision.
        np.testing.assert_allclose(opened["reflectance"], here["reflectance"], atol=1e-6)
        assert (opened["time"].values == here["time"].values).all()


def test_ready_files_of_this_computer_have_their_paths(tmp_path: Path) -> None:
    sciml_data.get_dataset("hydronet_ds1", sample=True, home=tmp_path / "home")
    converted = sciml_data.convert_dataset("hydronet_ds1", sample=True, home=tmp_path / "home")

    references = sciml_data.kerchunk_references("hydronet_ds1", sample=True, home=tmp_path / "home")

    (tmp_path / "references.json").write_text(json.dumps(references), encoding="utf-8")
    for split, names in shards_of_split(converted).items():
        with xr.open_dataset(
            converted.root / names[0], engine="h5netcdf", mask_and_scale=False, decode_times=False
        ) as expected:
            assert len(names) == 1
            assert_same_values(read(tmp_path / "references.json", split, tmp_path), expected)


def lines_of(folder: Path, lengths: list[int], chunk: int) -> tuple[list[str], list[str]]:
    """Return indexes and names of files along one dimension, with chunks of one length."""
    names, lines = [], []
    for number, length in enumerate(lengths):
        values = np.arange(length, dtype=np.int32) + 100 * number
        content = xr.Dataset({"values": ("row", values)}, attrs={"shard_dimension": "row"})
        content["values"].encoding = {"chunksizes": (min(chunk, length),)}
        path = folder / f"part-{number}.nc"
        write_netcdf(content, path)
        entry = Entry(path.name, path.stat().st_size, hash_file(path))
        lines.append(index_line(path, entry))
        names.append(path.name)
    return lines, names


@pytest.mark.parametrize(("lengths", "group"), [([4, 4, 4], ""), ([4, 3, 4], "part-1")])
def test_files_are_one_array_where_their_chunks_fit(
    tmp_path: Path, lengths: list[int], group: str
) -> None:
    lines, names = lines_of(tmp_path, lengths, 2)

    references = to_kerchunk(lines, {"all": names}, lambda name: f"file://{tmp_path}/{name}")

    (tmp_path / "references.json").write_text(json.dumps(references), encoding="utf-8")
    values = read(tmp_path / "references.json", group, tmp_path)["values"].values.tolist()
    whole = [100 * number + i for number, length in enumerate(lengths) for i in range(length)]
    assert values == (whole if not group else [100, 101, 102])


def test_a_compression_that_zarr_does_not_have_is_refused(tmp_path: Path) -> None:
    lines, names = lines_of(tmp_path, [4], 2)
    index = json.loads(lines[0])
    array = json.loads(index["refs"]["values/.zarray"])
    index["refs"]["values/.zarray"] = json.dumps(array | {"filters": [{"id": "hdf5-32000"}]})

    with pytest.raises(CallError) as error:
        to_kerchunk([json.dumps(index)], {"all": names}, str)

    assert error.value.problems[0].kind == "filter"
