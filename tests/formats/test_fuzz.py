"""Damaged native files of every format end in data or in a sentence that names a file.

Fifteen mutations of each format here; `python -m tests.support.fuzz_formats` makes any number.
"""

from __future__ import annotations

import bz2
import lzma
import subprocess
import sys
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sciml_data.errors import NativeFormatError, Problem
from sciml_data.formats.interface import lines_of
from tests.support.damaged_files import damage
from tests.support.fuzz_formats import fuzz
from tests.support.paths import ROOT
from tests.support.small_formats import FORMATS, read_small, write_small

SLOW = {"candle_joined", "candle_tables", "cbed_hdf5", "cbed_npz", "scan_lmdb"}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n in SLOW else ()) for n in FORMATS]
)
def test_damage_is_data_or_a_sentence(name: str, tmp_path: Path) -> None:
    write_small(name, tmp_path)

    outcomes = list(fuzz(name, tmp_path, seed=0, numbers=range(15)))

    assert [str(outcome) for outcome in outcomes if outcome.is_fault] == []
    assert len(outcomes) == 15


def test_a_seed_says_all(tmp_path: Path) -> None:
    write_small("slstr_sen3", tmp_path / "sample")
    for turn in ("one", "two"):
        damage(tmp_path / "sample", tmp_path / turn, np.random.default_rng([5, 1]))

    one, two = (
        {path.name: path.read_bytes() for path in (tmp_path / turn).rglob("*") if path.is_file()}
        for turn in ("one", "two")
    )
    assert one == two


def test_the_program_repeats_one_mutation() -> None:
    program = [sys.executable, "-m", "tests.support.fuzz_formats", "--verbose"]
    done = subprocess.run(
        [*program, "--seed", "1", "--only", "3", "--format", "uno_ccle"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )

    assert "uno_ccle seed 1 3 " in done.stdout


@pytest.mark.parametrize(
    "compressor",
    [bz2.BZ2Compressor, lzma.LZMACompressor, partial(zlib.compressobj, wbits=31)],
    ids=["bzip2", "xz", "gzip"],
)
def test_r_data_that_inflate_to_far_more_are_refused(
    tmp_path: Path, compressor: Callable[[], Any]
) -> None:
    write_small("uno_almanac", tmp_path)
    deflate = compressor()
    content = deflate.compress(b"RDX3\n")
    for _ in range(400):
        content += deflate.compress(bytes(2**20))
    content += deflate.flush()
    (tmp_path / "robusthd" / "nci60.RData").write_bytes(content)

    with pytest.raises(NativeFormatError, match="the compressed content has more than") as error:
        list(read_small("uno_almanac", tmp_path))

    assert [problem.place for problem in error.value.problems] == ["nci60.RData"]


def test_a_number_of_400_digits_in_a_catalogue_is_a_sentence(tmp_path: Path) -> None:
    write_small("earthquake", tmp_path)
    path = sorted(tmp_path.rglob("*.catalog"))[0]
    lines = path.read_bytes().splitlines(keepends=True)
    row = next(number for number, line in enumerate(lines) if line[:1].isdigit())
    fields = lines[row].split()
    lines[row] = lines[row].replace(fields[-1], b"9" * 400)
    path.write_bytes(b"".join(lines))

    with pytest.raises(NativeFormatError, match=path.name):
        list(read_small("earthquake", tmp_path))


def test_a_zero_byte_is_left_out_of_the_lines_of_a_ready_file() -> None:
    assert lines_of([Problem("malformed", "a:1", "x\0y")]) == ["a:1: x?y"]
