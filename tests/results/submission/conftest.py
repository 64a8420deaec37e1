"""Toy runs and a submission of one, for every file here; each file has its own copy."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.submissions import FOLDER, Bench, bench_in, make_bench, without_staging


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the runs of which each file gets a copy; training takes seconds."""
    root = tmp_path_factory.mktemp("trained")
    make_bench(root)
    return root


@pytest.fixture(scope="module")
def bench(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Return runs whose data and code are known; while a file runs, data come without staging."""
    root = tmp_path_factory.mktemp("bench")
    shutil.copytree(trained, root, dirs_exist_ok=True)
    with without_staging(root):
        yield bench_in(root)


@pytest.fixture(scope="module")
def packed(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the root of a tree with one submission of one run."""
    root = tmp_path_factory.mktemp("packed")
    bench.pack(root, runs=bench.real[:1])
    return root


@pytest.fixture
def one(packed: Path, tmp_path: Path) -> Path:
    """Return a submission of one run, to be broken."""
    shutil.copytree(packed, tmp_path / "tree")
    return tmp_path / "tree" / FOLDER
