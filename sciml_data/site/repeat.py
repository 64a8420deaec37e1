"""How to repeat a run: the commands, made of its record alone."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from sciml_data.metadata.addresses import REPOSITORY

Record = Mapping[str, Any]


def install_lines(record: Record) -> list[str]:
    """Return the commands that install the software of a run."""
    code, extra = record["code"], record["distribution"].get("backend", "tensorflow")
    extras = "[train]" if extra == "tensorflow" else "[jax]"
    if code["commit"] is None:
        return [f"pip install 'sciml-data{extras}=={code['version']}'"]
    folder = REPOSITORY.rpartition("/")[2]
    return [
        f"git clone {REPOSITORY} && cd {folder}",
        f"git checkout {code['commit']}",
        f"pip install '.{extras}'",
    ]


def run_words(record: Record) -> list[str]:
    """Return the command that runs the same again."""
    found = ["sciml-data", "run", record["benchmark"]["name"], "--model", record["model"]["name"]]
    found += ["--split", record["split"]["name"], "--seed", str(record["seeds"]["seed"])]
    if record["benchmark"].get("variant"):
        found += ["--variant", record["benchmark"]["variant"], "--dataset", record["dataset"]["id"]]
    found += [*_sample(record), *_spread(record)]
    for name in record["settings_overridden"]:
        found += ["--set", f"{name}={_text(record['settings'][name])}"]
    return found


def repeat_lines(record: Record) -> list[str]:
    """Return all commands: install, run, look at the scores."""
    return [*install_lines(record), shlex.join(run_words(record)), "sciml-data show latest"]


def remarks(record: Record) -> Iterator[str]:
    """Yield what the commands cannot promise."""
    code = record["code"]
    if code["is_dirty"]:
        yield "The checkout had changes that no commit holds, so the commands may run other code."
    if code["commit"] is None and code["reason"]:
        yield f"No commit is known: {code['reason']}."
    if record["distribution"]["workers"] > 1:
        yield (
            f"It ran in {record['distribution']['workers']} processes: `sciml-data sbatch` writes "
            "the job that starts as many."
        )
    yield (
        "Scores are equal to the last bit only with the same versions, device, thread count and "
        "settings; elsewhere they differ in the last digits."
    )


def _sample(record: Record) -> Iterator[str]:
    data = record["dataset"]
    if data["sample_seed"] is not None:
        yield from ("--sample", "--sample-seed", str(data["sample_seed"]))
        for text in data.get("sample_set", ()):
            yield from ("--sample-set", text)


def _spread(record: Record) -> Iterator[str]:
    spread, threads = record["distribution"], record["hardware"]["intra_op_threads"]
    is_mirrored = spread["strategy"] == "mirrored"
    yield "--strategy"
    yield f"mirrored:{spread['replicas']}" if is_mirrored else spread["strategy"]
    if spread.get("backend", "tensorflow") != "tensorflow":
        yield from ("--backend", spread["backend"])
    if threads:
        yield from ("--threads", str(threads))


def _text(value: Any) -> str:
    """Return a setting as `--set` reads it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(map(_text, value)) if isinstance(value, list) else str(value)
