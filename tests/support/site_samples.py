"""A small registry with a benchmark and runs, to make a site from."""

from __future__ import annotations

import shutil
import struct
import zlib
from pathlib import Path
from typing import Any

from sciml_data.home import Home
from sciml_data.registry.layout import Registry
from sciml_data.site import Content, gather
from tests.support.paths import TOY_REGISTRY
from tests.support.run_samples import written_run
from tests.support.small_registry import small_registry

TOY = TOY_REGISTRY / "runners"
TOY_BENCHMARK = {
    "name": "toy",
    "title": "Toy",
    "division": "open",
    "headline_metric": "rmse.a",
}
IDS = [f"{number}2345678-1234-4234-8234-123456789abc" for number in (1, 2, 3)]


def site_registry(root: Path) -> Registry:
    """Return a registry with the dataset `waves` and the benchmark `toy`."""
    registry = small_registry(root)
    shutil.copytree(TOY, root / "runners", ignore=shutil.ignore_patterns("__pycache__"))
    return registry


def site_runs(home: Home) -> list[Path]:
    """Write three runs of `toy` into a home: one real, one synthetic, one that failed."""
    folders = [home.runs("toy") / name for name in ("real", "made-up", "failed")]
    toy: dict[str, Any] = {"benchmark": TOY_BENCHMARK}
    written_run(folders[0], run_id=IDS[0], **toy)
    written_run(folders[1], run_id=IDS[1], synthetic=True, **toy)
    written_run(
        folders[2], run_id=IDS[2], status="failed", reason="the disk is full", metrics=[], **toy
    )
    (folders[0] / "figures").mkdir()
    (folders[0] / "figures" / "map.png").write_bytes(png(6, 4))
    return folders


def site_content(root: Path, **options: Any) -> tuple[Content, Home]:
    """Return the content of a site of the small registry and the three runs, and the home."""
    home = Home(root / "home")
    site_runs(home)
    return gather(site_registry(root / "registry"), home, **options), home


def png(width: int, height: int) -> bytes:
    """Return a grey picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress((b"\0" + b"\x80" * width) * height)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
