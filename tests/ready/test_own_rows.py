"""Which rows of a batch a process reads."""

from __future__ import annotations

import pytest

from sciml_data.ready.own_rows import (
    EVERYTHING,
    STRIDE,
    Comparison,
    OwnRows,
    batches_with,
    make_batch,
    own_rows,
    reading,
)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 64])
@pytest.mark.parametrize("pieces", [1, 2, 3, 8])
def test_processes_read_each_row_and_none_reads_nothing(count: int, pieces: int) -> None:
    slices = [OwnRows(piece, piece + 1, pieces).of(count) for piece in range(pieces)]

    read = {row for rows in slices for row in range(count)[rows]}
    assert read == set(range(count))
    assert all(rows.stop > rows.start for rows in slices)


def test_a_process_with_several_devices_reads_the_rows_of_all() -> None:
    assert OwnRows(1, 3, 4).of(8) == slice(2, 6)
    assert EVERYTHING.of(8) == slice(0, 8)


def test_a_comparison_reads_the_first_every_eighth_and_each_smaller_batch_whole() -> None:
    comparison = Comparison(offset=3)
    sizes = [16] * (4 * STRIDE) + [5]

    slices = [comparison.of(size, number) for number, size in enumerate(sizes)]

    whole = {0, 3, 3 + STRIDE, 3 + 2 * STRIDE, 3 + 3 * STRIDE, len(sizes) - 1}
    assert {number for number in range(len(sizes)) if comparison.is_whole(number)} == whole
    for number, (rows, size) in enumerate(zip(slices, sizes, strict=True)):
        assert rows == slice(0, size if number in whole else 1)


def test_a_process_without_a_row_reads_the_first_for_its_shape() -> None:
    assert OwnRows(0, 1, 4).of(2) == slice(0, 1)


def test_a_batch_without_a_number_is_the_first() -> None:
    assert Comparison(offset=3).of(16) == slice(0, 16)
    with reading(Comparison(offset=3)):
        assert own_rows(16) == slice(0, 16)


def test_rows_are_reset_at_the_end_also_after_an_error() -> None:
    with reading(OwnRows(1, 2, 2)):
        assert own_rows(10) == slice(5, 10)
    with pytest.raises(ZeroDivisionError), reading(OwnRows(1, 2, 2)):
        raise ZeroDivisionError

    assert own_rows(10) == slice(0, 10)


def test_batches_are_numbered_and_the_caller_reads_everything() -> None:
    comparison = Comparison(offset=2)
    batches = (own_rows(16) for _ in range(2 * STRIDE + 3))
    made: list[int] = []

    for rows in batches_with(comparison, batches):
        assert own_rows(16) == slice(0, 16)
        made.append(rows.stop)

    whole = {0, 2, 2 + STRIDE, 2 + 2 * STRIDE}
    assert made == [16 if number in whole else 1 for number in range(2 * STRIDE + 3)]


def test_a_batch_that_a_thread_makes_has_the_rows_of_its_number() -> None:
    def make(size: int) -> slice:
        return own_rows(size)

    with reading(Comparison(offset=2)):
        made = [make_batch(number, make, 16).stop for number in range(4)]

    assert made == [16, 1, 16, 1]
