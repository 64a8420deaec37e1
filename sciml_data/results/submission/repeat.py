"""How to repeat a run, as commands: what a record says, typed."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

Record = Mapping[str, Any]


def data_commands(record: Record) -> list[str]:
    """Return the commands that bring the data of a run here."""
    data = record["dataset"]
    named = [data["id"], "--version", data["version"], *_sample(record)]
    get = ["sciml-data", "get", *named, *_sample_set(record)]
    return [shlex.join(get), shlex.join(["sciml-data", "convert", *named])]


def run_command(records: Sequence[Record]) -> str:
    """Return the command that repeats these runs, which differ in their seeds only."""
    record = records[0]
    words = ["sciml-data", "run", record["benchmark"]["name"], "--model", record["model"]["name"]]
    words += ["--split", record["split"]["name"]]
    if variant := record["benchmark"].get("variant"):
        words += ["--variant", variant, "--dataset", record["dataset"]["id"]]
    words += [*_sample(record), *_sample_set(record)]
    seeds = [str(one["seeds"]["seed"]) for one in records]
    words += ["--seed", seeds[0]] if len(seeds) == 1 else ["--seeds", ",".join(seeds)]
    for key in record["settings_overridden"]:
        words += ["--set", f"{key}={_typed(record['settings'][key])}"]
    return shlex.join([*words, *_devices(record)])


def _sample(record: Record) -> list[str]:
    """Return the options that name the synthetic sample; none for real data."""
    seed = record["dataset"]["sample_seed"]
    return [] if seed is None else ["--sample", "--sample-seed", str(seed)]


def _sample_set(record: Record) -> list[str]:
    """Return the options that give a sample its size."""
    return [word for text in record["dataset"]["sample_set"] for word in ("--sample-set", text)]


def _devices(record: Record) -> list[str]:
    devices, words = record["distribution"], []
    if devices["strategy"] == "mirrored":
        words += ["--strategy", f"mirrored:{devices['replicas']}"]
    elif devices["strategy"] == "multiworker":
        words += ["--strategy", "multiworker"]
    if devices.get("backend", "tensorflow") != "tensorflow":
        words += ["--backend", devices["backend"]]
    if threads := record["hardware"]["intra_op_threads"]:
        words += ["--threads", str(threads)]
    return words


def _typed(value: Any) -> str:
    """Return a setting as `--set` reads it: lists by commas, words as they are."""
    if isinstance(value, list):
        return ",".join(_typed(item) for item in value)
    return value if isinstance(value, str) else json.dumps(value)
