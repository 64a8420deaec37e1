"""Plans: which files, and where each is asked for."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from sciml_data.errors import CallError, ListingError
from sciml_data.home import Home
from sciml_data.registry.descriptor import Descriptor, Mirror, load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.registry.manifest import Entry, Manifest
from sciml_data.testing.datasets import write_dataset, write_files, write_unpinned
from sciml_data.transfer.plan import make_plan
from sciml_data.transfer.protocols.mirrors import MirrorNames, places

FILES = {"train/a 1.bin": b"one", "train/b.bin": b"three", "test/c.bin": b"seven"}


@pytest.fixture
def descriptor(tmp_path: Path) -> Descriptor:
    return write_dataset(
        tmp_path / "registry",
        FILES,
        mirrors=[
            {"": "https://one.example/base/", "test/": "https://one.example/other/"},
            {"": "https://two.example:8443/"},
        ],
        splits={"train": ["train/*"]},
    )


def test_a_whole_plan_has_every_file(descriptor: Descriptor, home: Home) -> None:
    plan = make_plan(descriptor, home)

    assert sorted(FILES) == [file.path for file in plan.files]
    assert plan.total_bytes == sum(len(content) for content in FILES.values())
    assert plan.is_whole


def test_urls_are_in_the_order_of_the_mirrors_and_quoted(
    descriptor: Descriptor, home: Home, tmp_path: Path
) -> None:
    base = "http://127.0.0.1:9/m"

    plan = make_plan(descriptor, home, mirrors=[base, f"file:{tmp_path}"], include=["train/a*"])

    assert plan.files[0].urls == (
        f"{base}/one.example/base/train/a%201.bin",
        f"{base}/two.example:8443/train/a%201.bin",
        f"{base}/train/a%201.bin",
        f"{tmp_path.as_uri()}/one.example/base/train/a%201.bin",
        f"{tmp_path.as_uri()}/two.example:8443/train/a%201.bin",
        f"{tmp_path.as_uri()}/train/a%201.bin",
        "https://one.example/base/train/a%201.bin",
        "https://two.example:8443/train/a%201.bin",
    )


def test_the_longest_prefix_of_a_mirror_wins(descriptor: Descriptor, home: Home) -> None:
    plan = make_plan(descriptor, home, include=["test/c.bin"])

    assert plan.files[0].urls[0] == "https://one.example/other/c.bin"


@pytest.mark.parametrize("name", ["50%25.bin", "a#b.bin", "a?b.bin", "ä+ö&ü.bin"])
def test_characters_that_mean_something_in_a_url_are_quoted(
    tmp_path: Path, home: Home, name: str
) -> None:
    from urllib.parse import unquote, urlsplit

    descriptor = write_dataset(
        tmp_path / "registry", {f"d/{name}": b"x"}, mirrors=[{"d/": "https://h.example/e%20f/"}]
    )

    url = urlsplit(make_plan(descriptor, home).files[0].urls[0])

    assert (unquote(url.path), url.query, url.fragment) == (f"/e f/{name}", "", "")


def test_a_split_is_a_part(descriptor: Descriptor, home: Home) -> None:
    plan = make_plan(descriptor, home, split="train")

    assert [file.path for file in plan.files] == ["train/a 1.bin", "train/b.bin"]
    assert not plan.is_whole


def test_split_and_include_are_both_held(descriptor: Descriptor, home: Home) -> None:
    plan = make_plan(descriptor, home, split="train", include=["*b.bin", "*a 1*"])

    assert [file.path for file in plan.files] == ["train/a 1.bin", "train/b.bin"]
    with pytest.raises(CallError, match="of split 'train'"):
        make_plan(descriptor, home, split="train", include=["test/*"])


def test_an_unknown_split_lists_those_there_are(descriptor: Descriptor, home: Home) -> None:
    with pytest.raises(CallError, match=r"did you mean 'train'.*it has all, train"):
        make_plan(descriptor, home, split="trian")


def test_a_glob_that_fits_nothing_names_the_nearest_paths(
    descriptor: Descriptor, home: Home
) -> None:
    with pytest.raises(CallError, match=r"none of 3 files; did you mean .*train/b\.bin"):
        make_plan(descriptor, home, include=["train/b.bim"])


def test_a_live_version_is_not_planned(home: Home) -> None:
    live = load_descriptor(find_registry(), "tevolop_socal", "live")

    with pytest.raises(CallError, match="fetched from a service"):
        make_plan(live, home)


@pytest.mark.parametrize(
    ("limit", "part", "expected"),
    [
        (1, {}, ["test/c.bin"]),
        (2, {}, ["test/c.bin", "train/a 1.bin"]),
        (1, {"split": "train"}, ["train/a 1.bin"]),
        (1, {"include": ["*b.bin"]}, ["train/b.bin"]),
        (3, {}, sorted(FILES)),
        (9, {}, sorted(FILES)),
    ],
)
def test_a_limit_takes_the_first_by_path(
    descriptor: Descriptor, home: Home, limit: int, part: dict[str, Any], expected: list[str]
) -> None:
    plan = make_plan(descriptor, home, limit=limit, **part)

    assert [file.path for file in plan.files] == expected
    assert plan.is_whole == (len(expected) == len(FILES))
    assert (plan.version_files, plan.version_bytes) == (3, 13)


@pytest.fixture
def unpinned(tmp_path: Path) -> Descriptor:
    """A version whose only mirror that answers is the folder `served`."""
    write_files(tmp_path / "served", FILES)
    written = write_unpinned(
        tmp_path / "registry",
        mirrors=[{"": "https://one.example/bucket/"}],
        splits={"train": ["train/*"]},
        expected={"files": {"**": {"count": 3}}},
    )
    mirror = Mirror("folder", {"": f"{(tmp_path / 'served').as_uri()}/"}, "s3://bucket/")
    return dataclasses.replace(written, mirrors=(mirror,))


def test_an_unpinned_version_is_planned_as_it_is_listed(
    unpinned: Descriptor, home: Home, tmp_path: Path
) -> None:
    plan = make_plan(unpinned, home)

    assert [(one.path, one.size_bytes, one.hash, one.etag) for one in plan.files] == [
        (path, len(FILES[path]), None, None) for path in sorted(FILES)
    ]
    assert plan.files[1].urls == (f"{(tmp_path / 'served').as_uri()}/train/a%201.bin",)
    assert plan.is_whole
    assert plan.folder.listing.is_file()


def test_a_dry_run_keeps_no_listing(unpinned: Descriptor, home: Home) -> None:
    plan = make_plan(unpinned, home, keep_listing=False)

    assert not plan.folder.root.exists()


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"split": "train"}, ["train/a 1.bin", "train/b.bin"]),
        ({"include": ["*c.bin"]}, ["test/c.bin"]),
        ({"limit": 2}, ["test/c.bin", "train/a 1.bin"]),
        ({"split": "train", "limit": 1}, ["train/a 1.bin"]),
    ],
)
def test_a_part_of_an_unpinned_version_is_held_against_all_of_it(
    unpinned: Descriptor, home: Home, tmp_path: Path, part: dict[str, Any], expected: list[str]
) -> None:
    plan = make_plan(unpinned, home, **part)

    assert [file.path for file in plan.files] == expected
    assert not plan.is_whole
    assert plan.version_files == 3

    plan.folder.listing.unlink()
    (tmp_path / "served/train/b.bin").unlink()
    with pytest.raises(ListingError, match="3 files expected, 2 listed"):
        make_plan(unpinned, home, **part)


def test_what_was_fetched_before_has_a_hash(unpinned: Descriptor, home: Home) -> None:
    folder = home.dataset("tiny", "1.0")
    known = Entry("train/b.bin", 5, f"sha256:{'0' * 64}")
    write_files(folder.root, {"manifest.csv": Manifest((known,)).dump().encode()})

    plan = make_plan(unpinned, home)

    assert [file.hash for file in plan.files] == [None, None, known.hash]


def test_without_a_network_what_is_here_is_enough(
    unpinned: Descriptor, home: Home, tmp_path: Path
) -> None:
    make_plan(unpinned, home)
    (tmp_path / "served").rename(tmp_path / "away")
    native = home.dataset("tiny", "1.0").native
    write_files(native, {"train/a 1.bin": b"one", "train/b.bin": b"longer"})
    lines: list[str] = []

    plan = make_plan(unpinned, home, limit=1, split="train", log=lines.append)

    assert [file.path for file in plan.files] == ["train/a 1.bin"]
    assert lines[-1].startswith("no mirror can be used; the listing of ")
    with pytest.raises(ListingError, match=r"tiny 1\.0: 1 of 2 files not here"):
        make_plan(unpinned, home, split="train")


def test_the_pinned_catalogues_have_public_urls(home: Home) -> None:
    plan = make_plan(load_descriptor(find_registry(), "tevolop_socal", "1.0"), home)

    assert len(plan.files) == 100
    assert all(
        url.startswith("https://raw.githubusercontent.com/") for f in plan.files for url in f.urls
    )


def test_every_layout_of_a_mirror_of_the_user_has_one_name(
    unpinned: Descriptor, home: Home
) -> None:
    public = Mirror("public", {"": "https://one.example/bucket/data/"}, "s3://bucket/data/")
    other = Mirror("other", {"": "https://two.example/bucket/data/"}, "s3://bucket/data/")
    descriptor = dataclasses.replace(unpinned, mirrors=(public, other))
    base = "http://127.0.0.1:9/m"

    urls = [place.url("test/c.bin") or "" for place in places(descriptor, [base])]

    assert urls == [
        f"{base}/one.example/bucket/data/test/c.bin",
        f"{base}/two.example/bucket/data/test/c.bin",
        f"{base}/bucket/data/test/c.bin",
        f"{base}/test/c.bin",
        "https://one.example/bucket/data/test/c.bin",
        "https://two.example/bucket/data/test/c.bin",
    ]
    names = MirrorNames(descriptor.mirrors, [base])
    assert [names.of(url) for url in urls] == [
        *[base] * 4,
        "https://one.example/bucket/data",
        "https://two.example/bucket/data",
    ]
