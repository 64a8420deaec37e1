"""A benchmark, with a run as its result, as an entry of the working group's catalogue.

Fields and their types are those of `source/benchmarks-format.yaml` in mlcommons-science/benchmark;
its `docs/benchmark-format.md` asks for every field, the word "unknown" where something is not
known, and ASCII. Ratings are for reviewers: 0, which stands there for "not evaluated".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from sciml_data.bench.task.task import Task, load_task
from sciml_data.bench.task.variants import choose_variant
from sciml_data.metadata.addresses import REPOSITORY
from sciml_data.metadata.cite import to_bibtex
from sciml_data.metadata.facts import Facts, facts_of
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.results.exports.material import SOFTWARE, Ask, computed

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


def export(ask: Ask) -> str:
    """Return the entry as YAML, a list of one, to be put into the catalogue by pull request.

    Raises:
        SciMLDataError: the registry has no such benchmark or dataset, or what it says is not sound.
    """
    data, benchmark = ask.record["dataset"], ask.record["benchmark"]
    task = load_task(ask.registry.runner(benchmark["name"]))
    task = choose_variant(task, benchmark.get("variant"), data["id"])
    facts = facts_of(load_descriptor(ask.registry, data["id"], data["version"]))
    return to_yaml([to_catalogue(ask.record, task, facts)])


def to_catalogue(record: Record, task: Task, facts: Facts) -> dict[str, Any]:
    """Return the entry; what neither registry nor record says is `unknown`.

    Args:
        record: of a run that is a success.
        task: the benchmark.
        facts: of the dataset.
    """
    day = record["timing"]["end_time"][:10]
    is_real = not record["synthetic"]
    return {
        "date": day,
        "version": record["code"]["version"],
        "last_updated": day,
        "expired": "no",
        "valid": is_real,  # a boolean is asked for; a sample does not show that the data are there
        "valid_date": day if is_real else UNKNOWN,
        "name": f"{SOFTWARE} {task.name}",
        "url": REPOSITORY,
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
        "datasets": {
            "links": [{"name": f"{facts.title}, {facts.version}", "url": facts.identifier}]
        },
        "results": {"links": [_result(record)]},
        "fair": {
            "reproducible": record["verification"]["state"] == "reproduced" or UNKNOWN,
            "benchmark_ready": is_real or UNKNOWN,
        },
        "ratings": {name: dict(NOT_RATED) for name in RATINGS},
    }


def to_yaml(value: Any) -> str:
    """Return lists and mappings as YAML in ASCII; texts of several lines as blocks."""
    return "".join(f"{line}\n" for line in _lines(value))


def _licences(facts: Facts) -> str:
    names = [one.name if one.is_stated else "not stated" for one in facts.licences]
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
    """Return the run as a result; where its record is published, it does not say itself."""
    if record["synthetic"]:
        return {"name": UNKNOWN, "url": UNKNOWN}
    headline = record["benchmark"]["headline_metric"]
    scores = [
        f"{row['part']} {row['score']:.6g}" for key, row in computed(record) if key == headline
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
    """Return a text of several lines as a block, anything else as JSON, which YAML holds."""
    if isinstance(value, str) and _is_block(value):
        return ["|-", *value.split("\n")]
    text = json.dumps(value, ensure_ascii=False)
    return ["".join(one if " " <= one <= "~" else _escape(one) for one in text)]


def _escape(letter: str) -> str:
    """Return a letter as YAML escapes it; JSON writes those beyond 16 bits as two."""
    code = ord(letter)
    return f"\\u{code:04x}" if code < 1 << 16 else f"\\U{code:08x}"


def _is_block(text: str) -> bool:
    """Return whether a block says exactly this: it cannot escape, nor begin or end with blanks."""
    lines = text.split("\n")
    is_plain = text.isascii() and all(line.isprintable() for line in lines)
    return len(lines) > 1 and is_plain and text == text.strip()
