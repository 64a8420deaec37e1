"""A replayed event service, and a fetch from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sciml_data.home import DatasetFolder
from sciml_data.testing.fdsn_server import FdsnServer
from tests.support.fdsn_fetch import LiveFetch, made_up_events, without_service


@pytest.fixture
def event_server() -> Iterator[FdsnServer]:
    """Return a service with 402 events that sends 200 at most: several windows are needed."""
    with FdsnServer(made_up_events(), limit=200) as server:
        yield server


@pytest.fixture
def get(tmp_path: Path, event_server: FdsnServer) -> LiveFetch:
    """Return a callable that fetches from the service."""
    return LiveFetch(event_server, DatasetFolder(tmp_path / "live"), without_service())
