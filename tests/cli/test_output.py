"""Progress on stderr: a bar on a terminal, a line per minute elsewhere."""

from __future__ import annotations

import sys
import threading

import pytest

from sciml_data.cli.output import byte_bar
from sciml_data.progress import byte_lines, repeated


def test_no_bar_is_drawn_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    with byte_bar("get") as progress:
        progress(500, 3500)

    assert capsys.readouterr().err == ""


def test_a_log_gets_a_line_now_and_then() -> None:
    lines: list[str] = []
    times = iter([0, 0, 59, 60, 61, 119, 180, 240, 241, 301])

    progress = byte_lines("get tiny", lines.append, every_s=60, clock=lambda: next(times))
    for done in (0, 59, 60_000, 61_000, 120_000, 600_000, 600_000):
        progress(done, 1_000_000)
    for done in (0, 50):  # another stage begins
        progress(done, 100)

    assert lines == [
        "get tiny: 60.0 kB of 1.0 MB, 1.0 kB/s, 15:40 left",
        "get tiny: 600.0 kB of 1.0 MB, 4.5 kB/s, 1:29 left",
        "get tiny: 600.0 kB of 1.0 MB, no new bytes for 1:00",
        "get tiny: 50 bytes of 100 bytes, 1 byte/s, 1:00 left",
    ]


def test_hours_are_told_as_hours() -> None:
    lines: list[str] = []
    times = iter([0, 0, 100])

    progress = byte_lines("get", lines.append, every_s=60, clock=lambda: next(times))
    progress(0, 4_900_000_000_000)
    progress(10_000_000_000, 4_900_000_000_000)

    assert lines == ["get: 10.0 GB of 4.9 TB, 100.0 MB/s, 13:35:00 left"]


def test_a_terminal_gets_a_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)

    with byte_bar("get tiny") as progress:
        for done in (500, 200, 3500):  # back where a file starts again
            progress(done, 3500)

    assert "get tiny: 100%" in capsys.readouterr().err


def test_a_line_is_repeated_while_nothing_is_reported() -> None:
    lines: list[str] = []
    is_logged = threading.Event()

    def log(line: str) -> None:
        lines.append(line)
        is_logged.set()

    with repeated(byte_lines("convert tiny", log, every_s=0.01)) as progress:
        progress(0, 1_000_000)
        assert is_logged.wait(60)

    assert lines[0] == "convert tiny: 0 bytes of 1.0 MB, no new bytes for 0:00"


def test_nothing_is_repeated_before_the_amount_is_known() -> None:
    lines: list[str] = []
    progress = byte_lines("get tiny", lines.append, every_s=0)

    progress.repeat()

    assert lines == []
