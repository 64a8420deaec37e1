"""Streaming from Ceph's object gateway: no fault of it puts a wrong sample into a batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sciml_data.errors import FetchError
from sciml_data.home import find_home
from sciml_data.ready.patches import Batch, PatchGrid, find_scenes, list_patches, stream
from sciml_data.ready.streaming import ChunkReader, Streamed, open_stream
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.transfer import RetryPolicy
from sciml_data.transfer.ranges import RangeReader
from tests.support.buckets import Client, make_public, put_folder
from tests.support.ceph import Ceph, kill_gateway, start_gateway
from tests.support.published_scenes import Published, publish_scenes
from tests.support.small_scenes import DATASET

pytestmark = pytest.mark.gateway
BUCKET = "streamed"
GRID = PatchGrid(edges="pad")
QUICK = RetryPolicy(tries=2, last_tries=3, first_wait_s=0.1)


@pytest.fixture(scope="module")
def published(ceph: Ceph, owner: Client, tmp_path_factory: pytest.TempPathFactory) -> Published:
    root = tmp_path_factory.mktemp("published")
    published = publish_scenes(root, url=f"{ceph.urls['one']}/{BUCKET}/form/")
    make_public(owner, BUCKET)
    put_folder(owner, BUCKET, published.folder, "form/")
    return published


def opened(published: Published, home: Path, *mirrors: str) -> Streamed:
    return open_stream(
        load_descriptor(published.registry, DATASET),
        find_home(home),
        mirrors=mirrors,
        retry=QUICK,
    )


def batches_of(source: object) -> list[Batch]:
    patches = list_patches(find_scenes(source), GRID)  # type: ignore[arg-type]
    return list(stream(patches, batch_size=2, seed=1, prefetch=1))


def assert_equal(actual: list[Batch], expected: list[Batch]) -> None:
    assert len(actual) == len(expected)
    for one, other in zip(actual, expected, strict=True):
        for name in ("inputs", "labels", "weights", "index"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_a_stream_continues_at_the_second_gateway(
    ceph: Ceph, published: Published, tmp_path: Path
) -> None:
    streamed = opened(
        published, tmp_path, *(f"{ceph.urls[name]}/{BUCKET}/form" for name in ("one", "two"))
    )
    patches = list_patches(find_scenes(streamed), GRID)
    batches = stream(patches, batch_size=2, seed=1, prefetch=1)
    seen = [next(batches)]
    kill_gateway(ceph, "one")
    try:
        seen += batches
    finally:
        start_gateway(ceph, "one")

    assert_equal(seen, batches_of(published.converted))


def test_a_stream_without_a_gateway_ends_and_can_be_read_later(
    ceph: Ceph, published: Published, tmp_path: Path
) -> None:
    streamed = opened(published, tmp_path)
    patches = list_patches(find_scenes(streamed), GRID)
    batches = stream(patches, batch_size=2, seed=1, prefetch=1)
    seen = [next(batches)]
    kill_gateway(ceph, "one")
    try:
        with pytest.raises(FetchError):
            seen += list(batches)
    finally:
        start_gateway(ceph, "one")

    expected = batches_of(published.converted)
    assert_equal(seen, expected[: len(seen)])
    assert_equal(batches_of(opened(published, tmp_path)), expected)


def test_an_object_that_was_replaced_is_refused(
    ceph: Ceph, owner: Client, published: Published, tmp_path: Path
) -> None:
    path = next(published.folder.glob("training*.nc"))
    body = path.read_bytes()[::-1]
    owner.put_object(Bucket=BUCKET, Key=f"wrong/{path.name}", Body=body, ACL="public-read")
    streamed = opened(published, tmp_path)
    ranges = RangeReader([f"{ceph.urls['one']}/{BUCKET}/wrong/"], 2, QUICK)
    reader = ChunkReader(streamed.root, ranges, streamed.reader.cache)

    with pytest.raises(FetchError) as error:
        reader.read(path.name, 20_000, 100)

    assert [problem.kind for problem in error.value.problems] == ["wrong"]
