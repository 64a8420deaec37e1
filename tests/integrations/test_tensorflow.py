"""Patches as a `tf.data.Dataset`: the batches of the stream, again each time it is read."""

from __future__ import annotations

import gc
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sciml_data.errors import CallError
from sciml_data.home import find_home
from sciml_data.ready import PatchSamples, convert, numpy_batches, select_samples
from sciml_data.ready.patches import (
    BatchContent,
    Patches,
    PatchGrid,
    find_scenes,
    list_patches,
    stream,
)
from sciml_data.ready.patches.reading import MemoryPool
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.registry.stages import Verified
from sciml_data.synthetic.make import make_sample
from tests.support.loader_samples import open_table

tf = pytest.importorskip("tensorflow")


@pytest.fixture(scope="module")
def patches(tmp_path_factory: pytest.TempPathFactory) -> Patches:
    descriptor = load_descriptor(find_registry(), "cloud_slstr_ds1")
    sample = {"count": {"training": 2}, "shape": [96, 112]}
    descriptor = replace(descriptor, native={**descriptor.native, "sample": sample})
    made = make_sample(descriptor, find_home(tmp_path_factory.mktemp("home")))
    verified = Verified(descriptor, made.folder, made.manifest, is_synthetic=True)
    return list_patches(find_scenes(convert(verified)), PatchGrid(size=32, stride=32))


@pytest.mark.parametrize(("raw", "dtype"), [(False, "float32"), (True, "int16")])
def test_batches_are_those_of_the_stream(
    patches: Patches,
    raw: bool,  # noqa: FBT001 - a parameter of the test
    dtype: str,
) -> None:
    from sciml_data.integrations import as_tf_dataset

    dataset = as_tf_dataset(
        PatchSamples(patches, BatchContent(raw=raw)), batch_size=7, seed=3, epoch=1
    )
    for _ in range(2):
        expected = list(stream(patches, batch_size=7, seed=3, epoch=1, raw=raw))
        found = list(dataset)

        assert [len(inputs) for inputs, _, _ in found] == [7, 7, 4]
        for batch, (inputs, labels, weights) in zip(expected, found, strict=True):
            assert inputs.dtype == dtype
            np.testing.assert_array_equal(batch.inputs, inputs.numpy())
            np.testing.assert_array_equal(batch.labels, labels.numpy())
            np.testing.assert_array_equal(batch.weights, weights.numpy())


def test_batches_are_not_copied_on_their_way(
    patches: Patches, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sciml_data.integrations import as_tf_dataset

    lent: set[int] = set()

    def noted(pool: MemoryPool, shape: tuple[int, ...], dtype: Any) -> Any:
        array = real(pool, shape, dtype)
        lent.add(array.ctypes.data)
        return array

    real = MemoryPool.empty
    monkeypatch.setattr(MemoryPool, "empty", noted)
    places = [
        {np.asarray(memoryview(tensor)).ctypes.data for tensor in batch}
        for batch in as_tf_dataset(PatchSamples(patches), batch_size=4, seed=0)
    ]

    assert places
    assert all(place <= lent for place in places)


def test_the_threads_end_with_the_iterator(patches: Patches) -> None:
    from sciml_data.integrations import as_tf_dataset

    batches = iter(as_tf_dataset(PatchSamples(patches), batch_size=1, seed=0))
    next(batches)
    reading = [one for one in threading.enumerate() if one.name.startswith("patches")]
    del batches
    gc.collect()
    for thread in reading:
        thread.join(timeout=30)

    assert reading
    assert not any(thread.is_alive() for thread in reading)


def test_what_cannot_be_is_refused_at_once(patches: Patches) -> None:
    from sciml_data.integrations import as_tf_dataset

    with pytest.raises(CallError):
        as_tf_dataset(PatchSamples(patches), batch_size=4, seed=0, ranks=(1, 1))


def test_rows_of_a_table_are_those_of_numpy(tmp_path: Path) -> None:
    from sciml_data.integrations import as_tf_dataset

    rows = select_samples(open_table(tmp_path), x=["dose", "expression[cell_index]"], y="number")
    found = list(as_tf_dataset(rows, batch_size=8, seed=3, epoch=1))
    expected = list(numpy_batches(rows, batch_size=8, seed=3, epoch=1))

    assert len(found) == len(expected)
    for tensors, arrays in zip(found, expected, strict=True):
        for tensor, array in zip(tensors, arrays, strict=True):
            assert tensor.dtype == array.dtype
            np.testing.assert_array_equal(tensor.numpy(), array)
