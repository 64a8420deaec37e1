"""Progress: bytes are counted for a callback, and sizes are written for people."""

from __future__ import annotations

import threading

import pytest

from sciml_data.progress import Meter, counted, format_bytes, format_duration, minute_lines


def test_bytes_are_added_and_taken_back() -> None:
    calls: list[tuple[int, int]] = []
    meter = Meter(10, lambda done, total: calls.append((done, total)))

    for size in (4, 0, -4, 10):
        meter.advance(size)

    assert calls == [(4, 10), (0, 10), (10, 10)]


def test_without_a_callback_nothing_is_counted() -> None:
    Meter(10, None).advance(4)


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (14_468_028, "14.5 MB"),
        (10**13, "10.0 TB"),
    ],
)
def test_sizes_are_readable(size: int, words: str) -> None:
    assert format_bytes(size) == words


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.01, "0.01 s"), (9, "9 s"), (90, "90 s"), (119.6, "2 min"), (600, "10 min"),
        (3599, "1 h"), (6000, "1 h 40 min"), (7200, "2 h"), (200_000, "2.3 days"),
    ],
)  # fmt: skip
def test_durations_are_written_as_people_say_them(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_things_are_counted_in_the_right_number() -> None:
    assert [counted(number, "file") for number in (0, 1, 2_000)] == [
        "0 files", "1 file", "2,000 files"
    ]  # fmt: skip
    assert counted(3, "entry", "entries") == "3 entries"


def test_long_work_is_named_at_intervals_and_only_where_nothing_else_is_logged() -> None:
    lines: list[str] = []
    named = threading.Event()

    def log(line: str) -> None:
        lines.append(line)
        named.set()

    with minute_lines(log, lambda: "training, epoch 3 of 20", every_s=0.01):
        assert named.wait(60)
    with minute_lines(log, lambda: "never", every_s=3600) as logged:
        logged("epoch 4")

    assert lines[0].startswith("training, epoch 3 of 20, ")
    assert lines[0].endswith(" so far")
    assert lines[-1] == "epoch 4"
    assert not any("never" in line for line in lines)
