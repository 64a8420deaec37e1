"""Files known by name on a server that lists nothing: each is asked for, and held to its size."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sciml_data.errors import ListingError, UpstreamChangedError
from sciml_data.home import Home
from sciml_data.registry.descriptor import Descriptor
from sciml_data.registry.manifest import manifest_of, read_manifest
from sciml_data.testing.datasets import write_files, write_unpinned
from sciml_data.testing.faults import status
from sciml_data.testing.server import FileServer
from sciml_data.transfer.download import fetch
from sciml_data.transfer.listing.listing import expected_names
from sciml_data.transfer.plan import make_plan
from sciml_data.transfer.protocols.retry import RetryPolicy

FILES = {"table.tsv": b"a\tb\n1\t2\n", "drug info": b"ID\n"}
SIZES = {name: {"count": 1, "bytes_each": len(content)} for name, content in FILES.items()}
RETRY = RetryPolicy(tries=2, pause=lambda _: None)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FileServer]:
    write_files(tmp_path / "served/pub", FILES)
    with FileServer(tmp_path / "served") as server:
        yield server


@pytest.fixture
def descriptor(tmp_path: Path, server: FileServer) -> Descriptor:
    mirrors = [{"": f"{server.url}/pub/"}]
    return write_unpinned(tmp_path / "registry", mirrors=mirrors, expected={"files": SIZES})


def test_names_are_known_only_where_no_glob_stands_for_some() -> None:
    assert expected_names({"files": SIZES}) == ("table.tsv", "drug info")
    assert expected_names({"files": {**SIZES, "train/**": {"count": 3}}}) == ()
    assert expected_names({"total_bytes": {"least": 1, "most": 2}}) == ()


def test_each_file_is_asked_for_its_first_byte_and_fetched_with_its_hash(
    descriptor: Descriptor, home: Home, server: FileServer
) -> None:
    plan = make_plan(descriptor, home, retry=RETRY)

    assert {file.path: file.size_bytes for file in plan.files} == {"table.tsv": 8, "drug info": 3}
    assert {"bytes=0-0"} == {request.range for request in server.requests}
    assert [file.etag for file in plan.files] == [None, None]
    fetched = fetch(plan, retry=RETRY)
    assert fetched.manifest == manifest_of(fetched.root)
    assert read_manifest(plan.folder.manifest) == fetched.manifest


def test_another_size_is_refused_by_name(
    descriptor: Descriptor, home: Home, server: FileServer
) -> None:
    (server.root / "pub/table.tsv").write_bytes(b"cut")

    with pytest.raises(ListingError) as error:
        make_plan(descriptor, home, retry=RETRY)

    assert "table.tsv: 8 bytes each expected; other sizes: table.tsv (3)" in str(error.value)


def test_a_file_that_is_gone_is_missed(
    descriptor: Descriptor, home: Home, server: FileServer
) -> None:
    (server.root / "pub/drug info").unlink()

    with pytest.raises(ListingError, match="drug info: 1 file expected, 0 listed"):
        make_plan(descriptor, home, retry=RETRY)


def test_a_server_that_has_none_of_them_says_why(
    descriptor: Descriptor, home: Home, server: FileServer
) -> None:
    server.add(status(403), times=None)

    with pytest.raises(ListingError, match="403"):
        make_plan(descriptor, home, retry=RETRY)


def test_a_busy_server_is_asked_again(
    descriptor: Descriptor, home: Home, server: FileServer
) -> None:
    server.add(status(503), times=1)

    assert len(make_plan(descriptor, home, retry=RETRY).files) == 2


def test_a_file_that_changed_since_is_an_error(
    descriptor: Descriptor, home: Home, server: FileServer
) -> None:
    fetch(make_plan(descriptor, home, retry=RETRY), retry=RETRY)
    changed = server.root / "pub/table.tsv"
    changed.write_bytes(b"a\tb\n9\t9\n")
    os.utime(changed, (1, 1))

    with pytest.raises(UpstreamChangedError) as error:
        make_plan(descriptor, home, retry=RETRY)

    assert [(one.kind, one.place) for one in error.value.problems] == [("changed", "table.tsv")]


def test_a_folder_of_the_user_may_have_other_files_too(
    descriptor: Descriptor, home: Home, server: FileServer, tmp_path: Path
) -> None:
    write_files(tmp_path / "copy", {**FILES, "notes.txt": b"mine"})

    plan = make_plan(descriptor, home, mirrors=[f"file:{tmp_path / 'copy'}"], retry=RETRY)

    assert sorted(FILES) == [file.path for file in plan.files]
    assert plan.files[0].urls[0].startswith("file:")
    assert server.requests == []
