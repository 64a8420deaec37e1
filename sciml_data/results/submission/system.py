"""The system description: MLPerf's fields, from the record's hardware; what is not known says so.

The names are those that mlperf-logging's system_desc_checker (4.1.68) requires of every file; all
values are texts, since its tables join them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sciml_data.errors import CallError, Problem, nearest
from sciml_data.results.submission.names import STATUSES, SYSTEM, Terms

NOT_KNOWN = "not known"
NONE = "none"  # there is no such part
FIELDS = (
    "submitter", "division", "status", "system_name", "number_of_nodes", "host_processors_per_node",
    "host_processor_model_name", "host_processor_core_count", "host_processor_vcpu_count",
    "host_processor_frequency", "host_processor_caches", "host_processor_interconnect",
    "host_memory_capacity", "host_storage_type", "host_storage_capacity", "host_networking",
    "host_networking_topology", "host_memory_configuration", "accelerators_per_node",
    "accelerator_model_name", "accelerator_host_interconnect", "accelerator_frequency",
    "accelerator_on-chip_memories", "accelerator_memory_configuration",
    "accelerator_memory_capacity", "accelerator_interconnect", "accelerator_interconnect_topology",
    "cooling", "hw_notes", "framework", "other_software_stack", "operating_system", "sw_notes",
)  # fmt: skip


def known_fields(record: Mapping[str, Any], terms: Terms) -> dict[str, str]:
    """Return the fields that a record and the submitter's terms settle."""
    hardware, software = record["hardware"], record["software"]
    versions = {name: version for name, version in software["libraries"].items() if version}
    devices = record["distribution"]
    known = {
        "submitter": terms.org,
        "division": "open",
        "status": STATUSES[terms.status],
        "system_name": terms.system,
        # Logical processors: the record counts what the system shows (os.cpu_count).
        "host_processor_vcpu_count": hardware["host_processor_core_count"],
        "host_processor_model_name": hardware["host_processor_model_name"],
        "host_memory_capacity": f"{hardware['host_memory_capacity_bytes'] / 1e9:.1f} GB",
        "accelerators_per_node": hardware["accelerators_per_node"],
        "accelerator_model_name": hardware["accelerator_model_name"],
        "framework": record["model"]["framework"],
        "other_software_stack": ", ".join(
            [f"Python {software['python_version']}", *(f"{k} {v}" for k, v in versions.items())]
        ),
        "operating_system": software["platform"],
        "sw_notes": f"sciml-data {record['code']['version']}, commit "
        f"{record['code']['commit'] or NOT_KNOWN}",
        "hw_notes": f"{devices['workers']} processes, {devices['replicas']} replicas, "
        f"{hardware['host_processor_available_cores']} logical processors allowed",
    }
    if devices["workers"] == 1:
        known["number_of_nodes"] = 1
    if hardware["accelerators_per_node"] == 0:
        known |= {name: NONE for name in FIELDS if name.startswith("accelerator_")}
    return {name: str(value) for name, value in known.items() if value is not None}


def system_description(
    record: Mapping[str, Any], terms: Terms, more: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return every field, those of `more` where the record does not know better.

    Raises:
        CallError: `more` has a field that there is not, or contradicts what was recorded.
    """
    known, more = known_fields(record, terms), dict(more or {})
    problems = [
        Problem("system", name, f"no such field{nearest(name, FIELDS)}")
        for name in more
        if name not in FIELDS
    ]
    problems += [
        Problem("system", name, f"{more[name]!r} in the file, {known[name]!r} was recorded")
        for name in more
        if name in known and not name.endswith("_notes") and more[name] != known[name]
    ]
    if problems:
        raise CallError("the system description cannot be used", problems=problems)
    notes = {
        name: f"{known[name]}; {more[name]}"
        for name in more
        if name.endswith("_notes") and not more[name].startswith(known[name])
    }
    return dict.fromkeys(FIELDS, NOT_KNOWN) | known | more | notes


def read_system_file(path: Path) -> dict[str, str]:
    """Return the fields of a file of the submitter's.

    Raises:
        CallError: it is not there, or is no JSON object of texts.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CallError(f"the system description {path.name} cannot be read: {error}") from error
    if not isinstance(document, dict) or not all(isinstance(v, str) for v in document.values()):
        raise CallError(f"{path.name}: an object of texts is expected, such as {FIELDS[4]}: '2'")
    return document


def system_problems(found: Any, record: Mapping[str, Any], terms: Terms) -> list[Problem]:
    """Return where a system description lacks a field or contradicts the record."""
    if not isinstance(found, dict):
        return [Problem("system", SYSTEM, "an object is expected")]
    problems = [
        Problem("system", f"{SYSTEM}: {name}", "is missing") for name in FIELDS if name not in found
    ]
    problems += [
        Problem("system", f"{SYSTEM}: {name}", f"no such field{nearest(name, FIELDS)}")
        for name in found
        if name not in FIELDS
    ]
    return problems + [
        Problem("system", f"{SYSTEM}: {name}", f"{value!r} was recorded, {found[name]!r:.80} found")
        for name, value in known_fields(record, terms).items()
        if name in found and not _adds_to(name, value, found[name])
    ]


def _adds_to(name: str, known: str, found: Any) -> bool:
    """Return whether a value is the known one; notes may say more after it."""
    return found == known or (name.endswith("_notes") and str(found).startswith(f"{known}; "))
