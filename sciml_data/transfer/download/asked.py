"""Which part of a dataset was asked for, so that `verify` misses no more than that."""

from __future__ import annotations

import json

from sciml_data.home import DatasetFolder, write_atomically
from sciml_data.registry.stages import Plan

ASKED_NAME = "asked.json"


def note_asked(plan: Plan) -> None:
    """Add a plan to what was asked for before."""
    paths: set[str] | None = None
    if not plan.is_whole:
        before = requested_paths(plan.folder)
        if before is None and (plan.folder.root / ASKED_NAME).is_file():
            return
        paths = {file.path for file in plan.files} | (before or set())
    whole = plan.descriptor.manifest
    if paths is not None and whole is not None and len(paths) == len(whole):
        paths = None
    note = {"paths": None if paths is None else sorted(paths)}
    write_atomically(plan.folder.root / ASKED_NAME, json.dumps(note, indent=1) + "\n")


def requested_paths(folder: DatasetFolder) -> set[str] | None:
    """Return the paths asked for so far; None means all of them, also where nothing is noted."""
    try:
        text = (folder.root / ASKED_NAME).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    paths = json.loads(text)["paths"]
    return None if paths is None else set(paths)
