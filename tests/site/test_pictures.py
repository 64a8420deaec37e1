"""Pictures of the site: figures of runs, and of samples."""

from __future__ import annotations

import os
from pathlib import Path

from sciml_data.home import Home
from sciml_data.registry.descriptor import read_descriptor
from sciml_data.site.pictures import dataset_picture, read_picture, run_pictures
from tests.support.site_samples import png
from tests.support.small_registry import small_registry


def test_only_pictures_are_shown(tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "a_map.png").write_bytes(png(3, 2))
    (tmp_path / "figures" / "b.png").write_bytes(b"<svg onload=alert(1)>")
    (tmp_path / "figures" / "scores.txt").write_text("9 scores")

    pictures = run_pictures(tmp_path, "toy")

    assert [(item.name, item.width, item.height, item.caption) for item in pictures] == [
        ("a_map.png", 3, 2, "a map")
    ]
    assert read_picture(b"", name="", alt="", caption="") is None


def test_a_missing_picture_of_a_dataset_has_a_reason(tmp_path: Path) -> None:
    registry = small_registry(tmp_path / "registry")
    descriptor = read_descriptor(registry.package("waves", "1.0"))

    picture, reason = dataset_picture(descriptor, Home(tmp_path / "home"))

    assert picture is None
    assert reason == "waves 1.0 has no overview: no ready files and no sample are in the home"


def test_the_overview_beside_a_card_is_the_picture_of_its_versions(tmp_path: Path) -> None:
    from PIL import Image

    registry = small_registry(tmp_path / "registry")
    descriptor = read_descriptor(registry.package("waves", "1.0"))
    exif = Image.Exif()
    exif[0x010E] = "Two buoys\nDrawn from the published data."
    path = descriptor.folder.parent / "overview.webp"
    Image.new("RGB", (30, 20)).save(path, exif=exif)

    picture, reason = dataset_picture(descriptor, Home(tmp_path / "home"))
    path.write_bytes(b"RIFF, but not a picture")
    damaged = dataset_picture(descriptor, Home(tmp_path / "home"))

    assert picture is not None
    assert (picture.width, picture.height, picture.alt) == (30, 20, "Two buoys")
    assert (picture.caption, reason) == ("Drawn from the published data.", "")
    assert damaged[0] is None
    assert "overview.webp is not a WebP picture" in damaged[1]


def test_a_picture_that_is_a_link_or_no_whole_file_is_not_published(tmp_path: Path) -> None:
    (tmp_path / "run" / "figures").mkdir(parents=True)
    figures = tmp_path / "run" / "figures"
    (tmp_path / "private.png").write_bytes(png(3, 2))
    (figures / "link.png").symlink_to(tmp_path / "private.png")
    os.mkfifo(figures / "pipe.png")
    (figures / "head.png").write_bytes(png(3, 2)[:20])
    (figures / "folder.png").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "figures").symlink_to(figures.parent.parent)

    assert run_pictures(tmp_path / "run", "toy") == []
    assert run_pictures(tmp_path / "other", "toy") == []
