"""Generators whose samples take long report their progress."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from sciml_data.bench.run import staging
from sciml_data.home import Home
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.synthetic.make import make_sample, progress_lines


class Generator:
    """Makes three parts, and tells each where it can."""

    def write_sample(
        self, root: Path, block: Mapping[str, Any], seed: int, *, progress: Any = None
    ) -> None:
        for number in range(3):
            (root / f"{number}.txt").write_text(f"{seed} {block['reader']}")
            if progress is not None:
                progress(number + 1, 3)


class Silent:
    """Cannot tell."""

    def write_sample(self, root: Path, block: Mapping[str, Any], seed: int) -> None:
        (root / "0.txt").write_text(f"{seed} {block['reader']}")


def test_a_reader_that_can_tells_how_far_it_is(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    descriptor = load_descriptor(find_registry(), "stemdl_cbed")
    told: list[tuple[int, int]] = []

    for seed, generator in enumerate((Generator(), Silent())):
        monkeypatch.setattr(
            "sciml_data.synthetic.make.load_generator", lambda _, one=generator: one
        )
        make_sample(descriptor, home, seed=seed, progress=lambda *parts: told.append(parts))

    assert told == [(1, 3), (2, 3), (3, 3)]


def test_lines_come_now_and_then_with_the_time_that_is_left() -> None:
    lines: list[str] = []
    seconds = iter([0.0, 4.0, 11.0, 12.0, 30.0])
    show = progress_lines("sample", lines.append, every_s=10, clock=lambda: next(seconds))

    for done in (1, 2, 3, 5):
        show(done, 8)

    assert lines == [
        "sample: 2 of 8 parts, 33 s left",
        "sample: 5 of 8 parts, 18 s left",
    ]


def test_a_run_tells_how_far_its_sample_is(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    descriptor = load_descriptor(find_registry(), "stemdl_cbed")
    monkeypatch.setattr("sciml_data.synthetic.make.load_generator", lambda _: Generator())
    monkeypatch.setattr(
        progress_lines, "__kwdefaults__", {"every_s": 0.0, "clock": iter(range(99)).__next__}
    )
    lines: list[str] = []

    staging._fetch(descriptor, home, mirrors=(), sample=staging.Sample(0), log=lines.append)

    assert [line.partition(",")[0] for line in lines[1:]] == [
        f"sample: {done} of 3 parts" for done in (1, 2, 3)
    ]
