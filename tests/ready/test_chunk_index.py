"""The chunk index: every byte of a ready file is in one block, and kerchunk reads the same line."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from sciml_data.ready import shards, write_netcdf
from sciml_data.ready.chunk_index import index_line
from sciml_data.ready.folder import CHUNKS_NAME, chunk_indexes
from sciml_data.registry.manifest import Entry, hash_file
from tests.support.published_scenes import Published, publish_scenes


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    return publish_scenes(
        tmp_path_factory.mktemp("published"), counts={"training": 2, "inference": 1}
    )


def entry_of(path: Path) -> Entry:
    return Entry(path.name, path.stat().st_size, hash_file(path))


def test_convert_makes_the_index_of_each_file_with_its_hash(published: Published) -> None:
    found = {index.path: index.hash for index in chunk_indexes(published.converted.root)}

    assert found == {entry.path: entry.hash for entry in published.converted.manifest}


def test_the_index_is_a_function_of_the_file(published: Published) -> None:
    for index in chunk_indexes(published.converted.root):
        place = published.converted.root / index.path
        assert index_line(place, entry_of(place)) + "\n" == index.content.decode()


def test_blocks_cover_the_file_and_have_the_hash_of_its_bytes(published: Published) -> None:
    for index in chunk_indexes(published.converted.root):
        content = (published.converted.root / index.path).read_bytes()
        at = 0
        for offset, size, digest, *head in json.loads(index.content)["blocks"]:
            assert offset == at
            part = content[offset : offset + size]
            assert hashlib.sha256(part).hexdigest() == digest
            assert all(zlib.decompress(base64.b64decode(text)) == part for text in head)
            at += size
        assert at == len(content)


def test_chunks_that_shrink_to_a_few_bytes_are_in_the_index(tmp_path: Path) -> None:
    values = np.zeros((4, 60_000), np.uint8)
    values[1, 30_000:] = 1
    values[2] = np.random.default_rng(0).integers(0, 2, 60_000)
    values[3] = np.arange(60_000) // 20 % 2  # changes too often to be tried
    content = xr.Dataset({"mask": (("row", "column"), values)})
    content["mask"].encoding = {"chunksizes": (1, 60_000)}
    write_netcdf(content, tmp_path / "a.nc")

    index = json.loads(index_line(tmp_path / "a.nc", entry_of(tmp_path / "a.nc")))

    chunks = {tuple(index["refs"][f"mask/{row}.0"][1:]): row for row in range(4)}
    has_content = {chunks[start, size]: bool(head) for start, size, _, *head in index["blocks"]
                   if (start, size) in chunks}  # fmt: skip
    assert has_content == {0: True, 1: True, 2: False, 3: False}


def test_a_file_that_is_made_again_has_one_index(published: Published, tmp_path: Path) -> None:
    place = published.converted.root
    before = (place / CHUNKS_NAME).read_text(encoding="utf-8")

    with (place / CHUNKS_NAME).open("a", encoding="utf-8") as file:
        file.write(before.splitlines()[0][:500])  # a kill cut it off

    assert len(list(chunk_indexes(place))) == len(published.converted.manifest)
    (place / CHUNKS_NAME).write_text(before, encoding="utf-8")


def test_compressed_chunks_have_their_filters(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 2**16, (4, 3000), dtype=np.uint16)
    noise[2:] = 7
    content = xr.Dataset({"values": (("row", "column"), noise)})
    content["values"].encoding = {"chunksizes": (1, 3000), "zlib": True, "shuffle": True}
    write_netcdf(content, tmp_path / "a.nc")

    index = json.loads(index_line(tmp_path / "a.nc", entry_of(tmp_path / "a.nc")))

    array = json.loads(index["refs"]["values/.zarray"])
    assert [codec["id"] for codec in array["filters"]] == ["shuffle", "zlib"]
    assert json.loads(index["refs"]["values/.zattrs"])["_ARRAY_DIMENSIONS"] == ["row", "column"]
    # Noise does not shrink, so that HDF5 stores it without the filter of compression.
    assert all(key.startswith("values/") for key in index["skipped"])
    assert len([key for key in index["refs"] if key.startswith("values/") and ".z" not in key]) == 4


def test_a_small_file_has_no_index(tmp_path: Path) -> None:
    write_netcdf(xr.Dataset({"values": ("row", np.arange(3))}), tmp_path / "a.nc")

    assert shards._chunk_index(tmp_path / "a.nc", entry_of(tmp_path / "a.nc")) == ""
