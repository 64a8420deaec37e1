"""Rows of a dataset are samples that can be read in any order, in batches, by any process."""

from __future__ import annotations

import multiprocessing
import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from sciml_data.errors import CallError
from sciml_data.ready import RowSamples, numpy_batches, select_samples
from tests.support.loader_samples import CELLS, GENES, ROWS, open_images, open_table


@pytest.fixture
def table(tmp_path: Path) -> xr.Dataset:
    return open_table(tmp_path)


@pytest.fixture
def images(tmp_path: Path) -> xr.Dataset:
    return open_images(tmp_path)


def test_a_single_name_keeps_shape_and_type(images: xr.Dataset) -> None:
    samples = select_samples(images, x="noisy", y="label")
    x, y = samples.read(np.array([100, 3, 3]))

    assert len(samples) == ROWS
    assert (x.shape, str(x.dtype), str(y.dtype)) == ((3, 4, 6), "float32", "int64")
    assert x[:, 0, 0].tolist() == [100.0, 3.0, 3.0]
    assert y.tolist() == [1, 0, 0]


def test_names_in_a_list_are_columns_and_an_index_selects_rows_of_a_table(
    table: xr.Dataset,
) -> None:
    samples = select_samples(
        table, x=["dose", "expression[cell_index]", "time"], y=["growth"], dtype="float32"
    )
    x, y = samples.read(np.array([5, 102, 0]))
    cells = table.expression.values[table.cell_index.values[[5, 102, 0]]]

    assert (x.shape, y.shape) == ((3, GENES + 2), (3, 1))
    assert [str(values.dtype) for values in (x, y)] == ["float32", "float32"]
    np.testing.assert_array_equal(x[:, 0], table.dose.values[[5, 102, 0]])
    np.testing.assert_array_equal(x[:, 1:-1], cells)
    assert x[:, -1].tolist() == [86_405.0, 86_502.0, 86_400.0]


def test_rows_can_be_chosen_by_a_mask_or_by_numbers(table: xr.Dataset) -> None:
    mask = table.number.values % 10 == 3
    by_mask = select_samples(table, x="number", rows=mask)
    by_number = select_samples(table, x="number", rows=[100, 3])

    assert by_mask.read(np.arange(len(by_mask)))[0].tolist() == list(range(3, ROWS, 10))
    assert by_number.read(np.array([1, 0]))[0].tolist() == [3, 100]


@pytest.mark.parametrize("memory_bytes", [0, 500, 10**6])
def test_values_do_not_depend_on_the_memory(table: xr.Dataset, memory_bytes: int) -> None:
    names: Any = {"x": ["dose", "expression[cell_index]"], "y": "growth"}
    expected = select_samples(table, **names).read(np.arange(ROWS))
    samples = select_samples(table, **names, memory_bytes=memory_bytes)
    order = np.random.default_rng(1).permutation(ROWS)

    for values, found in zip(expected, samples.read(order), strict=True):
        np.testing.assert_array_equal(values[order], found)


def test_no_more_than_the_budget_stays_in_memory(images: xr.Dataset) -> None:
    samples = select_samples(images, x="noisy", y="label", memory_bytes=ROWS * 8)
    for _ in numpy_batches(samples, batch_size=8, seed=0):
        pass

    assert list(samples._memory.stored) == ["label"]
    assert samples._memory.free_bytes == 0


def test_all_ranks_together_have_each_sample_once(table: xr.Dataset) -> None:
    samples = select_samples(table, x="number")
    numbers = [
        value
        for rank in range(4)
        for (x,) in numpy_batches(samples, batch_size=8, seed=1, epoch=2, ranks=(rank, 4))
        for value in x.tolist()
    ]

    assert sorted(numbers) == list(range(ROWS))
    assert numbers != sorted(numbers)


def test_an_epoch_is_resumed_at_a_batch(table: xr.Dataset) -> None:
    samples = select_samples(table, x="number")
    whole = [x.tolist() for (x,) in numpy_batches(samples, batch_size=8, seed=1)]
    rest = [x.tolist() for (x,) in numpy_batches(samples, batch_size=8, seed=1, start_batch=5)]

    assert rest == whole[5:]


def read_and_put(samples: RowSamples, queue: Any) -> None:
    queue.put([array.tolist() for array in samples.read(np.array([9, 70]))])


@pytest.mark.parametrize("method", ["spawn", "fork"])
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_another_process_reads_the_same_values(images: xr.Dataset, method: str) -> None:
    samples = select_samples(images, x="noisy", y="label", memory_bytes=0)
    expected = [array.tolist() for array in samples.read(np.array([9, 70]))]
    context: Any = multiprocessing.get_context(method)
    queue = context.Queue()
    process = context.Process(target=read_and_put, args=(samples, queue))
    process.start()

    assert queue.get(timeout=120) == expected
    process.join()
    assert process.exitcode == 0


def test_pickled_samples_have_no_values(table: xr.Dataset) -> None:
    samples = select_samples(table, x="expression[cell_index]")
    samples.read(np.arange(ROWS))

    assert samples._memory.stored
    assert pickle.loads(pickle.dumps(samples))._memory.stored == {}  # noqa: S301 - our own bytes


def test_several_threads_read_the_same_values(table: xr.Dataset) -> None:
    samples = select_samples(table, x=["expression[cell_index]", "dose"])
    expected = samples.read(np.arange(ROWS))[0]
    results: list[Any] = []
    fresh = pickle.loads(pickle.dumps(samples))  # noqa: S301 - our own bytes
    threads = [
        threading.Thread(target=lambda: results.append(fresh.read(np.arange(ROWS))[0]))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [np.array_equal(result, expected) for result in results] == [True] * 4


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ({"x": "dos"}, "dose"),
        ({"x": []}, "at least one variable"),
        ({"x": "cell_id"}, "text"),
        ({"x": "dose", "y": "expression"}, "expression"),
        ({"x": "expression[dose]"}, "dose is not an index"),
        ({"x": "expression[bad_index]"}, f"bad_index has {ROWS} values"),
        ({"x": "dose", "rows": [ROWS]}, "rows"),
        ({"x": "dose", "rows": [True]}, "rows"),
    ],
)
def test_what_cannot_be_read_is_refused_at_once(
    table: xr.Dataset, options: dict[str, Any], place: str
) -> None:
    with pytest.raises(CallError, match=place):
        select_samples(table, **options)


def test_an_image_is_not_a_column(images: xr.Dataset) -> None:
    with pytest.raises(CallError, match="noisy is not a column"):
        select_samples(images, x=["label", "noisy"])


def test_a_batch_without_samples_is_refused(table: xr.Dataset) -> None:
    with pytest.raises(CallError, match="batches of 0 samples"):
        numpy_batches(select_samples(table, x="dose"), batch_size=0, seed=0)


def test_a_table_has_a_row_for_each_cell(table: xr.Dataset) -> None:
    assert len(select_samples(table, x="expression")) == CELLS
