"""Plans: which files, and where each is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from sciml_data.descriptor import Descriptor, load_descriptor
from sciml_data.errors import CallError, FetchError
from sciml_data.home import Home
from sciml_data.plan import make_plan
from sciml_data.registry import find_registry
from sciml_data.testing.datasets import write_dataset

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
    with pytest.raises(CallError, match=r"fits none of the 3 files; the nearest: .*train/b\.bin"):
        make_plan(descriptor, home, include=["train/b.bim"])


def test_a_live_version_is_not_planned(home: Home) -> None:
    live = load_descriptor(find_registry(), "tevolop_socal", "live")

    with pytest.raises(CallError, match="a service is asked"):
        make_plan(live, home)


def test_what_nobody_has_pinned_is_not_planned(descriptor: Descriptor, home: Home) -> None:
    import dataclasses

    unpinned = dataclasses.replace(descriptor, trust="unpinned", manifest=None)

    with pytest.raises(FetchError, match=r"tiny 1\.0 is unpinned"):
        make_plan(unpinned, home)


def test_the_pinned_catalogues_have_public_urls(home: Home) -> None:
    plan = make_plan(load_descriptor(find_registry(), "tevolop_socal", "1.0"), home)

    assert len(plan.files) == 100
    assert all(
        url.startswith("https://raw.githubusercontent.com/") for f in plan.files for url in f.urls
    )
