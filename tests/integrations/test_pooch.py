"""A dataset as a `pooch.Pooch`: its registry and its fetch are ours."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import sciml_data
from sciml_data.cli import group
from sciml_data.errors import CallError, FetchError
from sciml_data.home import Home
from sciml_data.integrations.pooch_registry import pooch_hash, pooch_url, to_pooch_registry
from sciml_data.registry.manifest import Entry, Manifest
from sciml_data.testing.datasets import write_dataset, write_files, write_unpinned
from sciml_data.testing.faults import cut, status
from sciml_data.testing.server import FileServer
from tests.support.ports import closed_port

pooch = pytest.importorskip("pooch")

FILES = {f"deep/{number}.bin": bytes([number]) * 300_000 for number in range(4)}


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[list[FileServer]]:
    write_files(tmp_path / "served", FILES)
    with FileServer(tmp_path / "served") as first, FileServer(tmp_path / "served") as second:
        yield [first, second]


@pytest.fixture
def library(tmp_path: Path, servers: list[FileServer]) -> Any:
    mirrors = [{"": f"{server.url}/"} for server in servers]
    write_dataset(tmp_path / "registry", FILES, mirrors=mirrors)
    return sciml_data.pooch("tiny", "1.0", registry=tmp_path / "registry")


def test_it_is_a_pooch_with_our_registry(library: Any, servers: list[FileServer]) -> None:
    assert isinstance(library, pooch.Pooch)
    assert library.registry_files == sorted(FILES)
    assert library.registry["deep/0.bin"].startswith("sha256:")
    assert library.get_url("deep/0.bin") == f"{servers[0].url}/deep/0.bin"


def test_one_file_is_fetched_to_the_home_and_the_others_are_not(library: Any, home: Home) -> None:
    place = library.fetch("deep/1.bin")

    native = home.dataset("tiny", "1.0").native
    assert place == str(native / "deep/1.bin")
    assert Path(place).read_bytes() == FILES["deep/1.bin"]
    assert [path.name for path in native.rglob("*.bin")] == ["1.bin"]


def test_a_file_that_is_there_is_not_asked_for_again(
    library: Any, servers: list[FileServer]
) -> None:
    library.fetch("deep/1.bin")
    asked = len(servers[0].requests)

    library.fetch("deep/1.bin")

    assert len(servers[0].requests) == asked


def test_a_cut_is_resumed(library: Any, servers: list[FileServer]) -> None:
    servers[0].add(cut(200_000), path="deep/1.bin", times=1)

    assert Path(library.fetch("deep/1.bin")).read_bytes() == FILES["deep/1.bin"]
    assert sum(server.bytes_sent for server in servers) < 400_000


def test_a_mirror_that_lies_is_left(
    library: Any, servers: list[FileServer], tmp_path: Path
) -> None:
    write_files(tmp_path / "lies", {"deep/2.bin": b"?" * 300_000})
    servers[0].root = tmp_path / "lies"

    assert Path(library.fetch("deep/2.bin")).read_bytes() == FILES["deep/2.bin"]
    assert servers[1].requests


def test_what_no_mirror_gives_is_an_error(library: Any, servers: list[FileServer]) -> None:
    for server in servers:
        server.add(status(404), path="deep/3.bin")

    with pytest.raises(FetchError, match=r"1 of 1 file"):
        library.fetch("deep/3.bin")


def test_several_threads_may_fetch(library: Any) -> None:
    with ThreadPoolExecutor(4) as threads:
        places = list(threads.map(library.fetch, FILES))

    assert [Path(place).read_bytes() for place in places] == list(FILES.values())


def test_a_processor_is_told_what_was_done(library: Any) -> None:
    told: list[tuple[str, str, bool]] = []

    def processor(name: str, action: str, of: object) -> int:
        told.append((Path(name).name, action, of is library))
        return len(told)

    results = [library.fetch("deep/1.bin", processor=processor) for _ in range(2)]

    assert results == [1, 2]
    assert told == [("1.bin", "download", True), ("1.bin", "fetch", True)]


def test_a_progress_bar_is_told_of_every_byte(library: Any) -> None:
    class Bar:
        total, done = 0, 0

        def update(self, size: int) -> None:
            self.done += size

    bar = Bar()

    library.fetch("deep/1.bin", progressbar=bar)

    assert (bar.total, bar.done) == (300_000, 300_000)


def test_a_downloader_of_the_user_is_used_and_checked_by_pooch(library: Any) -> None:
    def downloader(url: str, output_file: str, of: object) -> None:
        Path(output_file).write_bytes(b"wrong")

    with pytest.raises(ValueError, match="does not match the known hash"):
        library.fetch("deep/1.bin", downloader=downloader)


def test_a_file_that_is_not_in_the_registry_is_refused_as_pooch_does(library: Any) -> None:
    with pytest.raises(ValueError, match="is not in the registry"):
        library.fetch("deep/9.bin")


def test_an_unpinned_version_is_listed_first(tmp_path: Path) -> None:
    write_files(tmp_path / "bucket", FILES)
    write_unpinned(tmp_path / "registry", mirrors=[{"": "https://example.org/bucket/"}])

    library = sciml_data.pooch(
        "tiny", registry=tmp_path / "registry", mirrors=[f"file:{tmp_path}/bucket"]
    )

    assert library.registry == dict.fromkeys(FILES)
    assert Path(library.fetch("deep/1.bin")).read_bytes() == FILES["deep/1.bin"]


def test_a_live_version_has_no_files() -> None:
    with pytest.raises(CallError, match="has no list of files"):
        sciml_data.pooch("tevolop_socal", "live")


def test_without_pooch_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "sciml_data.integrations.pooch", raising=False)
    monkeypatch.setitem(sys.modules, "pooch", None)

    with pytest.raises(CallError) as error:
        sciml_data.pooch("tevolop_socal", "1.0")

    assert error.value.hint == "pip install 'sciml-data[pooch]'"


def test_a_file_is_available_if_any_mirror_has_it(library: Any, servers: list[FileServer]) -> None:
    assert library.is_available("deep/0.bin")
    servers[0].add(status(404), times=None)
    assert library.is_available("deep/0.bin")
    servers[1].add(status(404), times=None)
    assert not library.is_available("deep/0.bin")
    with pytest.raises(ValueError, match="is not in the registry"):
        library.is_available("deep/9.bin")
    assert library.is_available("deep/0.bin", downloader=lambda *_, check_only: check_only)


@pytest.mark.parametrize("scheme", ["file", "ftp", "sftp"])
def test_a_file_is_available_at_every_kind_of_mirror(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    from tests.support.ftp_server import FtpServer
    from tests.support.programs import sshd

    pytest.importorskip("paramiko")
    write_files(tmp_path / "served", {**FILES, "empty.bin": b""})
    write_dataset(tmp_path / "registry", {**FILES, "empty.bin": b"", "absent.bin": b"x"})
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with FtpServer(tmp_path / "served") as server, sshd(tmp_path / "user") as port:
        mirrors = {
            "file": f"file:{tmp_path}/served",
            "ftp": server.url,
            "sftp": f"sftp://127.0.0.1:{port}{tmp_path}/served",
        }
        library = sciml_data.pooch(
            "tiny", "1.0", registry=tmp_path / "registry", mirrors=[mirrors[scheme]]
        )

        assert library.is_available("deep/0.bin")
        assert library.is_available("empty.bin")
        assert not library.is_available("absent.bin")


def test_a_mirror_that_does_not_answer_is_an_error_of_is_available(tmp_path: Path) -> None:
    with closed_port() as port:
        write_dataset(tmp_path / "registry", FILES, mirrors=[{"": f"http://127.0.0.1:{port}/"}])
        library = sciml_data.pooch("tiny", "1.0", registry=tmp_path / "registry")

        with pytest.raises(FetchError, match="no mirror of"):
            library.is_available("deep/0.bin")


# --- the registry file for stock Pooch -----------------------------------------------------------


ODD = {**FILES, "a b/c'd #e.bin": b"odd", "#f.bin": b"f", "ü.bin": b"u"}


def exported(registry: Path, *options: str) -> Result:
    arguments = ["export", "pooch", "tiny", "--registry", str(registry), *options]
    return CliRunner().invoke(group, arguments)


def test_stock_pooch_fetches_with_an_exported_registry(
    tmp_path: Path, servers: list[FileServer]
) -> None:
    write_files(tmp_path / "served", ODD)
    write_dataset(tmp_path / "registry", ODD, mirrors=[{"": f"{servers[0].url}/"}])
    place = tmp_path / "registry.txt"

    result = exported(tmp_path / "registry", "--version", "1.0", "--to", str(place))

    assert (result.exit_code, result.output) == (0, "")
    stock = pooch.create(path=tmp_path / "cache", base_url="")
    stock.load_registry(place)
    assert stock.registry_files == sorted(ODD)
    for path, content in ODD.items():
        assert stock.registry[path].startswith("sha256:")
        assert Path(stock.fetch(path)).read_bytes() == content
    write_files(tmp_path / "served", {"ü.bin": b"v"})
    (tmp_path / "cache" / "ü.bin").unlink()
    with pytest.raises(ValueError, match="does not match the known hash"):
        stock.fetch("ü.bin")


def test_files_without_a_mirror_have_no_address(tmp_path: Path, servers: list[FileServer]) -> None:
    write_dataset(tmp_path / "registry", FILES)
    lines = exported(tmp_path / "registry").stdout.splitlines()[1:]

    assert all(len(line.split()) == 2 for line in lines)
    stock = pooch.create(path=tmp_path / "cache", base_url=f"{servers[0].url}/")
    stock.load_registry(io.StringIO("\n".join(lines)))
    assert Path(stock.fetch("deep/1.bin")).read_bytes() == FILES["deep/1.bin"]


def test_an_unpinned_version_and_hashes_that_pooch_lacks_are_refused(tmp_path: Path) -> None:
    write_unpinned(tmp_path / "unpinned", mirrors=[{"": "https://example.org/bucket/"}])
    assert "is not pinned" in str(exported(tmp_path / "unpinned").exception)
    descriptor = write_dataset(tmp_path / "registry", FILES)
    entries = (Entry("a.bin", 1, "gitblob:" + "0" * 40), Entry("b.bin", 1, "md5:" + "0" * 32))

    with pytest.raises(CallError, match=r"1 file of tiny 1\.0") as error:
        to_pooch_registry(replace(descriptor, manifest=Manifest(entries)))
    assert [problem.place for problem in error.value.problems] == ["a.bin"]


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ("sha256:ab", "sha256:ab"),
        ("md5:ab", "md5:ab"),
        ("s3etag:ab", "md5:ab"),
        ("s3etag:ab-2:8", None),
        ("gitblob:ab", None),
        (None, None),
    ],
)
def test_a_hash_is_one_that_pooch_can_compute(known: str | None, expected: str | None) -> None:
    assert pooch_hash(known) == expected


def test_addresses_are_written_as_pooch_reads_them() -> None:
    assert pooch_url("doi:10.5281/zenodo.1#a%20b") == "doi:10.5281/zenodo.1/a b"
    assert pooch_url("ftp://h/a%20b") == "ftp://h/a b"
    assert pooch_url("https://h/a%20b") == "https://h/a%20b"
