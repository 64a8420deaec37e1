"""Pictures of the site: figures of runs, and of samples."""

from __future__ import annotations

import os
from pathlib import Path

from sciml_data.home import Home
from sciml_data.registry.descriptor import read_descriptor
from sciml_data.site.pictures import read_picture, run_pictures, sample_picture
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


def test_a_missing_picture_of_a_sample_has_a_reason(tmp_path: Path) -> None:
    registry = small_registry(tmp_path / "registry")
    descriptor = read_descriptor(registry.package("waves", "1.0"))

    picture, reason = sample_picture(descriptor, Home(tmp_path / "home"))

    assert picture is None
    assert reason == "there was no sample in the home that this site was made from"


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
