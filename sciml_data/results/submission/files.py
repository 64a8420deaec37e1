"""The files of a submission that programs read: config.yaml, system.json, VERSION.txt and the logs.

Each is made from the records and the submitter's terms, and each has a check that it still says
what they say.

The example of config.yaml in the working group's submit.adoc does not parse (its indentation is
inconsistent) and spells `description` as `discription`; our fields are its fields, spelled
correctly. The fields of system.json are those that mlperf-logging's system_desc_checker (4.1.68)
requires of every file; all values are texts, because its tables join them.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sciml_data.bench.record.record import budget_words, is_external
from sciml_data.errors import CallError, JsonError, Problem, RecordError, nearest
from sciml_data.home import read_json
from sciml_data.metadata.addresses import REPOSITORY
from sciml_data.progress import counted
from sciml_data.registry.layout import Registry
from sciml_data.results import mlperf_log
from sciml_data.results.submission.layout import (
    CONFIG,
    MODEL,
    STATUSES,
    SYSTEM,
    Terms,
    predictions_name,
)

Record = Mapping[str, Any]
MAX_CONFIG_CHARACTERS = 1 << 20  # a hundred times the size of ours
MAX_VALUE = 80  # characters of a value in a message
NOT_KNOWN = "not known"
NONE = "none"  # the system has no such part
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


# config.yaml


def config_document(records: Sequence[Record], terms: Terms, application: str) -> dict[str, Any]:
    """Return the content of `config.yaml`, for runs that differ only in their seeds."""
    record = records[0]
    code = record["code"]
    return {
        "name": terms.poc_name,
        "e-mail": terms.poc_email,
        "organisation": terms.org,
        "division": "open",
        "status": terms.status,
        "platform": terms.platform or terms.system,
        "application": application,
        "benchmark": record["benchmark"]["name"],
        "variant": record["benchmark"].get("variant"),
        "synthetic": record["synthetic"],
        "github": {
            "description": "code of engine and benchmark; a record names a commit and no branch",
            "repo": REPOSITORY,
            "branch": None,
            "version": code["version"],
            "tag": None,
            "commit": code["commit"],
            "is_dirty": code["is_dirty"],
            "runner_digest": code["runner_digest"],
        },
        "data": data_commands(record),
        "dataset": {
            key: record["dataset"][key]
            for key in ("id", "version", "manifest_digest", "scale", "sample_seed", "sample_set")
        },
        "split": {key: record["split"][key] for key in ("name", "members_digest")},
        "run": run_command(records),
        "seeds": [other["seeds"]["seed"] for other in records],
        "settings": dict(record["settings"]),
        "settings_overridden": list(record["settings_overridden"]),
    }


def to_yaml(document: Mapping[str, Any]) -> str:
    """Return a document as YAML; keys keep their order."""
    import yaml

    return str(yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True, width=100))


def parse_yaml(text: str) -> Any:
    """Return the document in a YAML text that somebody else wrote.

    Raises:
        RecordError: it does not parse, is too large, or uses references (with them, a small text
            can expand to a very large document).
    """
    import yaml

    if len(text) > MAX_CONFIG_CHARACTERS:
        raise RecordError(
            f"{CONFIG} has {len(text):,} characters, {MAX_CONFIG_CHARACTERS:,} are allowed"
        )
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
            raise RecordError(f"{CONFIG} has references (&name, *name), which are not allowed")
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RecordError(f"{CONFIG} is not YAML: {first}") from error


def config_problems(text: str, expected: Mapping[str, Any]) -> list[Problem]:
    """Return where a `config.yaml` differs from what the records give."""
    try:
        actual = parse_yaml(text)
    except RecordError as error:
        return [Problem("config", CONFIG, error.message)]
    return [
        Problem("config", f"{CONFIG}: {place}", message)
        for place, message in _differences(expected, actual)
    ]


def _differences(expected: Any, actual: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Yield (place, message) for every value in which two documents of plain values differ."""
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        for key in [*expected, *(key for key in actual if key not in expected)]:
            below = f"{place}.{key}" if place else str(key)
            if key not in actual:
                yield below, "is missing"
            elif key not in expected:
                yield below, "is not known here"
            else:
                yield from _differences(expected[key], actual[key], below)
    elif type(expected) is not type(actual) or expected != actual:
        yield place or "document", f"{_short(expected)} expected, {_short(actual)} found"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= MAX_VALUE else f"{text[:MAX_VALUE]}..."


# Commands that repeat the runs


def data_commands(record: Record) -> list[str]:
    """Return the commands that fetch and convert the data of a run."""
    data = record["dataset"]
    dataset = [data["id"], "--version", data["version"], *_sample(record)]
    get = ["sciml-data", "get", *dataset, *_sample_set(record)]
    return [shlex.join(get), shlex.join(["sciml-data", "convert", *dataset])]


def run_command(records: Sequence[Record]) -> str:
    """Return the command that repeats these runs, which differ only in their seeds.

    External predictions cannot be repeated, only scored again: a command for each file.
    """
    record, seeds = records[0], [str(other["seeds"]["seed"]) for other in records]
    name, model = record["benchmark"]["name"], record["model"]["name"]
    if is_external(record):
        files = enumerate(seeds, start=1)
        options = _task_options(record), _overridden(record)
        commands = [
            ["score", name, predictions_name(number), "--model", model, "--seed", seed]
            for number, seed in files
        ]
        return " && ".join(
            shlex.join(["sciml-data", *words, *options[0], *options[1]]) for words in commands
        )
    if source := record["model"]["source"]:
        model = f"{MODEL}:{source['function']}"
    words = ["sciml-data", "run", name, "--model", model, *_task_options(record)]
    words += ["--seed", seeds[0]] if len(seeds) == 1 else ["--seeds", ",".join(seeds)]
    return shlex.join([*words, *budget_words(record), *_overridden(record), *_devices(record)])


def _task_options(record: Record) -> list[str]:
    words = ["--split", record["split"]["name"], "--dataset", record["dataset"]["id"]]
    if variant := record["benchmark"].get("variant"):
        words += ["--variant", variant]
    return [*words, *_sample(record), *_sample_set(record)]


def _overridden(record: Record) -> list[str]:
    """Return the options that set what the caller has overridden."""
    settings = record["settings"]
    changed = record["settings_overridden"]
    return [word for key in changed for word in ("--set", f"{key}={_set_text(settings[key])}")]


def _sample(record: Record) -> list[str]:
    """Return the options that select the synthetic sample; an empty list for real data."""
    seed = record["dataset"]["sample_seed"]
    return [] if seed is None else ["--sample", "--sample-seed", str(seed)]


def _sample_set(record: Record) -> list[str]:
    """Return the options that set the size of a sample."""
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


def _set_text(value: Any) -> str:
    """Return a setting as `--set` takes it: lists with commas, words without quotes."""
    if isinstance(value, list):
        return ",".join(_set_text(item) for item in value)
    return value if isinstance(value, str) else json.dumps(value)


# system.json


def known_fields(record: Mapping[str, Any], terms: Terms) -> dict[str, str]:
    """Return the fields that follow from a record and the submitter's terms."""
    hardware, software = record["hardware"], record["software"]
    versions = {name: version for name, version in software["libraries"].items() if version}
    stated = {
        "submitter": terms.org,
        "division": "open",
        "status": STATUSES[terms.status],
        "system_name": terms.system,
        "framework": record["model"]["framework"],
        "sw_notes": f"sciml-data {record['code']['version']}, commit "
        f"{record['code']['commit'] or NOT_KNOWN}",
    }
    if is_external(record):
        return stated  # the computer that trained is not known, and that which scored says little
    devices = record["distribution"]
    known = stated | {
        # Logical processors: that is what os.cpu_count, and so the record, counts.
        "host_processor_vcpu_count": hardware["host_processor_core_count"],
        "host_processor_core_count": hardware.get("host_processor_physical_core_count"),
        "host_processors_per_node": hardware.get("host_processors_per_node"),
        "host_processor_model_name": hardware["host_processor_model_name"],
        "host_memory_capacity": f"{hardware['host_memory_capacity_bytes'] / 1e9:.1f} GB",
        "accelerators_per_node": hardware["accelerators_per_node"],
        "accelerator_model_name": hardware["accelerator_model_name"],
        "other_software_stack": ", ".join(
            [f"Python {software['python_version']}", *(f"{k} {v}" for k, v in versions.items())]
        ),
        "operating_system": software["platform"],
        "hw_notes": f"{counted(devices['workers'], 'process', 'processes')}, "
        f"{counted(devices['replicas'], 'replica')}, "
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
    """Return every field of the system description.

    Args:
        record: of a run.
        terms: of the submission.
        more: the submitter's values for fields that no record has. Texts of the fields `..._notes`
            are added to the known ones.

    Raises:
        CallError: `more` has an unknown field, or contradicts the record.
    """
    known, more = known_fields(record, terms), dict(more or {})
    problems = [
        Problem("system", name, f"unknown field{nearest(name, FIELDS)}")
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
    """Return the system fields in a file that the submitter wrote.

    Raises:
        CallError: the file does not exist, or is not a JSON object of texts.
    """
    try:
        document = read_json(path)
    except JsonError as error:
        raise CallError(f"the system description cannot be read: {error.message}") from error
    if not isinstance(document, dict) or not all(isinstance(v, str) for v in document.values()):
        raise CallError(f"{path.name}: an object of texts is expected, such as {FIELDS[4]}: '2'")
    return document


def system_problems(actual: Any, record: Mapping[str, Any], terms: Terms) -> list[Problem]:
    """Return missing and unknown fields of a system description, and values unlike the record's."""
    if not isinstance(actual, dict):
        return [Problem("system", SYSTEM, "an object is expected")]
    problems = [
        Problem("system", f"{SYSTEM}: {name}", "is missing")
        for name in FIELDS
        if name not in actual
    ]
    problems += [
        Problem("system", f"{SYSTEM}: {name}", f"unknown field{nearest(name, FIELDS)}")
        for name in actual
        if name not in FIELDS
    ]
    return problems + [
        Problem(
            "system", f"{SYSTEM}: {name}", f"{value!r} was recorded, {actual[name]!r:.80} found"
        )
        for name, value in known_fields(record, terms).items()
        if name in actual and not _agrees(name, value, actual[name])
    ]


def _agrees(name: str, known: str, actual: Any) -> bool:
    """Return whether a value is the known one; notes may continue after it."""
    return actual == known or (name.endswith("_notes") and str(actual).startswith(f"{known}; "))


# Logs and VERSION.txt


def make_log(record: Mapping[str, Any], terms: Terms) -> str:
    """Return the log of a run."""
    return mlperf_log.log_text(record, submitter(terms))


def submitter(terms: Terms) -> mlperf_log.Submitter:
    """Return the submitter as the log names it."""
    return mlperf_log.Submitter(
        terms.org,
        terms.system,
        status=terms.status,
        platform=terms.platform,
        poc_name=terms.poc_name,
        poc_email=terms.poc_email,
    )


def log_problems(
    path: Path, text: str, record: Mapping[str, Any], registry: Registry
) -> Iterator[Problem]:
    """Yield what our check (with the record) and the official checker find in a log.

    Raises:
        CallError: the official checker is not installed.
    """
    problems = mlperf_log.check_lines(text, record)
    benchmark = record["benchmark"]["name"]
    if benchmark in registry.benchmarks():  # otherwise the check of the record reports it
        problems += mlperf_log.check_official(path, benchmark, registry=registry)
    for problem in problems:
        yield Problem("log", f"{path.name} {problem.place}", f"{problem.kind}: {problem.message}")


def submitter_problems(name: str, text: str, terms: Terms) -> Iterator[Problem]:
    """Yield keys of a log whose value is not the one in the terms."""
    expected = {
        "submission_org": terms.org,
        "submission_status": terms.status,
        "submission_platform": terms.platform or terms.system,
        "submission_poc_name": terms.poc_name,
        "submission_poc_email": terms.poc_email,
    }
    try:
        lines = mlperf_log.parse_lines(text)
    except RecordError:
        return  # `log_problems` reports it
    stated = {str(line["key"]): line["value"] for line in lines}
    for key, value in expected.items():
        if stated.get(key) != value:
            message = f"{value!r} expected, {stated.get(key)!r:.80} found"
            yield Problem("log", f"{name} {key}", message)
