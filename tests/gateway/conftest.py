"""A Ceph that `nox -s gateway` brought up; its folder stands in SCIML_DATA_CEPH."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.buckets import Client, s3_client
from tests.support.ceph import Ceph, read_cluster

CEPH_VARIABLE = "SCIML_DATA_CEPH"


@pytest.fixture(scope="session")
def ceph() -> Ceph:
    folder = os.environ.get(CEPH_VARIABLE)
    if not folder:
        pytest.skip(f"no Ceph in {CEPH_VARIABLE}; `nox -s gateway` brings one up")
    return read_cluster(Path(folder))


@pytest.fixture(scope="session")
def owner(ceph: Ceph) -> Iterator[Client]:
    client = s3_client(ceph.urls["one"], ceph.access_key, ceph.secret_key)
    yield client
    client.close()
