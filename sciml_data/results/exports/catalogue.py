"""Write a benchmark as an entry of the working group's catalogue, with or without a run.

Fields and types are those of `source/benchmarks-format.yaml` in mlcommons-science/benchmark. Its
`docs/benchmark-format.md` requires every field, the word "unknown" for unknown values, and ASCII.
What only the catalogue asks for is in `[catalogue]` of task.toml. Ratings are those of
`sciml-data rate`, with a reason for each answer.

The YAML is not written by PyYAML, whose quotes and escapes differ: entries that the catalogue has
already would change in every line.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sciml_data.bench.task.task import Task, load_task
from sciml_data.metadata.addresses import (
    benchmark_identifier,
    registry_identity,
    source_address,
)
from sciml_data.metadata.cite import to_bibtex
from sciml_data.metadata.facts import Facts, facts_of
from sciml_data.registry.layout import Registry
from sciml_data.results.exports.request import BenchmarkRequest, ExportRequest, computed_scores
from sciml_data.results.rating.questions import Subject
from sciml_data.results.rating.report import rate

UNKNOWN = "unknown"
WIDTH = 90  # of prose in a block
DOI = re.compile(r"doi = \{([^}]*)\}")

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Entry:
    """What an entry is made from: a benchmark, its datasets and the results to name.

    Attributes:
        subject: the benchmark, with published records.
        datasets: facts of its datasets, the default one first.
        record: of a run to name as a result; None for none.
    """

    subject: Subject
    datasets: tuple[Facts, ...]
    record: Record | None = None

    @property
    def task(self) -> Task:
        """Return the benchmark."""
        return self.subject.task


def export(request: ExportRequest) -> str:
    """Return the entry of a run's benchmark, with the run as a result.

    Raises:
        SciMLDataError: the registry lacks the benchmark, or describes it invalidly.
    """
    name = request.record["benchmark"]["name"]
    task = load_task(request.registry.runner(name))
    return to_yaml([to_catalogue(entry_of(task, request.registry, request.record))])


def export_benchmark(request: BenchmarkRequest) -> str:
    """Return the entry of a benchmark as YAML, for a pull request to the catalogue."""
    return to_yaml([to_catalogue(entry_of(request.task, request.registry))])


def entry_of(task: Task, registry: Registry, record: Record | None = None) -> Entry:
    """Return what the entry of a benchmark is made from."""
    subject = Subject(task, registry)
    return Entry(subject, tuple(map(facts_of, subject.descriptors)), record)


def to_catalogue(entry: Entry) -> dict[str, Any]:
    """Return the entry as a mapping; facts that nobody has stated are `unknown`."""
    task, known = entry.task, entry.subject.catalogue
    is_pinned = bool(entry.datasets) and entry.datasets[0].trust != "unpinned"
    date = known.get("date") or (entry.datasets[0].described if entry.datasets else UNKNOWN)
    results = _results(entry)
    return {
        "date": date,
        "version": f"v{task.version}",
        "last_updated": _last_update(entry) or date,
        "expired": "no",
        "valid": is_pinned,  # files whose bytes nobody has recorded may be gone
        "valid_date": date if is_pinned else UNKNOWN,
        "name": known.get("name", task.title),
        "url": _page(entry),
        "doi": known.get("doi", UNKNOWN),
        "domain": list(known.get("domain", [UNKNOWN])),
        "focus": known.get("focus", task.title),
        "keywords": _keywords(entry.datasets),
        "summary": _prose(task.description, known.get("background"), known.get("motivation")),
        "licensing": f"Apache-2.0 (software); data: {_licences(entry.datasets)}",
        "task_types": list(known.get("task_types", [UNKNOWN])),
        "ai_capability_measured": list(known.get("ai_capability", [UNKNOWN])),
        "metrics": [metric.name for metric in task.metrics],
        "models": list(task.models),
        "ml_motif": list(known.get("ml_motif", [UNKNOWN])),
        "type": "Benchmark",
        "ml_task": list(known.get("ml_task", [UNKNOWN])),
        "solutions": str(len(results)),
        "notes": _notes(entry),
        "contact": dict(known.get("contact", {"name": UNKNOWN, "email": UNKNOWN})),
        "cite": _citations(entry),
        "datasets": {"links": _datasets(entry)},
        "results": {"links": results or [{"name": UNKNOWN, "url": UNKNOWN}]},
        "fair": {
            "reproducible": _is_reproduced(entry) or UNKNOWN,
            "benchmark_ready": is_pinned or UNKNOWN,
        },
        "ratings": _ratings(entry),
    }


def _keywords(datasets: Sequence[Facts]) -> list[str]:
    return list(dict.fromkeys(word for facts in datasets for word in facts.keywords)) or [UNKNOWN]


def _ratings(entry: Entry) -> dict[str, dict[str, Any]]:
    ratings = rate(entry.task, entry.subject.registry).to_ratings()
    return {
        name: {**block, "reason": _lines_of(block["reason"])} for name, block in ratings.items()
    }


def _page(entry: Entry) -> str:
    """Return the address of the benchmark's page, or of another page about it."""
    identity = registry_identity(entry.subject.root)
    page = benchmark_identifier(identity, entry.task.name)
    if not page.startswith("urn:"):
        return page
    homes = (facts.page or facts.homepage for facts in entry.datasets)
    return identity.repository or next(filter(None, homes), UNKNOWN)


def _licences(datasets: Sequence[Facts]) -> str:
    names = [
        f"{facts.dataset}: "
        + ", ".join(
            licence.name if licence.is_stated else "not stated" for licence in facts.licences
        )
        for facts in datasets
    ]
    return "; ".join(names) or UNKNOWN


def _citations(entry: Entry) -> list[str]:
    """Return the papers of the benchmark, then what its default dataset asks to cite."""
    stated = [text.strip() for text in entry.subject.catalogue.get("cite", ())]
    dois = {match for text in stated for match in DOI.findall(text)}
    own = to_bibtex(entry.datasets[0]).split("\n\n") if entry.datasets else []
    others = (text for text in own if text.strip() and not dois & set(DOI.findall(text)))
    return [*stated, *others] or [UNKNOWN]


def _datasets(entry: Entry) -> list[dict[str, str]]:
    return [
        {
            "name": f"{facts.title}, {facts.version}",
            "url": facts.page or facts.homepage or UNKNOWN,
        }
        for facts in entry.datasets
    ] or [{"name": UNKNOWN, "url": UNKNOWN}]


def _last_update(entry: Entry) -> str:
    """Return the last day on which a dataset was described or a named run ended."""
    days = [facts.described for facts in entry.datasets]
    days += [record["timing"]["end_time"][:10] for record in _named(entry)]
    return max(days, default="")


def _named(entry: Entry) -> list[Record]:
    """Return the records that an entry names: published ones, and that of the run."""
    own = [] if entry.record is None or entry.record["synthetic"] else [entry.record]
    return [*entry.subject.records.values(), *own]


def _notes(entry: Entry) -> str:
    notes = [f"sciml-data run {entry.task.name} --sample runs it without a download."]
    for block in entry.subject.about.get("system", ()):
        needs = [
            f"{block[key]} {unit}"
            for key, unit in (
                ("memory_gib", "GiB of memory"), ("disk_gib", "GiB of disk"), ("hours", "hours"),
            )
            if key in block
        ]  # fmt: skip
        known = ", ".join(needs) or "not measured"
        notes.append(f"{block['tier']} ({block['data'].partition(':')[0]}): {known}.")
    if entry.record is not None and entry.record["synthetic"]:
        notes.append("Made from a run on a synthetic sample, which is no result.")
    return _prose(*notes)


def _results(entry: Entry) -> list[dict[str, str]]:
    """Return the page of the benchmark's published results, and the run."""
    identity = registry_identity(entry.subject.root)
    links: list[dict[str, str]] = []
    for stem in (entry.task.name, entry.task.name.partition("_")[0]):
        page = f"docs/results/{stem}.md"
        address = source_address(identity, page)
        if (entry.subject.root / page).is_file() and address and not links:
            links.append({"name": "Scores beside baselines, measured", "url": address})
    record = entry.record
    if record is not None and not record["synthetic"]:
        links.append({"name": _result_name(record), "url": UNKNOWN})
    return links


def _result_name(record: Record) -> str:
    """Return what a run is and its headline scores; a record does not say where it is published."""
    headline = record["benchmark"]["headline_metric"]
    scores = [
        f"{row['part']} {row['score']:.6g}"
        for key, row in computed_scores(record)
        if key == headline
    ]
    return (
        f"{record['model']['name']}, seed {record['seeds']['seed']}, {headline}: "
        f"{', '.join(scores) or UNKNOWN}; record {record['record_digest']}, "
        f"{record['verification']['state']}"
    )


def _is_reproduced(entry: Entry) -> bool:
    return any(record["verification"]["state"] == "reproduced" for record in _named(entry))


def _prose(*texts: str | None) -> str:
    """Return sentences as lines of a block."""
    return _lines_of(" ".join(filter(None, texts)) or UNKNOWN)


def _lines_of(text: str) -> str:
    wrapped = (
        textwrap.wrap(line, WIDTH, break_long_words=False, break_on_hyphens=False)
        for line in text.splitlines()
    )
    return "\n".join(line for lines in wrapped for line in lines)


def to_yaml(value: Any) -> str:
    """Return lists and mappings as ASCII YAML, with texts of several lines as blocks."""
    return "".join(f"{line}\n" for line in _lines(value))


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
