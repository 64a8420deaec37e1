"""Parts of a partial file that need no server: hashes, spans, and the journal."""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciml_data.errors import FetchError
from sciml_data.registry.manifest import READ_BLOCK_BYTES
from sciml_data.registry.stages import PlannedFile
from sciml_data.transfer.download.partial_file import (
    CompleteFile,
    RangeJournal,
    Span,
    complete_file,
    content_problem,
    expected_hashes,
    hash_like,
    hash_mismatch,
    hashes_like,
    is_verifiable,
    merge_spans,
    missing_spans,
    new_hash,
    split_span,
)

SPANS = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=8)


@given(SPANS)
def test_spans_and_missing_spans_fill_the_file(spans: list[Span]) -> None:
    covered = {byte for start, stop in spans for byte in range(start, stop)}

    found = merge_spans(spans)

    assert {byte for start, stop in found for byte in range(start, stop)} == covered
    rest = {byte for start, stop in missing_spans(found, 40) for byte in range(start, stop)}
    assert rest == set(range(40)) - covered


@given(st.integers(0, 100), st.integers(0, 100), st.integers(1, 30))
def test_ranges_cover_a_span_and_end_at_multiples(start: int, length: int, size: int) -> None:
    found = list(split_span((start, start + length), size))

    assert [byte for a, b in found for byte in range(a, b)] == list(range(start, start + length))
    assert all(stop % size == 0 for _, stop in found[:-1])


@given(SPANS, st.integers(0, 40))
def test_a_journal_cut_anywhere_has_no_span_that_was_not_written(
    tmp_path_factory: pytest.TempPathFactory, spans: list[Span], lost: int
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal"
    journal = RangeJournal(path)
    for span in spans:
        journal.add(span)
    journal.close()
    if spans:
        os.truncate(path, max(path.stat().st_size - lost, 0))

    found = RangeJournal(path).spans()

    assert found == (
        None
        if not spans
        else next(m for n in range(len(spans), -1, -1) if (m := merge_spans(spans[:n])) == found)
    )


def expected_etag(content: bytes, part_bytes: int) -> str:
    """Return an ETag of parts, worked out at once."""
    parts = [content[at : at + part_bytes] for at in range(0, len(content), part_bytes)] or [b""]
    md5s = b"".join(hashlib.md5(part, usedforsecurity=False).digest() for part in parts)
    whole = hashlib.md5(md5s, usedforsecurity=False).hexdigest()
    return f"s3etag:{whole}-{len(parts)}:{part_bytes}"


@given(st.binary(max_size=100), st.integers(1, 40), st.lists(st.integers(0, 100), max_size=4))
def test_an_etag_of_parts_does_not_depend_on_the_blocks(
    content: bytes, part_bytes: int, cuts: list[int]
) -> None:
    found = new_hash(f"s3etag:{'0' * 32}-1:{part_bytes}", len(content))
    edges = [0, *sorted(cuts), len(content)]
    for start, stop in itertools.pairwise(edges):
        found.update(content[min(start, len(content)) : stop])

    assert found.text() == expected_etag(content, part_bytes)
    assert found.text() == found.text()  # asking does not change it


def test_hashes_of_a_file_are_read_once_and_of_each_kind(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"hello")
    md5 = "5d41402abc4b2a76b9719d911017c592"  # `printf hello | md5sum`

    assert hash_like(path, f"s3etag:{md5}") == f"s3etag:{md5}"
    assert hash_like(path, f"s3etag:{'0' * 32}-2:3") == expected_etag(b"hello", 3)
    assert hashes_like(path, ("md5:", "gitblob:")) == [
        f"md5:{md5}",
        "gitblob:b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0",  # `printf hello | git hash-object`
    ]


@pytest.mark.parametrize(
    "kind", ["sha256:", "md5:", "gitblob:", "s3etag:", f"s3etag:{'0' * 32}-2:3"]
)
def test_hashes_are_computed_where_they_are_forbidden_for_security(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def allow(make: Callable[..., Any]) -> Callable[..., Any]:
        def made(*arguments: Any, usedforsecurity: bool = True) -> Any:
            if usedforsecurity is not False:
                raise ValueError("disabled for FIPS")
            return make(*arguments, usedforsecurity=usedforsecurity)

        return made

    expected = new_hash(kind, 5)
    expected.update(b"hello")
    for name in ("new", "md5"):
        monkeypatch.setattr(hashlib, name, allow(getattr(hashlib, name)))
    found = new_hash(kind, 5)
    found.update(b"hello")

    assert found.text() == expected.text()


def test_a_file_is_hashed_in_blocks(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as stream:
        stream.truncate(16 * READ_BLOCK_BYTES)
    tracemalloc.start()
    try:
        found = hash_like(path, "sha256:")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert found == f"sha256:{hashlib.sha256(bytes(16 * READ_BLOCK_BYTES)).hexdigest()}"
    assert peak < 4 * READ_BLOCK_BYTES


def planned(expected: str | None, etag: str | None = None) -> PlannedFile:
    return PlannedFile("a.bin", 5, expected, ("https://localhost/a.bin",), etag)


SHA256, MD5 = f"sha256:{'1' * 64}", f"md5:{'2' * 32}"


@pytest.mark.parametrize(
    ("file", "kinds", "is_known"),
    [
        (planned(SHA256), (SHA256,), True),
        (planned(SHA256, MD5), (SHA256,), True),
        (planned(None, MD5), ("sha256:", MD5), True),
        (planned(None), ("sha256:",), False),
    ],
)
def test_a_file_has_the_hashes_that_are_known_of_it(
    file: PlannedFile, kinds: tuple[str, ...], *, is_known: bool
) -> None:
    assert expected_hashes(file) == kinds
    assert is_verifiable(file) is is_known


def test_a_size_or_hash_that_differs_is_a_problem_and_one_that_is_only_computed_is_none() -> None:
    other, listed = f"sha256:{'3' * 64}", f"md5:{'4' * 32}"

    assert content_problem(planned(SHA256), 5, [SHA256]) == ""
    assert content_problem(planned(None), 5, [other]) == ""
    assert content_problem(planned(None, MD5), 5, [other, MD5]) == ""
    assert content_problem(planned(SHA256), 6, [SHA256]) == "5 bytes expected, 6 found"
    assert content_problem(planned(SHA256), 5, [other]) == hash_mismatch(SHA256, other)
    problem = content_problem(planned(None, MD5), 5, [other, listed])
    assert problem != hash_mismatch(MD5, listed)
    assert hash_mismatch(MD5, listed) in problem


def test_a_file_is_complete_with_the_hash_that_identifies_it(tmp_path: Path) -> None:
    other = f"sha256:{'3' * 64}"

    complete = complete_file(planned(None, MD5), tmp_path / "a.bin.part", 5, [other, MD5])

    assert complete == CompleteFile(tmp_path / "a.bin.part", "a.bin", 5, other)
    for size, hashes in ((6, [SHA256]), (5, [other])):
        with pytest.raises(FetchError) as error:
            complete_file(planned(SHA256), tmp_path, size, hashes)
        assert error.value.message == content_problem(planned(SHA256), size, hashes)


def test_a_mismatch_names_the_size_of_parts_that_is_assumed() -> None:
    found = hash_mismatch(f"s3etag:{'a' * 32}-2:1000", f"s3etag:{'b' * 32}-2:1000")

    assert found.startswith("s3etag aaaaaaaaaaaa.. expected, s3etag bbbbbbbbbbbb.. found")
    assert "1000 bytes" in found
    assert "bytes" not in hash_mismatch(f"s3etag:{'a' * 32}", f"s3etag:{'b' * 32}")


def test_a_mismatch_is_readable() -> None:
    assert hash_mismatch("md5:" + "a" * 32, "md5:" + "b" * 32) == (
        "md5 aaaaaaaaaaaa.. expected, md5 bbbbbbbbbbbb.. found"
    )


@pytest.mark.parametrize("expected", ["crc32:00000000", "crc32:00000000-2:1000"])
def test_a_kind_that_cannot_be_computed_is_an_error(expected: str) -> None:
    with pytest.raises(FetchError, match="'crc32' cannot be computed"):
        new_hash(expected, 3)


def test_a_link_is_not_hashed(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"hello")
    (tmp_path / "link").symlink_to("target")

    with pytest.raises(OSError, match="symbolic link") as error:
        hash_like(tmp_path / "link", "sha256:")

    assert error.value.errno == errno.ELOOP


def test_a_journal_that_is_a_link_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("0 5\n")
    (tmp_path / "journal").symlink_to("target")

    with pytest.raises(FetchError):
        RangeJournal(tmp_path / "journal").spans()
