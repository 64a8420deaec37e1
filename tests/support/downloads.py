"""Shared by tests of downloads: four small files, retries that do not wait, folder contents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from sciml_data.home import Home
from sciml_data.registry.stages import Plan
from sciml_data.testing.datasets import write_dataset
from sciml_data.transfer.plan import make_plan
from sciml_data.transfer.protocols.retry import RetryPolicy
from sciml_data.transfer.protocols.source import Timeouts

FOUR_FILES = {
    "a.bin": bytes(range(256)) * 40,
    "deep/er/b.bin": b"B" * 70_000,
    "deep/c.bin": b"c" * 1_500_000,
    "empty.bin": b"",
}


def contents(root: Path) -> dict[str, bytes]:
    """Return the bytes of every file below a folder, by path."""
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def quick_retry(
    waits: list[float] | None = None, *, tries: int = 4, last_tries: int = 10, read_s: float = 20.0
) -> RetryPolicy:
    """Return a retry policy that appends its waits to a list instead of waiting."""
    return RetryPolicy(
        tries=tries,
        last_tries=last_tries,
        pause=([] if waits is None else waits).append,
        timeouts=Timeouts(connect_s=20, read_s=read_s),
    )


def plan_from(root: Path, files: Mapping[str, bytes], bases: Sequence[str], home: Home) -> Plan:
    """Return the plan of a dataset whose mirrors have the files below these URLs.

    Args:
        root: folder for the registry.
        files: content by path.
        bases: URLs of the mirrors, in the order to ask.
        home: where the dataset is stored.
    """
    mirrors = [{"": f"{base}/"} for base in bases]
    return make_plan(write_dataset(root / "registry", files, mirrors=mirrors), home)
