"""Servers and plans of the download tests.

A module that needs other files or two servers overrides `server` or `servers`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sciml_data.home import Home
from sciml_data.registry.descriptor import Descriptor
from sciml_data.registry.stages import Plan
from sciml_data.testing.datasets import write_dataset, write_files
from sciml_data.testing.server import FileServer
from sciml_data.transfer.plan import make_plan
from tests.support.downloads import FOUR_FILES


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FileServer]:
    """Return a server of four small files."""
    write_files(tmp_path / "served", FOUR_FILES)
    with FileServer(tmp_path / "served") as server:
        yield server


@pytest.fixture
def descriptor(tmp_path: Path, server: FileServer) -> Descriptor:
    """Return a dataset of the four files, whose only mirror is the server."""
    return write_dataset(
        tmp_path / "registry",
        FOUR_FILES,
        mirrors=[{"": f"{server.url}/"}],
        splits={"deep": ["deep/**"]},
    )


@pytest.fixture
def plan(descriptor: Descriptor, home: Home) -> Plan:
    """Return the plan of all four files."""
    return make_plan(descriptor, home)


@pytest.fixture
def first(servers: tuple[FileServer, FileServer]) -> FileServer:
    """Return the first of two mirrors; tests give their faults to this one."""
    return servers[0]


@pytest.fixture
def second(servers: tuple[FileServer, FileServer]) -> FileServer:
    """Return the second of two mirrors."""
    return servers[1]
