"""Trust on first use: which listing is accepted, and what is logged about the others."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from sciml_data.errors import ListingError, UpstreamChangedError
from sciml_data.home import DatasetFolder
from sciml_data.registry.descriptor import Descriptor, Mirror
from sciml_data.testing.datasets import write_files, write_unpinned
from sciml_data.testing.faults import status
from sciml_data.testing.s3_server import S3Server
from sciml_data.testing.server import Request
from sciml_data.transfer.listing import AcceptedListing, list_files, read_listing
from sciml_data.transfer.protocols import Listed, SourceError, TransientError
from sciml_data.transfer.protocols.retry import RetryPolicy
from sciml_data.transfer.protocols.s3 import UnsteadyListingError

EXPECTED = {"files": {"train/**": {"count": 4, "bytes_each": 10}, "test/**": {"count": 2}}}
TRAIN = {f"train/{number}.bin": b"0123456789" for number in range(4)}
FILES = {**TRAIN, "test/a.bin": b"aa", "test/b.bin": b"b"}
RETRY = RetryPolicy(tries=2, pause=lambda _: None)


@pytest.fixture
def folder(tmp_path: Path) -> DatasetFolder:
    return DatasetFolder(tmp_path / "home" / "tiny" / "1.0")


@pytest.fixture
def descriptor(tmp_path: Path) -> Descriptor:
    """Two mirrors that are folders, the second with an older folder name as well."""
    written = write_unpinned(
        tmp_path / "registry", mirrors=[{"": "https://one.example/"}], expected=EXPECTED
    )
    names = {"one": "train", "two": "train", "two-old": "one-day"}
    mirrors = tuple(
        Mirror(
            name,
            {
                "train/": f"{(tmp_path / name.split('-')[0]).as_uri()}/{train}/",
                "test/": f"{(tmp_path / name.split('-')[0]).as_uri()}/test/",
            },
            "s3://bucket/",
        )
        for name, train in names.items()
    )
    return dataclasses.replace(written, mirrors=mirrors)


class Asked:
    """Lists the files, and keeps the log lines."""

    def __init__(self, descriptor: Descriptor, folder: DatasetFolder) -> None:
        self.descriptor = descriptor
        self.folder = folder
        self.lines: list[str] = []

    def __call__(self, *bases: str) -> AcceptedListing:
        self.lines.clear()
        return list_files(
            self.descriptor,
            self.folder,
            bases=bases,
            log=self.lines.append,
            retry=RETRY,
        )


@pytest.fixture
def ask(descriptor: Descriptor, folder: DatasetFolder) -> Asked:
    return Asked(descriptor, folder)


def without(path: str) -> dict[str, bytes]:
    return {name: content for name, content in FILES.items() if name != path}


def test_the_first_listing_that_is_as_expected_is_kept(ask: Asked, tmp_path: Path) -> None:
    write_files(tmp_path / "one", FILES)

    found = ask()

    assert [one.path for one in found.listing.files] == sorted(FILES)
    assert read_listing(ask.folder.listing) == found.listing
    assert ask.lines == [
        "tiny 1.0 is unpinned: asking its mirrors for a listing",
        "mirror one lists 6 files, 43 bytes, as expected",
    ]


def test_a_file_is_asked_first_where_it_was_listed_then_of_mirrors_not_asked(
    ask: Asked, tmp_path: Path
) -> None:
    write_files(tmp_path / "one", FILES)

    urls = ask().urls("train/1.bin")

    assert urls == (
        f"{(tmp_path / 'one').as_uri()}/train/1.bin",
        f"{(tmp_path / 'two').as_uri()}/train/1.bin",
        f"{(tmp_path / 'two').as_uri()}/one-day/1.bin",
    )


def test_files_that_are_missing_are_named_where_another_mirror_has_them(
    ask: Asked, tmp_path: Path
) -> None:
    write_files(tmp_path / "one", without("train/2.bin"))
    write_files(tmp_path / "two", FILES)

    found = ask()

    assert len(found.listing.files) == 6
    assert ask.lines[1:] == [
        "mirror one is skipped: train/**: 4 files expected, 3 listed; missing: train/2.bin",
        "mirror two lists 6 files, 43 bytes, as expected",
    ]
    one = (tmp_path / "one").as_uri()
    assert not any(url.startswith(one) for url in found.urls("train/2.bin"))
    assert f"{one}/train/1.bin" in found.urls("train/1.bin")[1:]


def test_the_other_folder_name_is_tried(ask: Asked, tmp_path: Path) -> None:
    old = {path.replace("train/", "one-day/"): content for path, content in FILES.items()}
    write_files(tmp_path / "two", old)

    found = ask()

    assert [one.path for one in found.listing.files] == sorted(FILES)
    assert found.urls("train/1.bin")[0] == f"{(tmp_path / 'two').as_uri()}/one-day/1.bin"
    assert ask.lines[1:3] == [
        "mirror one is skipped: it lists no file of the dataset",
        "mirror two is skipped: train/**: 4 files expected, 0 listed; missing: "
        "train/0.bin, train/1.bin, train/2.bin, train/3.bin",
    ]


def test_where_no_listing_will_do_each_mirror_is_named(ask: Asked, tmp_path: Path) -> None:
    write_files(tmp_path / "one", without("train/2.bin"))
    write_files(tmp_path / "two", {**FILES, "train/3.bin": b"short"})

    with pytest.raises(ListingError) as error:
        ask()

    assert [(one.place, one.message) for one in error.value.problems] == [
        ("one", "train/**: 4 files expected, 3 listed; missing: train/2.bin"),
        ("two", "train/**: 10 bytes each expected; other sizes: train/3.bin (5)"),
        (
            "two-old",
            "train/**: 4 files expected, 0 listed; missing: "
            "train/0.bin, train/1.bin, train/2.bin, train/3.bin",
        ),
    ]
    assert not ask.folder.listing.exists()


@pytest.mark.parametrize(("least", "most"), [(1, 42), (44, 100)])
def test_a_sum_out_of_range_is_refused(ask: Asked, tmp_path: Path, least: int, most: int) -> None:
    write_files(tmp_path / "one", FILES)
    expected = {"total_bytes": {"least": least, "most": most}}
    ask.descriptor = dataclasses.replace(ask.descriptor, expected=expected)

    with pytest.raises(ListingError, match=f"between {least} and {most} bytes .*, 43 listed"):
        ask()


def test_that_nothing_is_expected_is_said(ask: Asked, tmp_path: Path) -> None:
    write_files(tmp_path / "one", {"train/a": b"x", "test/a": b"y"})
    ask.descriptor = dataclasses.replace(ask.descriptor, expected={})

    ask()

    assert ask.lines[-1].endswith("2 bytes, and the registry does not say what to expect")


def test_a_folder_name_that_only_some_files_have_does_not_do(ask: Asked, tmp_path: Path) -> None:
    """Nothing is expected here, and the older name of one folder has all the files."""
    ask.descriptor = dataclasses.replace(ask.descriptor, expected={})
    old = {path.replace("train/", "one-day/"): content for path, content in FILES.items()}
    write_files(tmp_path / "two", old)

    found = ask()

    assert len(found.listing.files) == 6
    assert ask.lines[2].startswith("mirror two is skipped: not as first listed: gone train/")


@pytest.mark.parametrize(
    "layout",
    [
        lambda path: f"one.example/data/{path}",
        lambda path: f"data/{path}",
        lambda path: path,
        lambda path: path.replace("train/", "one-day/"),
    ],
    ids=["HOST/PATH", "the same bucket", "the dataset", "the dataset, other folder name"],
)
def test_a_mirror_of_the_user_may_be_laid_out_in_several_ways(
    ask: Asked, tmp_path: Path, layout: Callable[[str], str]
) -> None:
    urls = [
        {"train/": "https://one.example/data/train/", "test/": "https://one.example/data/test/"},
        {"train/": "https://one.example/data/one-day/", "test/": "https://one.example/data/test/"},
    ]
    mirrors = tuple(Mirror(f"m{n}", url, "s3://data/") for n, url in enumerate(urls))
    ask.descriptor = dataclasses.replace(ask.descriptor, mirrors=mirrors)
    write_files(tmp_path / "copy", {layout(path): content for path, content in FILES.items()})

    found = ask((tmp_path / "copy").as_uri())

    assert [one.path for one in found.listing.files] == sorted(FILES)
    assert found.urls("train/0.bin")[0].endswith(f"/copy/{layout('train/0.bin')}")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda one: (one / "train/0.bin").write_bytes(b"longer than it was"), "changed"),
        (lambda one: (one / "train/0.bin").unlink(), "gone"),
        (lambda one: (one / "train/0.bin").rename(one / "train/00.bin"), "gone"),
    ],
    ids=["size", "gone", "renamed"],
)
def test_a_change_since_the_first_listing_names_the_files(
    ask: Asked, tmp_path: Path, change: Callable[[Path], object], problem: str
) -> None:
    write_files(tmp_path / "one", FILES)
    ask()
    change(tmp_path / "one")

    with pytest.raises(UpstreamChangedError, match=r"move .* away") as error:
        ask()

    assert (problem, "train/0.bin") in [(one.kind, one.place) for one in error.value.problems]


def test_a_file_that_is_new_is_a_change(ask: Asked, tmp_path: Path) -> None:
    write_files(tmp_path / "one", FILES)
    ask()
    write_files(tmp_path / "one", {"test/c.bin": b"c"})

    with pytest.raises(UpstreamChangedError) as error:
        ask()

    found = [(one.kind, one.place) for one in error.value.problems]
    assert found == [("new", "test/c.bin")]


def test_an_etag_that_changed_is_a_change_only_where_it_can_be_compared(
    ask: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    etags = {"one": "0" * 32, "two": "1" * 32 + "-2"}
    answer = bucket_of(etags)
    monkeypatch.setattr("sciml_data.transfer.listing.query.list_folder", answer)
    ask()
    etags["one"] = "f" * 32

    with pytest.raises(UpstreamChangedError, match=f"ETag {'0' * 32} was listed, {'f' * 32} is"):
        ask()

    del etags["one"]  # the parts of the other mirror say nothing about its bytes
    assert ask().objections == ()
    etags["two"] = "2" * 32  # an md5 does
    assert ask().objections[1].message.startswith("not as first listed: changed test/a.bin, ")


def bucket_of(etags: Mapping[str, str]) -> Callable[[str], list[Listed]]:
    """Return a listing in which all files of a mirror have one ETag; no mirror else lists any."""

    def listed(url: str) -> list[Listed]:
        mirror, folder = url.rstrip("/").split("/")[-2:]
        if mirror not in etags or folder == "one-day":
            return []
        return [
            Listed(path.partition("/")[2], len(content), etags[mirror])
            for path, content in FILES.items()
            if path.startswith(folder)
        ]

    return listed


def test_a_mirror_that_differs_is_passed_over_while_the_first_one_is_as_it_was(
    ask: Asked, tmp_path: Path
) -> None:
    write_files(tmp_path / "one", FILES)
    ask()
    write_files(tmp_path / "part", without("train/2.bin"))

    found = ask((tmp_path / "part").as_uri())

    assert len(found.listing.files) == 6
    assert "train/2.bin" in ask.lines[1]
    assert ask.lines[2].endswith(f"as first listed on {found.listing.listed}")


def test_without_any_mirror_the_kept_listing_counts(ask: Asked, tmp_path: Path) -> None:
    write_files(tmp_path / "one", FILES)
    kept = ask().listing
    (tmp_path / "one").rename(tmp_path / "away")

    found = ask()

    assert found.listing == kept
    assert [one.place for one in found.objections] == ["one", "two", "two-old"]
    assert ask.lines[-1] == f"no mirror can be used; the listing of {kept.listed} counts"


def test_empty_folders_of_a_bucket_are_no_files(
    ask: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = bucket_of({"one": "0" * 32})
    monkeypatch.setattr(
        "sciml_data.transfer.listing.query.list_folder",
        lambda url: [Listed("", 0), Listed("day/", 0), *listed(url)],
    )

    assert len(ask().listing.files) == 6


@pytest.mark.parametrize("name", ["../../etc/passwd", "a//b", "new\nline", "de\u0301ja.bin"])
def test_a_key_that_no_manifest_may_have_costs_itself(
    ask: Asked, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    listed = bucket_of({"one": "0" * 32})
    monkeypatch.setattr(
        "sciml_data.transfer.listing.query.list_folder", lambda url: [*listed(url), Listed(name, 3)]
    )

    assert set(ask().listing.by_path) == set(FILES)
    assert [
        line for line in ask.lines if "2 keys cannot be paths" in line and repr(name)[1:] in line
    ]


def test_a_file_that_is_a_folder_of_others_costs_itself(
    ask: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = bucket_of({"one": "0" * 32})
    monkeypatch.setattr(
        "sciml_data.transfer.listing.query.list_folder",
        lambda url: [*listed(url), Listed("2.bin/below", 3)],
    )

    with pytest.raises(ListingError, match=r"other sizes: train/2\.bin/below"):
        ask()


def test_a_key_that_is_wanted_by_name_costs_the_listing(
    ask: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = {"files": {**EXPECTED["files"], "train/a//b": {"count": 1}}}
    ask.descriptor = dataclasses.replace(ask.descriptor, expected=expected)
    listed = bucket_of({"one": "0" * 32})
    monkeypatch.setattr(
        "sciml_data.transfer.listing.query.list_folder",
        lambda url: [*listed(url), Listed("a//b", 3)],
    )

    with pytest.raises(ListingError, match="it lists paths that are refused"):
        ask()


def test_a_listing_that_changes_meanwhile_is_asked_for_until_two_agree(
    ask: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = bucket_of({"one": "0" * 32})
    late = iter([1, 0, 0, 0, 0, 0, 0, 0])  # folders asked for: the first lacks a file once

    monkeypatch.setattr(
        "sciml_data.transfer.listing.query.list_folder", lambda url: listed(url)[next(late) :]
    )

    assert len(ask().listing.files) == 6
    assert list(late) == [0, 0]  # three passes over two folders


def test_a_listing_that_never_settles_is_refused_by_what_changed(
    ask: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = bucket_of({"one": "0" * 32})
    number = iter(range(100))
    monkeypatch.setattr(
        "sciml_data.transfer.listing.query.list_folder",
        lambda url: [*listed(url), Listed(f"{next(number)}.tmp", 1)] if listed(url) else [],
    )

    with pytest.raises(ListingError, match=r"in 3 times: changed meanwhile: .*3\.tmp"):
        ask()


def test_pages_that_do_not_fit_are_asked_for_again(
    ask: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = bucket_of({"one": "0" * 32})
    errors = [UnsteadyListingError("twice")]

    def list_folder(url: str) -> list[Listed]:
        if errors:
            raise errors.pop()
        return listed(url)

    monkeypatch.setattr("sciml_data.transfer.listing.query.list_folder", list_folder)

    assert len(ask().listing.files) == 6


def test_a_host_that_nobody_answers_at_is_asked_once(
    ask: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def list_bucket(url: str, *_: object) -> list[Listed]:
        asked.append(url)
        raise TransientError("nobody answers", is_unreachable=True)

    monkeypatch.setattr("sciml_data.transfer.listing.query.list_bucket", list_bucket)

    with pytest.raises(ListingError, match="nobody answers"):
        ask("http://gateway.example/bucket", "http://gateway.example/other")

    assert len(asked) == 1


def test_a_folder_that_may_not_be_read_is_no_empty_mirror(
    ask: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_files(tmp_path / "one", FILES)

    def scandir(_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "scandir", scandir)

    with pytest.raises(ListingError, match="permission denied"):
        ask()


def test_a_mirror_that_does_not_list_is_still_asked_for_files_last(
    ask: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_files(tmp_path / "one", FILES)

    def list_bucket(*_: object) -> list[Listed]:
        raise SourceError("404 Not Found")

    monkeypatch.setattr("sciml_data.transfer.listing.query.list_bucket", list_bucket)

    found = ask("http://web.example")

    urls = found.urls("train/0.bin")
    assert urls[0].startswith((tmp_path / "one").as_uri())
    assert "http://web.example/train/0.bin" in urls
    assert "mirror http://web.example is skipped: 404 Not Found" in ask.lines


def test_a_kept_listing_that_was_edited_is_refused(ask: Asked, tmp_path: Path) -> None:
    write_files(tmp_path / "one", FILES)
    ask()
    ask.folder.listing.write_text("path,bytes\n")

    with pytest.raises(ListingError, match="cannot be read"):
        ask()


BUCKET = {f"bucket/data/{path}": content for path, content in FILES.items()}
OLD_BUCKET = {path.replace("train/", "one-day/"): content for path, content in BUCKET.items()}


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[list[S3Server]]:
    """Two endpoints of one bucket, three keys to a page."""
    with (
        S3Server(tmp_path / "stfc", keys_per_page=3) as stfc,
        S3Server(tmp_path / "osn", keys_per_page=3) as osn,
    ):
        yield [stfc, osn]


@pytest.fixture
def ask_servers(ask: Asked, servers: Sequence[S3Server]) -> Asked:
    """Each endpoint under both folder names, as the SLSTR datasets have it."""
    ask.descriptor = dataclasses.replace(
        ask.descriptor,
        mirrors=tuple(
            Mirror(
                f"{name}{'' if train == 'train' else '-old'}",
                {
                    "train/": f"{server.url}/bucket/data/{train}/",
                    "test/": f"{server.url}/bucket/data/test/",
                },
                "s3://bucket/data/",
            )
            for name, server in zip(("stfc", "osn"), servers, strict=True)
            for train in ("train", "one-day")
        ),
    )
    return ask


def test_the_second_endpoint_is_asked_where_the_first_lacks_files(
    ask_servers: Asked, servers: Sequence[S3Server]
) -> None:
    write_files(servers[0].root, BUCKET)
    (servers[0].root / "bucket/data/train/2.bin").unlink()
    write_files(servers[1].root, OLD_BUCKET)

    found = ask_servers()

    assert ask_servers.lines[1] == (
        "mirror stfc is skipped: train/**: 4 files expected, 3 listed; missing: train/2.bin"
    )
    assert ask_servers.lines[-1] == "mirror osn-old lists 6 files, 43 bytes, as expected"
    assert found.urls("train/2.bin") == (f"{servers[1].url}/bucket/data/one-day/2.bin",)
    assert found.urls("train/1.bin") == (
        f"{servers[1].url}/bucket/data/one-day/1.bin",
        f"{servers[0].url}/bucket/data/train/1.bin",
    )
    assert all(one.etag_hash == f"md5:{md5(FILES[one.path])}" for one in found.listing.files)


def test_an_endpoint_of_the_user_may_hold_the_same_bucket(
    ask: Asked, servers: Sequence[S3Server]
) -> None:
    write_files(servers[0].root, BUCKET)
    public = {"train/": "http://127.0.0.1:9/bucket/data/train/"}
    public["test/"] = "http://127.0.0.1:9/bucket/data/test/"
    mirror = Mirror("public", public, "s3://bucket/data/")
    ask.descriptor = dataclasses.replace(ask.descriptor, mirrors=(mirror,))

    found = ask(servers[0].url)

    assert found.urls("train/0.bin") == (
        f"{servers[0].url}/bucket/data/train/0.bin",
        "http://127.0.0.1:9/bucket/data/train/0.bin",
    )


def test_an_endpoint_that_is_gone_is_passed_over(
    ask_servers: Asked, servers: Sequence[S3Server]
) -> None:
    write_files(servers[1].root, BUCKET)
    servers[0].add(status(503), times=None)

    found = ask_servers()

    assert found.urls("train/0.bin")[0].startswith(servers[1].url)
    assert "stfc is skipped: 503 Service Unavailable (SlowDown)" in ask_servers.lines[1]


def test_a_file_added_between_two_pages_is_listed_in_the_end(
    ask_servers: Asked, servers: Sequence[S3Server]
) -> None:
    """It comes before the page that is out: only another pass shows it."""
    write_files(servers[0].root, {p: c for p, c in BUCKET.items() if not p.endswith("0.bin")})
    late = {"bucket/data/train/0.bin": b"0123456789"}
    write_files(servers[0].root, {"bucket/data/train/4.bin": b"0123456789"})
    ask_servers.descriptor = dataclasses.replace(ask_servers.descriptor, expected={})

    def add(request: Request) -> None:
        if "continuation-token" in request.query:
            write_files(servers[0].root, late)

    servers[0].before = add

    assert "train/0.bin" in ask_servers().listing.by_path


def test_a_file_of_the_same_size_that_changed_is_named(
    ask_servers: Asked, servers: Sequence[S3Server]
) -> None:
    write_files(servers[0].root, BUCKET)
    ask_servers()
    write_files(servers[0].root, {"bucket/data/train/3.bin": b"9876543210"})

    with pytest.raises(UpstreamChangedError) as error:
        ask_servers()

    assert [one.place for one in error.value.problems] == ["train/3.bin"]
    assert error.value.problems[0].message == (
        f"ETag {md5(b'0123456789')} was listed, {md5(b'9876543210')} is now"
    )


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
