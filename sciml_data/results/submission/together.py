"""Which runs may stand in one submission: finished, of known code, of one thing, each once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sciml_data.bench.record.record import check_repeats
from sciml_data.errors import CallError, Problem

Record = Mapping[str, Any]
# Of one thing beyond what `check_repeats` holds: one version of everything, and one system.
SAME: Mapping[str, Callable[[Record], object]] = {
    "schema_version": lambda record: record["schema_version"],
    "dataset/ready_digest": lambda record: record["dataset"]["ready_digest"],
    "code/version": lambda record: record["code"]["version"],
    "code/commit": lambda record: record["code"]["commit"],
    "software/libraries": lambda record: record["software"]["libraries"],
    "hardware/host_processor_model_name": lambda record: record["hardware"][
        "host_processor_model_name"
    ],
    "hardware/accelerator_model_name": lambda record: record["hardware"]["accelerator_model_name"],
    "hardware/accelerators_per_node": lambda record: record["hardware"]["accelerators_per_node"],
}


def together_problems(records: Mapping[str, Record]) -> list[Problem]:
    """Return why these runs cannot be one submission.

    Args:
        records: name (of a file, or of a run's folder) -> record.
    """
    return [
        *_repeat_problems(list(records.values())),
        *_mixed_problems(records),
        *_duplicate_problems(records),
    ]


def code_problems(records: Mapping[str, Record], *, allow_dirty: bool) -> list[Problem]:
    """Return which runs are of code that nobody else can have.

    A commit there has to be, whatever is allowed: the rules ask every log for one.
    """
    return [
        Problem("commit", f"{name}/code", reason)
        for name, record in records.items()
        if (reason := unknown_code(record))
        and not (allow_dirty and record["code"]["commit"] is not None)
    ]


def unknown_code(record: Record) -> str:
    """Return why the code of a run is not known; empty where it is."""
    code = record["code"]
    if code["commit"] is None:
        return f"no commit: {code['reason'] or 'the record does not say why'}"
    if code["is_dirty"] is not False:
        return f"the checkout at {code['commit'][:12]} had changes of its own"
    return ""


def _repeat_problems(records: Sequence[Record]) -> list[Problem]:
    try:
        check_repeats(records)
    except CallError as error:
        kinds = {"status": "status", "seed": "duplicate"}
        return [
            Problem(
                kinds.get(found.kind, "mixed"),
                f"run {found.place}",
                f"{found.kind} {found.message}",
            )
            for found in error.problems
        ]
    return []


def _mixed_problems(records: Mapping[str, Record]) -> list[Problem]:
    (first_name, first), *others = records.items()
    return [
        Problem("mixed", f"{name}/{field}", f"{value(record)} here, {value(first)} in {first_name}")
        for name, record in others
        for field, value in SAME.items()
        if value(record) != value(first)
    ]


def _duplicate_problems(records: Mapping[str, Record]) -> list[Problem]:
    """Return runs that come twice: by id, or with the same predictions under another id."""
    problems = []
    for what, key in (("run_id", _run_id), ("predictions", _predictions)):
        seen: dict[str, str] = {}
        for name, record in records.items():
            value = key(record)
            if value in seen:
                message = f"the same as in {seen[value]}: one run counts once"
                problems.append(Problem("duplicate", f"{name}/{what}", message))
            seen.setdefault(value or f"none of {name}", name)
    return problems


def _run_id(record: Record) -> str:
    return str(record["run_id"])


def _predictions(record: Record) -> str | None:
    stated = record["outputs"].get("predictions")
    return None if stated is None else str(stated["sha256"])
