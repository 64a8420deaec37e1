"""Images in folders become samples with labels, or each image that differs is named."""

from __future__ import annotations

import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from PIL import Image

from sciml_data.errors import CallError, NativeFormatError
from sciml_data.formats import Native, image_folder
from tests.support.native_files import native_of, reopened
from tests.support.problems import kinds_and_places

CLASSES = ["cat", "dog"]


def declared(dtype: str = "uint8", *, color: bool = False, padded: bool = False) -> dict[str, Any]:
    dims = ["sample", "row", "column", *(["channel"] if color else [])]
    described = {
        "image": (dims, dtype),
        "file": (["sample"], "S"),
        "label": (["sample"], "int64"),
        "class_name": (["class"], "S"),
    } | ({"height": (["sample"], "int64"), "width": (["sample"], "int64")} if padded else {})
    return {
        name: {"dims": dims, "dtype": dtype, "long_name": name}
        for name, (dims, dtype) in described.items()
    }


def write(root: Path, path: str, pixels: Any, **options: Any) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels)).save(root / path, **options)


def native(root: Path, variables: dict[str, Any] | None = None, **block: Any) -> Native:
    splits = {"train": ["train/**"], "test": ["test/**"]}
    variables = variables or declared()
    return native_of(root, block={"classes": CLASSES, **block}, variables=variables, splits=splits)


def grey(root: Path) -> None:
    for split in ("train", "test"):
        for number, name in enumerate(CLASSES):
            for image in range(2):
                write(root, f"{split}/{name}/{image}.png", np.full((4, 5), number, np.uint8))


def read(files: Native, **options: Any) -> dict[str, xr.Dataset]:
    shards = image_folder.shards(files, options)
    return {shard.name: image_folder.read(files, shard, options) for shard in shards}


def problems(files: Native) -> list[tuple[str, str]]:
    with pytest.raises(NativeFormatError) as error:
        read(files)
    return kinds_and_places(error)


def test_the_folder_is_the_class(tmp_path: Path) -> None:
    grey(tmp_path / "n")

    train = reopened(read(native(tmp_path / "n"))["train-00000.nc"], tmp_path / "ready.nc")

    assert train["image"].dims == ("sample", "row", "column")
    assert train["label"].to_numpy().tolist() == [0, 0, 1, 1]
    assert train["class_name"].to_numpy().tolist() == [b"cat", b"dog"]
    assert train["file"].to_numpy()[0] == b"train/cat/0.png"
    np.testing.assert_array_equal(train["image"][2], np.ones((4, 5)))


@pytest.mark.parametrize(("count", "files"), [(1, 8), (3, 4), (4, 2), (0, 2)])
def test_a_split_is_the_same_in_any_number_of_files(tmp_path: Path, count: int, files: int) -> None:
    grey(tmp_path)

    parts = read(native(tmp_path), images_per_shard=count)

    assert len(parts) == files
    train = [part for name, part in parts.items() if name.startswith("train")]
    assert np.concatenate([part["label"] for part in train]).tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("pixels", "suffix", "variables"),
    [
        (np.full((4, 5), 60_000, np.uint16), ".tiff", declared("uint16")),
        (np.full((4, 5), 60_000, np.uint16), ".png", declared("uint16")),
        (np.full((4, 5), 1.5, np.float32), ".TIFF", declared("float32")),
        (np.full((4, 5, 3), 7, np.uint8), ".png", declared(color=True)),
        (np.full((4, 5, 4), 7, np.uint8), ".png", declared(color=True)),
        (np.full((4, 5), 7, np.uint8), ".bmp", declared("float32")),
        (np.full((4, 5), True), ".png", declared("bool")),
    ],
)
def test_pixels_are_those_of_the_file(
    tmp_path: Path, pixels: Any, suffix: str, variables: dict[str, Any]
) -> None:
    write(tmp_path, f"train/cat/0{suffix}", pixels)

    (part,) = read(native(tmp_path, variables)).values()

    np.testing.assert_array_equal(part["image"][0], pixels)
    assert str(part["image"].dtype) == variables["image"]["dtype"]


def test_a_smaller_image_is_padded_to_the_stated_size(tmp_path: Path) -> None:
    write(tmp_path, "train/cat/0.png", np.full((4, 5), 9, np.uint8))
    write(tmp_path, "train/cat/1.png", np.full((2, 3), 9, np.uint8))

    (part,) = read(native(tmp_path, declared(padded=True), size=[4, 6])).values()

    assert part["image"].shape == (2, 4, 6)
    assert (part["height"].to_numpy().tolist(), part["width"].to_numpy().tolist()) == (
        [4, 2], [5, 3],
    )  # fmt: skip
    assert int(part["image"][1].sum()) == 2 * 3 * 9


def bomb() -> bytes:
    """Return a PNG of 40,000 x 40,000 zeros in a few bytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        ends = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + ends

    head = struct.pack(">IIBBBBB", 40_000, 40_000, 16, 0, 0, 0, 0)
    data = zlib.compress(bytes(10_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def several_frames(root: Path, path: str) -> None:
    pages = [Image.fromarray(np.full((4, 5), page, np.uint8)) for page in range(3)]
    pages[0].save(root / path, save_all=True, append_images=pages[1:])


@pytest.mark.parametrize(
    ("path", "pixels", "kind"),
    [
        ("train/cat/2.png", np.zeros((4, 6), np.uint8), "size"),
        ("train/cat/2.png", np.zeros((4, 5, 3), np.uint8), "channels"),
        ("train/cat/2.png", np.zeros((4, 5), np.uint16), "dtype"),
        ("train/cow/2.png", np.zeros((4, 5), np.uint8), "class"),
        ("cat/2.png", np.zeros((4, 5), np.uint8), "split"),
    ],
)
def test_an_image_that_differs_is_named(tmp_path: Path, path: str, pixels: Any, kind: str) -> None:
    grey(tmp_path)
    write(tmp_path, path, pixels)

    assert problems(native(tmp_path)) == [(kind, path)]


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("2.png", b"", "unreadable"),
        ("2.png", b"no image", "unreadable"),
        ("2.png", bomb(), "size"),
        ("2.txt", b"notes", "unexpected"),
    ],
)
def test_a_file_that_is_no_image_is_named(
    tmp_path: Path, name: str, content: bytes, kind: str
) -> None:
    grey(tmp_path)
    (tmp_path / "train" / "cat" / name).write_bytes(content)

    assert problems(native(tmp_path)) == [(kind, f"train/cat/{name}")]


def test_a_cut_image_is_named_and_so_are_all_others(tmp_path: Path) -> None:
    grey(tmp_path)
    for name in ("0.png", "1.png"):
        path = tmp_path / "train" / "dog" / name
        path.write_bytes(path.read_bytes()[:-20])

    places = [place for _, place in problems(native(tmp_path))]
    assert places == ["train/dog/0.png", "train/dog/1.png"]


def test_several_frames_are_refused(tmp_path: Path) -> None:
    grey(tmp_path)
    several_frames(tmp_path, "train/cat/2.tiff")

    assert problems(native(tmp_path)) == [("frames", "train/cat/2.tiff")]


def test_a_missing_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grey(tmp_path)
    monkeypatch.setitem(sys.modules, "PIL", None)

    with pytest.raises(CallError, match="Pillow") as error:
        image_folder.shards(native(tmp_path), {})
    assert "sciml-data[formats]" in error.value.hint
