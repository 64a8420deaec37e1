"""A run as a Process Run Crate 0.5 (RO-Crate 1.1): one action, the software, what went in and out.

Small files go along; large ones (predictions unless asked for, weights, the training state) stand
there as works with their digest. The dataset is named by its page, not copied.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sciml_data.errors import RecordError
from sciml_data.metadata.addresses import REPOSITORY, landing_page_address
from sciml_data.metadata.rocrate import METADATA_NAME
from sciml_data.metadata.rocrate import PROFILE as RO_CRATE
from sciml_data.results.exports.crate_check import crate_problems
from sciml_data.results.exports.crate_folder import check_place, write_crate
from sciml_data.results.exports.material import (
    SOFTWARE,
    Ask,
    RunFile,
    computed,
    definitions_of,
    files_of,
    title_of,
)

PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
# `sha256` of the terms for runs is one of container images; that of schema.org is of any file.
CONTEXT = [
    f"{RO_CRATE}/context",
    "https://w3id.org/ro/terms/workflow-run/context",
    {"sha256": "https://schema.org/sha256"},
]
COMPLETED = "http://schema.org/CompletedActionStatus"
FAILED = "http://schema.org/FailedActionStatus"
SOFTWARE_ID = f"{REPOSITORY}#software"

Entity = dict[str, Any]
Record = Mapping[str, Any]


def export(ask: Ask) -> str:
    """Write the crate into a new folder, or a zip file, and return where it lies.

    Raises:
        CallError: something lies there already.
        RecordError: files of the run are not as its record says.
    """
    place = check_place(str(ask.to))
    files = files_of(ask)
    crate = to_run_crate(ask.record, files, org=ask.org)
    if problems := crate_problems(crate):
        raise RecordError(
            "the crate breaks the profile of a Process Run Crate",
            problems=problems,
            untouched="nothing was written",
        )
    along = {one.path: ask.folder / one.path for one in files if one.goes_along}
    write_crate(place, crate, along, time=ask.record["timing"]["end_time"])
    return str(place)


def to_run_crate(record: Record, files: Iterable[RunFile], *, org: str | None) -> Entity:
    """Return the text of `ro-crate-metadata.json` as a mapping.

    Args:
        record: of the run.
        files: of the run.
        org: the organisation that ran it; without one the action has no agent.
    """
    files = list(files)
    outputs = [_file(one) for one in files]
    scores = list(_scores(record))
    inputs = [_dataset(record), _split(record), *_settings(record)]
    environment = list(_environment(record))
    libraries = list(_libraries(record))
    agents = [{"@id": "#organisation", "@type": "Organization", "name": org}] if org else []
    action = _action(record) | {
        "object": _references(inputs),
        "result": _references([*outputs, *scores]),
    }
    if environment:
        action["environment"] = _references(environment)
    if agents:
        action["agent"] = _references(agents)
    parts = [one for one in [*outputs, inputs[0]] if one["@type"] in ("File", "Dataset")]
    root = _root(record) | {"hasPart": _references(parts), "mentions": _references([action])}
    if agents:
        root |= {"author": _references(agents), "publisher": _references(agents)}
    return {
        "@context": CONTEXT,
        "@graph": [
            _descriptor(),
            root,
            *_fixed(),
            _software(record) | {"softwareRequirements": _references(libraries)},
            action,
            *[*agents, *inputs, *outputs, *scores, *environment, *libraries],
        ],
    }


def _descriptor() -> Entity:
    return {
        "@id": METADATA_NAME,
        "@type": "CreativeWork",
        "conformsTo": {"@id": RO_CRATE},
        "about": {"@id": "./"},
    }


def _root(record: Record) -> Entity:
    return {
        "@id": "./",
        "@type": "Dataset",
        "conformsTo": {"@id": PROFILE},
        "identifier": f"urn:uuid:{record['run_id']}",
        "name": title_of(record),
        "description": f"{record['benchmark']['title']}. The record of one run, with its log and "
        f"curve. Scores are {record['verification']['state']}.",
        "datePublished": record["timing"]["end_time"][:10],
        "license": {"@id": "#licence"},
    }


def _fixed() -> list[Entity]:
    """Return the entities that every crate has."""
    return [
        {
            "@id": PROFILE,
            "@type": "CreativeWork",
            "name": "Process Run Crate",
            "version": PROFILE.rpartition("/")[2],
        },
        {
            "@id": "#licence",
            "@type": "CreativeWork",
            "name": "licence not stated",
            "description": "A record says nothing of the terms it is passed on under.",
        },
    ]


def _software(record: Record) -> Entity:
    code = record["code"]
    commit = f"commit {code['commit']}" if code["commit"] else f"no commit: {code['reason']}"
    dirty = ", with changes that are in no commit" if code["is_dirty"] else ""
    return {
        "@id": SOFTWARE_ID,
        "@type": "SoftwareApplication",
        "name": SOFTWARE,
        "url": REPOSITORY,
        "softwareVersion": code["version"],
        "description": f"{commit}{dirty}; files of the benchmark {code['runner_digest']}",
    }


def _libraries(record: Record) -> Iterable[Entity]:
    """Return Python and its libraries, by package URL where the name says enough."""
    software = record["software"]
    yield {
        "@id": "https://www.python.org/",
        "@type": "SoftwareApplication",
        "name": "Python",
        "url": "https://www.python.org/",
        "softwareVersion": software["python_version"],
    }
    for name, version in software["libraries"].items():
        if version is not None:
            yield {
                "@id": f"pkg:pypi/{name}@{version}",
                "@type": "SoftwareApplication",
                "name": name,
                "softwareVersion": version,
            }


def _action(record: Record) -> Entity:
    has_ended_well = record["status"] == "success"
    changed = ", ".join(record["settings_overridden"]) or "none"
    action = {
        "@id": f"urn:uuid:{record['run_id']}",
        "@type": "CreateAction",
        "name": title_of(record),
        "description": f"{SOFTWARE} run {record['benchmark']['name']}; settings that the caller "
        f"changed: {changed}; on {record['distribution']['replicas']} replica(s)",
        "startTime": _with_offset(record["timing"]["start_time"]),
        "endTime": _with_offset(record["timing"]["end_time"]),
        "instrument": {"@id": SOFTWARE_ID},
        "actionStatus": COMPLETED if has_ended_well else FAILED,
    }
    return action if has_ended_well else action | {"error": record["reason"]}


def _with_offset(time: str) -> str:
    """Return a time in UTC with its offset in digits, which validators know better than Z."""
    return time.removesuffix("Z") + "+00:00"


def _dataset(record: Record) -> Entity:
    data = record["dataset"]
    known = {
        "name": f"{data['id']} {data['version']}",
        "version": data["version"],
        "identifier": data["manifest_digest"],
    }
    if record["synthetic"]:
        remark = f"synthetic sample, made from seed {data['sample_seed']}"
        return {"@id": "#dataset", "@type": "CreativeWork", **known, "description": remark}
    page = landing_page_address(data["id"], data["version"])
    remark = f"named, not copied; identified by its manifest, {data['manifest_digest']}"
    return {"@id": page, "@type": "Dataset", **known, "url": page, "description": remark}


def _split(record: Record) -> Entity:
    split = record["split"]
    name = f"split {split['name']}: {split['strategy']}"
    return _property("#split", name, split["members_digest"])


def _settings(record: Record) -> Iterable[Entity]:
    yield _property("#seed", "seed", record["seeds"]["seed"])
    for name, value in record["settings"].items():
        yield _property(f"#setting-{name}", name, value)


def _environment(record: Record) -> Iterable[Entity]:
    for name, value in record["software"]["environment"].items():
        yield _property(f"#environment-{name}", name, value)


def _scores(record: Record) -> Iterable[Entity]:
    definitions = definitions_of(record)
    for key, row in computed(record):
        definition = definitions[row["metric_id"]]
        yield _property(f"#score-{row['part']}-{key}", f"{key}, {row['part']}", row["score"]) | {
            "description": f"{definition['metric_name']}, version {definition['metric_version']}; "
            f"{'lower' if definition['lower_is_better'] else 'higher'} is better",
            "unitText": definition["metric_unit"],
        }


def _property(identifier: str, name: str, value: Any) -> Entity:
    plain = value if isinstance(value, int | float | str) else str(value)
    return {"@id": identifier, "@type": "PropertyValue", "name": name, "value": plain}


def _file(file: RunFile) -> Entity:
    known = {
        "name": file.path,
        "description": file.form,
        "encodingFormat": file.media_type,
        "contentSize": str(file.size_bytes),
        "sha256": file.sha256,
    }
    if file.goes_along:
        return {"@id": file.path, "@type": "File", **known}
    known["description"] += "; it is not in the crate, its digest is"
    return {"@id": f"#{file.name}", "@type": "CreativeWork", **known}


def _references(entities: Iterable[Entity]) -> list[dict[str, str]] | dict[str, str]:
    """Return references to entities; RO-Crate 1.1 asks for no list around a single one."""
    found = [{"@id": one["@id"]} for one in entities]
    return found[0] if len(found) == 1 else found
