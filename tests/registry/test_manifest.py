"""A manifest comes back as it was written, and lets no path leave its folder."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sciml_data.errors import DescriptorError
from sciml_data.registry.manifest import (
    Entry,
    Manifest,
    clashes,
    describe_left_out,
    hash_file,
    list_files,
    manifest_of,
    parse_manifest,
    read_manifest,
    unsafe_because,
)
from sciml_data.testing.datasets import write_files
from tests.support.problems import kinds_and_places

HASHES = st.one_of(
    st.binary(min_size=32, max_size=32).map(lambda digest: f"sha256:{digest.hex()}"),
    st.binary(min_size=16, max_size=16).map(lambda digest: f"md5:{digest.hex()}"),
    st.binary(min_size=20, max_size=20).map(lambda digest: f"gitblob:{digest.hex()}"),
    st.tuples(st.binary(min_size=16, max_size=16), st.integers(1, 999)).map(
        lambda parts: f"s3etag:{parts[0].hex()}-{parts[1]}:8388608"
    ),
)
PATHS = st.text("ab/.,é 漢\n", min_size=1, max_size=12).filter(
    lambda path: not unsafe_because(path)
)
ENTRIES = st.builds(Entry, PATHS, st.integers(min_value=0, max_value=1 << 60), HASHES)


def is_file_and_folder(entries: list[Entry]) -> bool:
    paths = {entry.path for entry in entries}
    return any(other.startswith(f"{path}/") for path in paths for other in paths)


MANIFESTS = st.builds(
    lambda entries: Manifest(tuple(sorted(entries))),
    st.lists(ENTRIES, max_size=4, unique_by=lambda entry: entry.path).filter(
        lambda entries: not is_file_and_folder(entries)
    ),
)


@given(MANIFESTS)
def test_a_manifest_comes_back_as_it_was_written(manifest: Manifest) -> None:
    assert parse_manifest(manifest.dump()) == manifest


@given(MANIFESTS, MANIFESTS)
def test_equal_digests_mean_equal_manifests(one: Manifest, other: Manifest) -> None:
    assert (one.digest == other.digest) == (one == other)


def stays_inside(path: str) -> bool:
    root = Path("/home/of/all")
    return bool(unsafe_because(path)) or (root / path).resolve().is_relative_to(root)


# Characters with a meaning in paths are frequent here; among all of Unicode they are rare.
@given(st.text("ab./\\~: \n\x00é漢\u202e\u0301", max_size=60))
def test_no_path_that_is_let_through_leaves_its_folder(path: str) -> None:
    assert stays_inside(path)


@pytest.mark.slow  # Hypothesis computes a table of all characters first
@given(st.text(max_size=60))
def test_no_path_of_any_characters_that_is_let_through_leaves_its_folder(path: str) -> None:
    assert stays_inside(path)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "../secret",
        "a/../../secret",
        "/etc/passwd",
        "~/secret",
        "C:/windows",
        "c:/windows",
        "a\\..\\b",
        "a//b",
        "a/./b",
        "a/",
        "a\x00b",
        "a\u202eb",
        "cafe\u0301",
        f"a/{'x' * 241}",
        "/".join(["x" * 204] * 5) + "x",  # 1,025 bytes
        f"x{'/x' * 512}",
    ],
)
def test_hostile_paths_are_refused(path: str) -> None:
    text = f'path,bytes,hash\n"{path}",1,md5:{"0" * 32}\n'

    with pytest.raises(DescriptorError) as error:
        parse_manifest(text)
    assert [problem.kind for problem in error.value.problems] == ["path"]


def test_a_component_may_have_240_bytes_and_a_path_1024_and_no_more() -> None:
    assert not unsafe_because(f"a/{'x' * 240}")
    assert not unsafe_because(f"{'é' * 120}/a")
    assert unsafe_because(f"{'é' * 120}x/a")
    assert not unsafe_because("/".join(["x" * 204] * 5))
    assert not unsafe_because(f"xx{'/x' * 511}")


SHA = f"sha256:{'0' * 64}"


@pytest.mark.parametrize(
    ("line", "kinds"),
    {
        "size of 2^63": (f"a,{2**63},{SHA}", ["bytes"]),
        "size of 5,000 digits": (f"a,{'9' * 5000},{SHA}", ["bytes"]),
        "part size of 6,000 digits": (f"a,3,s3etag:{'0' * 32}-1:{'9' * 6000}", ["hash"]),
        "field of 200,000 characters": (f'"{"a" * 200_000}",3,{SHA}', ["line"]),
        "60,000 folders": (f"{'a/' * 60_000}a,3,{SHA}", ["line"]),
        "line feed in a path": (f'"a\nb",3,{SHA}', ["columns"]),
        "quote that is not closed": (f'"a,3,{SHA}', ["columns"]),
        "carriage return": (f"a\rb,3,{SHA}", ["columns"]),
        "empty line": ("", ["columns"]),
        "byte that is not UTF-8": (f"\udcff,3,{SHA}", ["path"]),
    }.values(),
)
def test_a_line_beyond_the_limits_is_named(line: str, kinds: list[str], tmp_path: Path) -> None:
    path = tmp_path / "manifest.csv"
    path.write_bytes(f"path,bytes,hash\n{line}\n".encode(errors="surrogateescape"))

    with pytest.raises(DescriptorError) as error:
        parse_manifest(path.read_bytes().decode(errors="surrogateescape"))

    assert [problem.kind for problem in error.value.problems] == kinds
    assert error.value.problems[0].place == "manifest.csv:2"
    assert len(str(error.value)) < 1000
    with pytest.raises(DescriptorError):
        read_manifest(path)


def test_the_largest_size_and_the_windows_ends_of_lines_are_read() -> None:
    manifest = parse_manifest(f"path,bytes,hash\r\na,{2**63 - 1},{SHA}\r\n")

    assert manifest.entries == (Entry("a", 2**63 - 1, SHA),)


def test_a_manifest_of_wrong_lines_stops_after_a_thousand() -> None:
    with pytest.raises(DescriptorError) as error:
        parse_manifest("path,bytes,hash\n" + "x\n" * 100_000)

    assert len(error.value.problems) == 1000


def test_a_pipe_is_not_read_as_a_manifest(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "manifest.csv")

    with pytest.raises(DescriptorError) as error:
        read_manifest(tmp_path / "manifest.csv")

    assert kinds_and_places(error) == [("file", "manifest.csv")]


@given(
    st.lists(
        st.lists(st.sampled_from(["a", "a-b", "a.b", "b", "ä"]), min_size=1, max_size=4), max_size=8
    )
)
def test_clashes_are_those_of_every_pair_of_paths(parts: list[list[str]]) -> None:
    paths = ["/".join(each) for each in parts]
    pairs = {(one, two) for one in paths for two in paths if two.startswith(f"{one}/")}

    messages = [problem.message for problem in clashes(paths, "list")]

    assert sorted(messages) == sorted(
        [
            f"{path!r} occurs {paths.count(path)} times"
            for path in set(paths)
            if paths.count(path) > 1
        ]
        + [f"{one!r} is a file and the folder of {two!r}" for one, two in pairs]
    )


def test_every_bad_line_is_named_with_its_number() -> None:
    text = (
        "path,bytes,hash\n"
        f"good.csv,1,md5:{'0' * 32}\n"
        f"../bad.csv,-1,crc32:{'0' * 8}\n"
        "short.csv,2\n"
        f"good.csv,01,md5:{'0' * 32}\n"
    )

    with pytest.raises(DescriptorError) as error:
        parse_manifest(text)

    assert kinds_and_places(error) == [
        ("path", "manifest.csv:3"),
        ("bytes", "manifest.csv:3"),
        ("hash", "manifest.csv:3"),
        ("columns", "manifest.csv:4"),
        ("bytes", "manifest.csv:5"),
    ]


def test_a_path_that_is_a_file_and_a_folder_or_stands_twice_is_named() -> None:
    digest = f"md5:{'0' * 32}"
    text = f"path,bytes,hash\na,1,{digest}\na/b,1,{digest}\nc,1,{digest}\nc,2,{digest}\n"

    with pytest.raises(DescriptorError) as error:
        parse_manifest(text)

    assert kinds_and_places(error) == [("path", "manifest.csv")] * 2
    twice, both = (problem.message for problem in error.value.problems)
    assert "'c'" in twice
    assert "2 times" in twice
    assert "'a'" in both
    assert "'a/b'" in both


def test_a_folder_at_any_depth_is_no_file() -> None:
    digest = f"md5:{'0' * 32}"

    with pytest.raises(DescriptorError) as error:
        parse_manifest(f"path,bytes,hash\na/b/c/d,1,{digest}\na/b,1,{digest}\na/bc,1,{digest}\n")

    (problem,) = error.value.problems
    assert "'a/b' " in problem.message
    assert "'a/b/c/d'" in problem.message


def test_a_manifest_is_sorted_by_path_for_any_order_of_its_lines() -> None:
    lines = [
        f"{path},{size},md5:{'0' * 32}\n" for size, path in enumerate(["b", "a/z", "a/b", "B"])
    ]
    text, in_order = ("path,bytes,hash\n" + "".join(rows) for rows in (lines, sorted(lines)))

    manifest = parse_manifest(text)

    assert [entry.path for entry in manifest] == ["B", "a/b", "a/z", "b"]
    assert manifest.dump() == in_order
    assert manifest.digest == parse_manifest(in_order).digest
    assert manifest.digest == hashlib.sha256(in_order.encode()).hexdigest()


@pytest.mark.parametrize("text", ["", "name,size\n", "path,bytes,hash,extra\n"])
def test_another_header_is_no_manifest(text: str) -> None:
    with pytest.raises(DescriptorError, match="manifest") as error:
        parse_manifest(text)
    assert kinds_and_places(error) == [("header", "manifest.csv:1")]
    assert text.strip() in error.value.problems[0].message


def test_a_problem_of_a_manifest_is_in_the_file_of_its_name(tmp_path: Path) -> None:
    path = tmp_path / "ready.csv"
    path.write_text(f"path,bytes,hash\né.csv,1,md5:{'0' * 32}\nshort.csv,2\n", encoding="utf-8")

    with pytest.raises(DescriptorError) as error:
        read_manifest(path)

    assert kinds_and_places(error) == [("columns", "ready.csv:3")]


def test_the_manifest_of_a_folder_has_its_files_and_no_links(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.bin").write_bytes(b"waves")
    (tmp_path / "link").symlink_to(tmp_path / "a" / "b.bin")

    manifest = manifest_of(tmp_path)

    digest = f"sha256:{hashlib.sha256(b'waves').hexdigest()}"
    assert manifest.entries == (Entry("a/b.bin", 5, digest),)
    assert hash_file(tmp_path / "a" / "b.bin", "md5") == f"md5:{hashlib.md5(b'waves').hexdigest()}"  # noqa: S324


def test_totals_and_parts_of_a_manifest() -> None:
    entries = [Entry(name, size, f"md5:{'0' * 32}") for name, size in [("a", 1), ("b", 2)]]
    manifest = Manifest(tuple(entries))

    assert manifest.total_bytes == 3
    assert manifest.select(["b"]).entries == (entries[1],)
    with pytest.raises(KeyError):
        manifest.select(["c"])


SYSTEM_FILES = (".DS_Store", "a/._b.bin", "Thumbs.db", "a/.nfs00000000012f", "DESKTOP.INI")


def names_of(folder: Path, *, is_own: bool) -> tuple[list[str], list[str], list[tuple[str, str]]]:
    content = list_files(folder, is_own=is_own)
    problems = [(problem.kind, problem.place) for problem in content.problems]
    return [*content.files], [*content.left_out], problems


def test_files_of_the_operating_system_are_in_no_manifest(tmp_path: Path) -> None:
    write_files(tmp_path, dict.fromkeys([*SYSTEM_FILES, "a/b.bin", ".nfs.csv", ".zgroup"], b""))

    assert [entry.path for entry in manifest_of(tmp_path)] == [".nfs.csv", ".zgroup", "a/b.bin"]
    assert sorted(list_files(tmp_path).left_out) == sorted(SYSTEM_FILES)
    assert describe_left_out(SYSTEM_FILES) == (
        "5 hidden or system files left out: .DS_Store, a/._b.bin, Thumbs.db, a/.nfs00000000012f, …"
    )


def test_links_to_files_are_followed_in_a_persons_own_folder_only(tmp_path: Path) -> None:
    write_files(
        tmp_path,
        {"blobs/1": b"waves", "own/.git/config": b"", "own/.gitattributes": b"", "own/a/b": b"b"},
    )
    own = tmp_path / "own"
    (own / "a" / "link").symlink_to("../../blobs/1")
    (own / "broken").symlink_to(".git/annex/objects/none")
    (own / "folder").symlink_to("a")
    (own / ".hidden").symlink_to("a")
    os.mkfifo(own / "pipe")

    files, left_out, problems = names_of(own, is_own=True)
    assert files == ["a/b", "a/link"]
    assert sorted(left_out) == [".git", ".gitattributes", ".hidden"]
    assert problems == [("link", "broken"), ("unexpected", "folder"), ("unexpected", "pipe")]
    assert list_files(own, is_own=True).files["a/link"].st_size == 5

    files, left_out, problems = names_of(own, is_own=False)
    assert sorted(files) == [".git/config", ".gitattributes", "a/b"]
    assert not left_out
    assert {place for _, place in problems} == {"a/link", "broken", "folder", ".hidden", "pipe"}


@pytest.mark.parametrize("is_own", [True, False])
def test_names_that_are_not_utf_8_are_named(tmp_path: Path, is_own: bool) -> None:  # noqa: FBT001
    (tmp_path / os.fsdecode(b"caf\xe9.csv")).touch()
    (tmp_path / os.fsdecode(b"caf\xe9")).mkdir()
    (tmp_path / os.fsdecode(b"caf\xe9") / "a.csv").touch()

    files, _, problems = names_of(tmp_path, is_own=is_own)

    assert not files
    assert problems == [("name", r"caf\xe9.csv"), ("name", r"caf\xe9/a.csv")]
    with pytest.raises(DescriptorError):
        manifest_of(tmp_path)


@pytest.mark.parametrize(
    "path", [".git/hooks/x", "a/.GIT/config", "a/.git", ".git./x", "b/.Git /x"]
)
def test_a_path_in_a_git_folder_is_refused(path: str) -> None:
    with pytest.raises(DescriptorError) as error:
        parse_manifest(f"path,bytes,hash\n{path},1,md5:{'0' * 32}\n")

    assert kinds_and_places(error) == [("path", "manifest.csv:2")]
    assert not unsafe_because(re.sub("git", "github", path, flags=re.IGNORECASE))
