"""Write a run as a Process Run Crate 0.5 (RO-Crate 1.1), as a folder or a zip file.

A crate has one action (the run), its software, its inputs and its outputs. Small files are
included. Large ones (weights, the training state, and predictions unless requested) are entities
with their digest. The dataset is referred to by its page.

Before a crate is written, it is checked against the MUSTs of
https://w3id.org/ro/wfrun/process/0.5, and those of RO-Crate 1.1 that our crates could break: every
entity occurs once, every reference leads to an entity, every file is a part of the root.
"""

from __future__ import annotations

import datetime
import json
import os
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sciml_data.bench.record.record import is_external
from sciml_data.errors import CallError, Problem, RecordError
from sciml_data.metadata.addresses import REPOSITORY
from sciml_data.metadata.rocrate import METADATA_NAME
from sciml_data.metadata.rocrate import PROFILE as RO_CRATE
from sciml_data.results.exports.request import (
    SOFTWARE,
    ExportRequest,
    RunFile,
    computed_scores,
    definitions_of,
    files_of,
    landing_page,
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
PERMALINK = "https://w3id.org/ro/wfrun/process/"
ACTIONS = {"CreateAction", "ActivateAction", "UpdateAction"}
TOOLS = {"SoftwareApplication", "SoftwareSourceCode", "ComputationalWorkflow"}
ROOT = "./"
# Properties that RO-Crate 1.1 requires of the root, besides its type.
ROOT_FIELDS = ("name", "description", "datePublished", "license")
SPECIFICATION = "https://w3id.org/ro/crate/"  # the specification itself is not an entity of a crate
ZIP = ".zip"
FILE_MODE = 0o644 << 16  # in the upper half of a zip entry's attributes

Entity = dict[str, Any]
Record = Mapping[str, Any]


def export(request: ExportRequest) -> str:
    """Write the crate into a new folder or zip file, and return its path.

    Raises:
        CallError: the target exists.
        RecordError: files of the run differ from its record.
    """
    place = check_place(str(request.to))
    files = files_of(request)
    page = landing_page(request)
    crate = to_run_crate(request.record, files, org=request.org, page=page)
    if problems := crate_problems(crate):
        raise RecordError(
            "the crate breaks the profile of a Process Run Crate",
            problems=problems,
            untouched="nothing was written",
        )
    included = {file.path: request.folder / file.path for file in files if file.is_included}
    write_crate(place, crate, included, time=request.record["timing"]["end_time"])
    return str(place)


def to_run_crate(
    record: Record, files: Iterable[RunFile], *, org: str | None, page: str | None
) -> Entity:
    """Return the content of `ro-crate-metadata.json`.

    Args:
        record: of the run.
        files: of the run.
        org: organisation that made the run; without one the action has no agent.
        page: address of the dataset's landing page; None if it is not known.
    """
    files = list(files)
    outputs = [_file(file) for file in files]
    scores = list(_scores(record))
    inputs = [_dataset(record, page), _split(record), *_settings(record)]
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
    parts = [part for part in [*outputs, inputs[0]] if part["@type"] in ("File", "Dataset")]
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
    """Return the entities that are the same in every crate."""
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
    """Yield Python and its libraries; libraries are identified by package URLs."""
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
    how = f"run {record['benchmark']['name']}"
    where = f"on {record['distribution']['replicas']} replica(s)"
    if is_external(record):
        how, where = f"score {record['benchmark']['name']}", "another program predicted"
    action = {
        "@id": f"urn:uuid:{record['run_id']}",
        "@type": "CreateAction",
        "name": title_of(record),
        "description": f"{SOFTWARE} {how}; settings that the caller changed: {changed}; {where}",
        "startTime": _with_offset(record["timing"]["start_time"]),
        "endTime": _with_offset(record["timing"]["end_time"]),
        "instrument": {"@id": SOFTWARE_ID},
        "actionStatus": COMPLETED if has_ended_well else FAILED,
    }
    return action if has_ended_well else action | {"error": record["reason"]}


def _with_offset(time: str) -> str:
    """Return a time in UTC with its offset in digits, which validators know better than Z."""
    return time.removesuffix("Z") + "+00:00"


def _dataset(record: Record, page: str | None) -> Entity:
    data = record["dataset"]
    known = {
        "name": f"{data['id']} {data['version']}",
        "version": data["version"],
        "identifier": data["manifest_digest"],
    }
    if record["synthetic"]:
        remark = f"synthetic sample, made from seed {data['sample_seed']}"
        return {"@id": "#dataset", "@type": "CreativeWork", **known, "description": remark}
    remark = f"named, not copied; identified by its manifest, {data['manifest_digest']}"
    if page is None:
        return {"@id": "#dataset", "@type": "CreativeWork", **known, "description": remark}
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
    for key, row in computed_scores(record):
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
    if file.is_included:
        return {"@id": file.path, "@type": "File", **known}
    known["description"] += "; it is not in the crate, its digest is"
    return {"@id": f"#{file.name}", "@type": "CreativeWork", **known}


def _references(entities: Iterable[Entity]) -> list[dict[str, str]] | dict[str, str]:
    """Return references to entities; in RO-Crate 1.1, a single reference is not in a list."""
    references = [{"@id": entity["@id"]} for entity in entities]
    return references[0] if len(references) == 1 else references


# The check of a crate


def crate_problems(crate: Mapping[str, Any]) -> list[Problem]:
    """Return every MUST that a crate breaks, each with the entity that breaks it."""
    graph = crate["@graph"]
    identifiers = [entity["@id"] for entity in graph]
    problems = [
        Problem("twice", identifier, "an entity occurs more than once in the graph")
        for identifier in dict.fromkeys(identifiers)
        if identifiers.count(identifier) > 1
    ]
    entities: dict[str, Entity] = {entity["@id"]: entity for entity in graph}
    if ROOT not in entities:
        return [*problems, Problem("root", ROOT, "there is no root data entity")]
    problems += _root_problems(entities)
    problems += _action_problems(entities)
    problems += [
        Problem("reference", f"{holder} {name}", f"{target} is not in the graph")
        for holder, name, target in _references_in(graph)
        if target not in entities and not target.startswith(SPECIFICATION)
    ]
    return problems


def _root_problems(entities: Mapping[str, Entity]) -> Iterator[Problem]:
    root = entities[ROOT]
    profiles = [entities.get(target, {}) for target in _targets(root.get("conformsTo"))]
    if not any(
        str(profile.get("@id")).startswith(PERMALINK) and "CreativeWork" in _types(profile)
        for profile in profiles
    ):
        yield Problem("profile", ROOT, f"conformsTo names no CreativeWork {PERMALINK}…")
    for name in ROOT_FIELDS:
        if not root.get(name):
            yield Problem("root", ROOT, f"{name} is missing")
    parts = set(_targets(root.get("hasPart")))
    for identifier, entity in entities.items():
        if "File" in _types(entity) and identifier not in parts:
            yield Problem("part", identifier, "a file is not a part of the root")


def _action_problems(entities: Mapping[str, Entity]) -> Iterator[Problem]:
    actions = [entity for entity in entities.values() if ACTIONS & set(_types(entity))]
    if not actions:
        yield Problem("action", ROOT, "there is no action")
    for action in actions:
        tools = [entities.get(target, {}) for target in _targets(action.get("instrument"))]
        if not any(TOOLS & set(_types(tool)) for tool in tools):
            yield Problem("instrument", action["@id"], "names no software of the graph")


def _references_in(graph: Iterable[Entity]) -> Iterator[tuple[str, str, str]]:
    """Yield (entity, property, target) of every reference."""
    for entity in graph:
        for name, value in entity.items():
            for target in _targets(value):
                yield entity["@id"], name, target


def _targets(value: Any) -> list[str]:
    """Return the identifiers that a property refers to; an empty list for other values."""
    values = value if isinstance(value, list) else [value]
    return [item["@id"] for item in values if isinstance(item, Mapping) and "@id" in item]


def _types(entity: Entity) -> list[str]:
    types = entity.get("@type", [])
    return list(types) if isinstance(types, list) else [types]


# Writing a crate


def check_place(to: str) -> Path:
    """Return the path where a crate will be written: the target of `to` if that is a link.

    Raises:
        CallError: the target exists, or its parent folder does not.
    """
    place = Path(to).expanduser()
    if place.is_symlink():  # writing the link itself would replace it
        place = place.resolve()
    is_free = not place.exists() or (place.is_dir() and not any(place.iterdir()))
    if not is_free or (place.exists() and place.suffix == ZIP):
        raise CallError(
            f"{to} exists; a crate is written to a new place",
            untouched="nothing was written",
            hint="choose another target, or remove this one first",
        )
    if not place.absolute().parent.is_dir():
        raise CallError(
            f"no such folder: {place.absolute().parent}",
            untouched="nothing was written",
            hint=f"mkdir -p {place.absolute().parent}",
        )
    return place


def write_crate(
    place: Path, crate: Mapping[str, Any], files: Mapping[str, Path], *, time: str
) -> None:
    """Write the metadata and the files under a temporary name, and rename the crate when complete.

    Args:
        place: a folder, or a file whose name ends in `.zip`.
        crate: content of `ro-crate-metadata.json`.
        files: path in the crate -> file to copy.
        time: ISO 8601 time of all entries of a zip file, so that equal crates have equal bytes.
    """
    text = json.dumps(crate, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    partial = place.with_name(f".{place.name}.partial-{os.getpid()}")
    try:
        if place.suffix == ZIP:
            _write_zip(partial, text, files, time=time)
        else:
            _write_folder(partial, text, files)
        partial.replace(place)
    finally:
        if partial.is_dir():
            shutil.rmtree(partial)
        partial.unlink(missing_ok=True)


def _write_folder(folder: Path, text: str, files: Mapping[str, Path]) -> None:
    folder.mkdir()
    for name, path in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    (folder / METADATA_NAME).write_text(text, encoding="utf-8")


def _write_zip(path: Path, text: str, files: Mapping[str, Path], *, time: str) -> None:
    moment = datetime.datetime.fromisoformat(time).timetuple()[:6]
    # A zip file has the years from 1980 to 2107.
    moment = min(max(moment, (1980, 1, 1, 0, 0, 0)), (2107, 12, 31, 23, 59, 58))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in [METADATA_NAME, *sorted(files)]:
            entry = zipfile.ZipInfo(name, moment)
            entry.external_attr = FILE_MODE
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w", force_zip64=True) as target:
                if name == METADATA_NAME:
                    target.write(text.encode("utf-8"))
                else:
                    with files[name].open("rb") as source:
                        shutil.copyfileobj(source, target)
