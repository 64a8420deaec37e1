"""Write a benchmark, with a run as its result, as an entry of the working group's catalogue.

Fields and types are those of `source/benchmarks-format.yaml` in mlcommons-science/benchmark. Its
`docs/benchmark-format.md` requires every field, the word "unknown" for unknown values, and ASCII.
Ratings are left to reviewers: 0 means "not evaluated" there.

The YAML is not written by PyYAML, whose quotes and escapes differ: entries that the catalogue has
already would change in every line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from sciml_data.bench.task.task import Task, load_task
from sciml_data.bench.task.variants import choose_variant
from sciml_data.metadata.addresses import registry_identity
from sciml_data.metadata.cite import to_bibtex
from sciml_data.metadata.facts import Facts, facts_of
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.results.exports.request import ExportRequest, computed_scores

UNKNOWN = "unknown"
NOT_RATED = {"rating": 0, "reason": "not evaluated"}
RATINGS = (
    "software",
    "specification",
    "dataset",
    "metrics",
    "reference_solution",
    "documentation",
)

Record = Mapping[str, Any]


def export(request: ExportRequest) -> str:
    """Return the entry as YAML, a list of one entry, for a pull request to the catalogue.

    Raises:
        SciMLDataError: the registry lacks the benchmark or the dataset, or describes it invalidly.
    """
    data, benchmark = request.record["dataset"], request.record["benchmark"]
    task = load_task(request.registry.runner(benchmark["name"]))
    task = choose_variant(task, benchmark.get("variant"), data["id"])
    facts = facts_of(load_descriptor(request.registry, data["id"], data["version"]))
    return to_yaml([to_catalogue(request.record, task, facts)])


def to_catalogue(record: Record, task: Task, facts: Facts) -> dict[str, Any]:
    """Return the entry; facts that neither registry nor record has are `unknown`.

    Args:
        record: of a successful run.
        task: the benchmark.
        facts: of the dataset.
    """
    day = record["timing"]["end_time"][:10]
    is_real = not record["synthetic"]
    page = facts.page or facts.homepage or UNKNOWN
    keeper = registry_identity(task.folder.parents[1])
    return {
        "date": day,
        "version": record["code"]["version"],
        "last_updated": day,
        "expired": "no",
        "valid": is_real,  # a sample does not show that the data exist
        "valid_date": day if is_real else UNKNOWN,
        "name": f"{keeper.title} {task.name}",
        "url": keeper.repository or keeper.page or UNKNOWN,
        "doi": UNKNOWN,
        "domain": [UNKNOWN],
        "focus": task.title,
        "keywords": list(facts.keywords) or [UNKNOWN],
        "summary": task.description or UNKNOWN,
        "licensing": "Apache-2.0 (software); data: " + _licences(facts),
        "task_types": [UNKNOWN],
        "ai_capability_measured": [UNKNOWN],
        "metrics": [metric.name for metric in task.metrics],
        "models": list(task.models),
        "ml_motif": [UNKNOWN],
        "type": "Benchmark",
        "ml_task": [UNKNOWN],
        "solutions": "1" if is_real else "0",
        "notes": _notes(record),
        "contact": {"name": UNKNOWN, "email": UNKNOWN},
        "cite": [entry for entry in to_bibtex(facts).split("\n\n") if entry.strip()],
        "datasets": {"links": [{"name": f"{facts.title}, {facts.version}", "url": page}]},
        "results": {"links": [_result(record)]},
        "fair": {
            "reproducible": record["verification"]["state"] == "reproduced" or UNKNOWN,
            "benchmark_ready": is_real or UNKNOWN,
        },
        "ratings": {name: dict(NOT_RATED) for name in RATINGS},
    }


def to_yaml(value: Any) -> str:
    """Return lists and mappings as ASCII YAML, with texts of several lines as blocks."""
    return "".join(f"{line}\n" for line in _lines(value))


def _licences(facts: Facts) -> str:
    names = [licence.name if licence.is_stated else "not stated" for licence in facts.licences]
    return ", ".join(dict.fromkeys(names)) or UNKNOWN


def _notes(record: Record) -> str:
    split = record["split"]
    notes = [
        f"Split {split['name']} ({split['strategy']}), members {split['members_digest']}.",
        f"Dataset manifest {record['dataset']['manifest_digest']}.",
    ]
    if record["synthetic"]:
        notes.append("Made from a run on a synthetic sample, which is no result.")
    return " ".join(notes)


def _result(record: Record) -> dict[str, str]:
    """Return the run as a result; a record does not say where it is published."""
    if record["synthetic"]:
        return {"name": UNKNOWN, "url": UNKNOWN}
    headline = record["benchmark"]["headline_metric"]
    scores = [
        f"{row['part']} {row['score']:.6g}"
        for key, row in computed_scores(record)
        if key == headline
    ]
    name = (
        f"{record['model']['name']}, seed {record['seeds']['seed']}, {headline}: "
        f"{', '.join(scores) or UNKNOWN}; record {record['record_digest']}, "
        f"{record['verification']['state']}"
    )
    return {"name": name, "url": UNKNOWN}


def _lines(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            first, *rest = _item_lines(item)
            yield f"- {first}"
            yield from (f"  {line}" if line else "" for line in rest)
        return
    for key, inner in value.items():
        if isinstance(inner, list | dict) and inner:
            yield f"{key}:"
            yield from (f"  {line}" if line else "" for line in _lines(inner))
        else:
            first, *rest = _scalar_lines(inner)
            yield f"{key}: {first}"
            yield from (f"  {line}" if line else "" for line in rest)


def _item_lines(item: Any) -> list[str]:
    return list(_lines(item)) if isinstance(item, dict) and item else _scalar_lines(item)


def _scalar_lines(value: Any) -> list[str]:
    """Return a text of several lines as a block, and any other value as JSON, which is YAML."""
    if isinstance(value, str) and _is_block(value):
        return ["|-", *value.split("\n")]
    text = json.dumps(value, ensure_ascii=False)
    return ["".join(char if " " <= char <= "~" else _escape(char) for char in text)]


def _escape(char: str) -> str:
    """Return a character as YAML escapes it; JSON would use two escapes beyond 16 bits."""
    code = ord(char)
    return f"\\u{code:04x}" if code < 1 << 16 else f"\\U{code:08x}"


def _is_block(text: str) -> bool:
    """Return whether a block can hold a text: it has no escapes and no outer white space."""
    lines = text.split("\n")
    is_plain = text.isascii() and all(line.isprintable() for line in lines)
    return len(lines) > 1 and is_plain and text == text.strip()
