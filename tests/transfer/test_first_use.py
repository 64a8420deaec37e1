"""Trust on first use as typed: get, verify and pin of a bucket that nobody has pinned."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from sciml_data.cli.get import command as get_command
from sciml_data.cli.pin import command as pin_command
from sciml_data.cli.verify import command as verify_command
from sciml_data.curate.derive import drift
from sciml_data.errors import FetchError, ListingError, SciMLDataError, UpstreamChangedError
from sciml_data.home import Home
from sciml_data.registry.layout import Registry
from sciml_data.registry.manifest import manifest_of, read_manifest
from sciml_data.testing.datasets import write_files, write_unpinned
from sciml_data.testing.s3_server import S3Server

TRAIN = {f"train/{number}.bin": b"%d" % number * 10 for number in range(7)}
FILES = {**TRAIN, "test/a.bin": b"aa", "test/b.bin": b"b", "test/c.bin": b"ccc"}
EXPECTED = {"files": {"train/**": {"count": 7, "bytes_each": 10}, "test/**": {"count": 3}}}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[S3Server]:
    write_files(tmp_path / "served/bucket/data", FILES)
    parts = {"*/train/*": 4}
    with S3Server(tmp_path / "served", keys_per_page=4, part_bytes=parts) as server:
        yield server


@pytest.fixture(autouse=True)
def registry(tmp_path: Path, server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Registry:
    root = tmp_path / "registry"
    write_unpinned(
        root,
        mirrors=[{"": f"{server.url}/bucket/data/"}],
        splits={"train": ["train/*"], "test": ["test/*"]},
        expected=EXPECTED,
    )
    monkeypatch.setenv("SCIML_DATA_REGISTRY", str(root))
    return Registry(root)


def run(command: click.Command, *arguments: str) -> Result:
    """Run a verb; our errors come out as they are."""
    result = CliRunner().invoke(command, arguments)
    if isinstance(result.exception, SciMLDataError):
        raise result.exception
    assert result.exception is None
    return result


def fetched(home: Home) -> list[str]:
    native = home.dataset("tiny", "1.0").native
    return sorted(
        path.relative_to(native).as_posix() for path in native.rglob("*") if path.is_file()
    )


def test_a_part_then_the_whole_then_a_pin(home: Home, registry: Registry) -> None:
    folder = home.dataset("tiny", "1.0")

    part = run(get_command, "tiny", "--split", "train", "--limit", "2")
    assert fetched(home) == ["train/0.bin", "train/1.bin"]
    assert read_manifest(folder.manifest) == manifest_of(folder.native)
    assert (
        "2 of 10 files, 20 bytes of 76 bytes; 0 present, 2 files to fetch, 20 bytes" in part.stderr
    )
    assert "pin it" not in part.stderr
    assert run(verify_command, "tiny").stderr.startswith("tiny 1.0: 2 native files")

    whole = run(get_command, "tiny")
    assert fetched(home) == sorted(FILES)
    assert (
        "10 of 10 files, 76 bytes of 76 bytes; 2 present, 8 files to fetch, 56 bytes"
        in whole.stderr
    )
    assert "sciml-data pin tiny --version 1.0" in whole.stderr
    assert read_manifest(folder.manifest) == manifest_of(folder.native)

    assert run(pin_command, "tiny").stdout.startswith("Pin tiny 1.0: 10 files, 76 bytes\n")
    assert drift(registry) == []
    again = run(verify_command, "tiny", "--full", "--json")
    assert json.loads(again.stdout)["manifest"] == manifest_of(folder.native).digest
    assert run(get_command, "tiny").stderr.count("unpinned") == 0


def test_what_is_here_is_not_fetched_again(home: Home, server: S3Server) -> None:
    run(get_command, "tiny")
    sent = {request.path for request in server.requests}
    assert "bucket/data/train/0.bin" in sent
    server.requests.clear()

    run(get_command, "tiny")

    assert {request.path for request in server.requests} == {"bucket"}


def test_a_dry_run_asks_for_the_listing_and_says_so(home: Home, server: S3Server) -> None:
    result = run(get_command, "tiny", "--dry-run", "--include", "test/*")

    assert result.stdout.splitlines()[0] == (
        f"fetch        2 bytes  test/a.bin  {server.url}/bucket/data/test/a.bin"
    )
    assert result.stderr.startswith("tiny 1.0 is unpinned: asking its mirrors")
    assert {request.path for request in server.requests} == {"bucket"}
    assert not home.dataset("tiny", "1.0").root.exists()


def test_a_listing_that_lacks_files_stops_before_anything_is_fetched(
    home: Home, server: S3Server
) -> None:
    (server.root / "bucket/data/train/3.bin").unlink()

    with pytest.raises(ListingError, match="7 files expected, 6 listed"):
        run(get_command, "tiny", "--split", "test")

    assert {request.path for request in server.requests} == {"bucket"}
    assert not home.dataset("tiny", "1.0").native.exists()


def test_a_change_upstream_is_an_error_that_names_the_file(home: Home, server: S3Server) -> None:
    run(get_command, "tiny", "--limit", "1")
    write_files(server.root, {"bucket/data/train/3.bin": b"x" * 10})

    with pytest.raises(UpstreamChangedError) as error:
        run(get_command, "tiny")

    assert [problem.place for problem in error.value.problems] == ["train/3.bin"]


def test_bytes_that_are_not_those_listed_are_refused(home: Home, server: S3Server) -> None:
    """The listing is right, and the object is changed before it is asked for."""
    listings = iter(range(100))

    def change(request: object) -> None:
        if getattr(request, "path", "") == "bucket/data/test/a.bin" and next(listings) == 0:
            write_files(server.root, {"bucket/data/test/a.bin": b"zz"})

    server.before = change

    with pytest.raises(FetchError, match=r"test/a\.bin") as error:
        run(get_command, "tiny", "--include", "test/a.bin")
    assert "is not pinned" not in str(error.value)
    assert not (home.dataset("tiny", "1.0").native / "test/a.bin").exists()


def test_a_change_after_the_pin_is_caught_by_its_hash(server: S3Server, tmp_path: Path) -> None:
    run(get_command, "tiny")
    run(pin_command, "tiny")
    write_files(server.root, {"bucket/data/train/3.bin": b"x" * 10})

    with pytest.raises(FetchError, match="1 of 10 files") as error:
        run(get_command, "tiny", "--home", str(tmp_path / "other"))

    assert [problem.place for problem in error.value.problems] == ["train/3.bin"]


def test_without_a_mirror_what_was_fetched_goes_on_to_work(server: S3Server) -> None:
    run(get_command, "tiny", "--split", "test")
    (server.root / "bucket").rename(server.root / "away")

    result = run(get_command, "tiny", "--split", "test")

    assert "no mirror can be used; the listing of" in result.stderr
    with pytest.raises(ListingError, match=r"tiny 1\.0: 7 of 10 files not here"):
        run(get_command, "tiny")


def test_etags_are_pinned_without_a_fetch(registry: Registry, server: S3Server, home: Home) -> None:
    """Parts of 4 bytes are none that a client uses, so these files are refused by name."""
    with pytest.raises(ListingError) as error:
        run(pin_command, "tiny", "--listing")
    assert [problem.place for problem in error.value.problems] == sorted(TRAIN)

    with S3Server(server.root) as plain:
        run(pin_command, "tiny", "--listing", "--mirror", plain.url)
    assert {request.path for request in server.requests} == {"bucket"}

    with S3Server(server.root) as plain:
        run(get_command, "tiny", "--mirror", plain.url)
    assert fetched(home) == sorted(FILES)


def test_files_pinned_by_the_etags_of_their_parts_are_held(
    tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """17 MiB in parts of 8 MiB: no other usual size makes three parts of it."""
    write_files(tmp_path / "gateway/bucket", {"large.bin": bytes(17 << 20)})
    with S3Server(tmp_path / "gateway", part_bytes={"*": 8 << 20}) as gateway:
        write_unpinned(tmp_path / "parts", mirrors=[{"": f"{gateway.url}/bucket/"}])
        monkeypatch.setenv("SCIML_DATA_REGISTRY", str(tmp_path / "parts"))
        run(pin_command, "tiny", "--listing")

        run(get_command, "tiny")
        assert fetched(home) == ["large.bin"]

        write_files(tmp_path / "gateway/bucket", {"large.bin": bytes(16 << 20) + b"x" * (1 << 20)})
        with pytest.raises(FetchError, match=r"large\.bin"):
            run(get_command, "tiny", "--home", str(tmp_path / "other"))
