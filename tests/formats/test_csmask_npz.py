"""The reader of ukis-csmask's chips: sound ones, damaged ones, and the real ones."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from sciml_data.errors import NativeFormatError
from sciml_data.formats import csmask_npz
from sciml_data.ready.open import declaration_problems
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import find_registry
from tests.support.chip_files import CHIP, SHAPE, write_chip
from tests.support.native_files import link_real_files, native_of, read_only_shard, reopened
from tests.support.problems import kinds_and_places

DESCRIPTOR = load_descriptor(find_registry(), "cloud_csmask", "1.0")


def read(root: Path, **options: Any) -> xr.Dataset:
    dataset = read_only_shard(csmask_npz, native_of(root, DESCRIPTOR), **options)
    return reopened(dataset, root.parent / "ready.nc")


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_a_chip_is_read_as_it_is(tmp_path: Path, compression: str) -> None:
    content = write_chip(tmp_path / "native")

    ready = read(tmp_path / "native", compression=compression)

    assert declaration_problems(ready, DESCRIPTOR.variables) == []
    np.testing.assert_array_equal(ready["reflectance"].values[0], content["img"])
    np.testing.assert_array_equal(ready["mask"].values[0], content["msk"][..., 0])
    assert ready["sensor"].values.tolist() == [b"landsat7"]
    assert ready["band"].values.tolist() == [
        b"blue",
        b"green",
        b"red",
        b"nir",
        b"swir16",
        b"swir22",
    ]


def test_four_is_cloud_zero_is_shadow_and_the_rest_is_clear(tmp_path: Path) -> None:
    write_chip(tmp_path / "native")

    cloud = read(tmp_path / "native")["cloud"]

    assert cloud.values[0, 0, :5].tolist() == [2, 0, 0, 0, 1]
    assert cloud.attrs["flag_meanings"].split() == ["clear", "cloud", "shadow"]


@pytest.mark.parametrize(
    ("replaced", "kind"),
    [
        ({"msk": None}, "missing"),
        ({"img": np.zeros((*SHAPE, 6))}, "shape"),
        ({"img": np.zeros((*SHAPE, 4), np.float32)}, "shape"),
        ({"img": np.array([{"a": 1}], object)}, "shape"),
        ({"img": np.full((*SHAPE, 6), np.nan, np.float32)}, "finite"),
        ({"msk": np.zeros((3, 3, 1), np.uint8)}, "shape"),
        ({"msk": np.full((*SHAPE, 1), 5, np.uint8)}, "values"),
    ],
)
def test_what_is_not_as_published_is_named(
    tmp_path: Path, replaced: dict[str, Any], kind: str
) -> None:
    write_chip(tmp_path / "native", **replaced)

    with pytest.raises(NativeFormatError) as error:
        read(tmp_path / "native")

    assert kinds_and_places(error) == [(kind, CHIP)]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda _: b"",
        lambda content: content.replace(b"img.npy", b"../../x"),
    ],
    ids=["half", "empty", "another name"],
)
def test_damage_is_an_error_of_the_file(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    write_chip(tmp_path / "native")
    path = tmp_path / "native" / CHIP
    path.write_bytes(damage(path.read_bytes()))

    with pytest.raises(NativeFormatError) as error:
        read(tmp_path / "native")

    assert {place for _, place in kinds_and_places(error)} == {CHIP}


def test_a_header_that_declares_terabytes_makes_no_array(tmp_path: Path) -> None:
    write_chip(tmp_path / "native", img=np.zeros((8, 10, 6), np.float32))
    path = tmp_path / "native" / CHIP
    with np.load(path) as file:
        mask = file["msk"]
    header = np.lib.format.magic(1, 0)
    text = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000, 6), }\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("img.npy", header + len(text).to_bytes(2, "little") + text)
        with archive.open("msk.npy", "w") as member:
            np.lib.format.write_array(member, mask)

    with pytest.raises(NativeFormatError) as error:
        read(tmp_path / "native")

    assert kinds_and_places(error) == [("unreadable", CHIP)]


@pytest.mark.reference
def test_the_real_chips_have_cloud_and_shadow(
    shared: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    native = link_real_files(DESCRIPTOR, shared / "mirror", tmp_path_factory.mktemp("real"))
    shares = {}
    for shard in csmask_npz.shards(native, {}):
        ready = csmask_npz.read(native, shard, {})
        assert ready["reflectance"].shape == (1, 512, 512, 6)
        counts = np.bincount(ready["cloud"].values.ravel(), minlength=3) / 512**2
        shares[shard.split] = counts.round(3).tolist()

    assert shares == {
        "landsat5": [0.441, 0.328, 0.231],
        "landsat7": [0.474, 0.36, 0.166],
        "sentinel2": [0.702, 0.189, 0.109],
    }
