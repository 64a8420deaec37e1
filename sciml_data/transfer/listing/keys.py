"""Tell files from what else is in a bucket: markers of folders, system files, impossible names.

A bucket has no folders. Programs that show some upload an object for each: `train/` (the AWS
console, rclone), `train` with no bytes (s3fs, Hadoop) or `train_$folder$` (older Hadoop).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sciml_data.registry.manifest import SYSTEM_FILE, unsafe_because

FOLDER_SUFFIX = "_$folder$"


@dataclass(frozen=True)
class NotFiles:
    """Keys that are not files of the dataset.

    Attributes:
        left_out: markers of folders, and files of an operating system.
        refused: keys that cannot be paths -> why.
    """

    left_out: tuple[str, ...]
    refused: Mapping[str, str]


def find_others(sizes: Mapping[str, int], wanted: Collection[str]) -> NotFiles:
    """Return which keys are not files.

    Args:
        sizes: bytes of each key.
        wanted: paths that are expected by name; they are files in any case.
    """
    folders = {key[:end] for key in sizes for end, letter in enumerate(key) if letter == "/"}
    left_out: list[str] = []
    refused: dict[str, str] = {}
    for key, size_bytes in sizes.items():
        name = key.rpartition("/")[2]
        is_marker = not name or name.endswith(FOLDER_SUFFIX) or (key in folders and not size_bytes)
        if key not in wanted and (is_marker or SYSTEM_FILE.fullmatch(name)):
            left_out.append(key)
        elif reason := unsafe_because(key):
            refused[key] = reason
        elif key in folders:
            refused[key] = "is a file and the folder of others"
    return NotFiles(tuple(left_out), refused)
