"""Write a run as Croissant Tasks: a TaskSolution, and the EvaluationTask with its scores.

The solution is based on the TaskProblem of its benchmark (`croissant_task.py`). Identifiers are
addresses in `croissant-task.json` beside the run's page in the site of the first registry in use.
A run on a synthetic sample says so, and its input is the sample and not the dataset.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sciml_data.bench.record.record import is_external
from sciml_data.errors import CallError
from sciml_data.metadata.addresses import (
    REPOSITORY,
    Identity,
    registry_identity,
    run_identifier,
)
from sciml_data.results.exports.croissant_task import (
    CONTEXT,
    FILE_NAME,
    dataset_node,
    document_address,
    metric_address,
    metric_node,
    problem_address,
    references,
    scorer_node,
)
from sciml_data.results.exports.request import (
    ExportRequest,
    computed_scores,
    definitions_of,
    title_of,
)

Node = dict[str, Any]
Record = Mapping[str, Any]
# Fields of a record's hardware -> how they are called here.
HARDWARE = {
    "host_processor_model_name": "processor",
    "host_processor_core_count": "processor cores of the computer",
    "host_processor_available_cores": "processor cores that the run could use",
    "host_memory_capacity_bytes": "memory in bytes",
    "accelerator_model_name": "accelerator",
    "accelerators_per_node": "accelerators",
    "intra_op_threads": "threads within an operation",
    "inter_op_threads": "threads between operations",
}


def export(request: ExportRequest) -> str:
    """Return the document of a run as JSON-LD."""
    record = request.record
    identity = registry_identity(request.registry.root)
    address = run_identifier(identity, record["run_id"])
    base = f"{address}{FILE_NAME}" if identity.base_url else address
    graph = list(_graph(request, base))
    document = {"@context": CONTEXT, "@graph": graph}
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _graph(request: ExportRequest, base: str) -> Iterator[Node]:
    record = request.record
    benchmark = document_address(_keeper(request), record["benchmark"]["name"])
    inputs = list(_inputs(request, base, benchmark))
    software = list(_software(record))
    predictions = _predictions(record, base)
    model = _model(record, base) | {"schema:softwareRequirements": references(software)}
    yield _solution(request, base) | {"croissant:input": references(inputs)}
    yield _evaluation(record, base) | {
        "croissant:evaluationResults": [
            _result(record, benchmark, base, key, row) for key, row in computed_scores(record)
        ],
    }
    yield from [*inputs, predictions, model, _execution(record, base), *software]
    yield scorer_node(f"{base}#scorer", record["code"]["version"])
    used = {row["metric_id"] for _, row in computed_scores(record)}
    yield from (
        metric_node(benchmark, fields)
        for name, fields in definitions_of(record).items()
        if name in used
    )


def _keeper(request: ExportRequest) -> Identity:
    """Return the identity of the registry with the run's benchmark; else of the first in use."""
    try:
        runner = request.registry.runner(request.record["benchmark"]["name"])
    except CallError:
        return registry_identity(request.registry.root)
    return registry_identity(runner.parents[1])


def _solution(request: ExportRequest, base: str) -> Node:
    record, benchmark = request.record, request.record["benchmark"]
    node: Node = {
        "@id": f"{base}#solution",
        "@type": "croissant:TaskSolution",
        "schema:name": title_of(record),
        "schema:identifier": [f"urn:uuid:{record['run_id']}", record["record_digest"]],
        "schema:dateCreated": record["timing"]["end_time"],
        "schema:isBasedOn": {
            "@id": problem_address(_keeper(request), benchmark["name"], benchmark.get("variant"))
        },
        "croissant:output": {"@id": f"{base}#predictions"},
        "croissant:implementation": {"@id": f"{base}#model"},
        "croissant:execution": {"@id": f"{base}#execution"},
        "croissant:evaluation": {"@id": f"{base}#evaluation"},
    }
    if request.org:
        node["schema:creator"] = {"@type": "schema:Organization", "schema:name": request.org}
    return node


def _inputs(request: ExportRequest, base: str, benchmark: str) -> Iterator[Node]:
    """Yield the data and the split; a synthetic sample is not the dataset."""
    data, split = request.record["dataset"], request.record["split"]
    if request.record["synthetic"]:
        yield {
            "@id": f"{base}#sample",
            "@type": "schema:Dataset",
            "schema:name": f"synthetic sample of {data['id']} {data['version']}",
            "schema:description": f"made from seed {data['sample_seed']}; scores on it are not "
            "results",
            "schema:identifier": data["manifest_digest"],
        }
    else:
        yield dataset_node(request.registry, data["id"], data["version"], base)
    yield {
        "@id": f"{benchmark}#split-{split['name']}",
        "@type": "schema:Dataset",
        "schema:name": f"split {split['name']}",
        "schema:description": split["strategy"],
        "schema:identifier": split["members_digest"],
    }


def _predictions(record: Record, base: str) -> Node:
    """Return the predictions of a run, which its folder has and the document does not."""
    node: Node = {
        "@id": f"{base}#predictions",
        "@type": "schema:Dataset",
        "schema:name": "predictions",
    }
    if stored := record["outputs"].get("predictions"):
        node["schema:distribution"] = {
            "@type": "schema:DataDownload",
            "schema:name": Path(stored["path"]).name,
            "schema:description": stored["format"],
            "schema:contentSize": f"{stored['size_bytes']} B",
            "schema:sha256": stored["sha256"],
        }
    return node


def _model(record: Record, base: str) -> Node:
    """Return the program that made the predictions, as far as the record knows it."""
    model, code = record["model"], record["code"]
    node: Node = {
        "@id": f"{base}#model",
        "@type": "schema:SoftwareApplication"
        if is_external(record)
        else "schema:SoftwareSourceCode",
        "schema:name": f"model {model['name']} ({model['framework']})",
    }
    known = {
        "trainable parameters": model["parameters"],
        "origin of the model": model["origin"],
        "sha256 of the weights": model.get("weights_digest"),
        "digest of the runner": code["runner_digest"],
        "sha256 of the model's file": (model["source"] or {}).get("sha256"),
    }
    node["schema:additionalProperty"] = _properties(known)
    if not is_external(record) and "registry" not in code:
        node["schema:codeRepository"] = {"@id": REPOSITORY}
        node["schema:version"] = code["commit"] or code["version"]
    return node


def _software(record: Record) -> Iterator[Node]:
    """Yield Python and the libraries of the run, by package URLs."""
    software = record["software"]
    versions = {name: version for name, version in software["libraries"].items() if version}
    for name, version in {"python": software["python_version"], **versions}.items():
        kind = "generic" if name == "python" else "pypi"
        yield {
            "@id": f"pkg:{kind}/{name}@{version}",
            "@type": "schema:SoftwareApplication",
            "schema:name": name,
            "schema:softwareVersion": version,
        }


def _execution(record: Record, base: str) -> Node:
    """Return how the run was made: settings, system, durations and energy."""
    timing, energy, resources = record["timing"], record["energy"], record["resources"]
    system = {name: record["hardware"].get(key) for key, name in HARDWARE.items()}
    system["operating system"] = record["software"]["platform"]
    measured = {
        "seconds to train": timing["time_to_train_s"],
        "peak memory in bytes": resources["peak_host_memory_bytes"],
        "processor seconds": resources["cpu_s"],
        "processor energy in joule": energy["cpu_energy_j"],
        "accelerator energy in joule": energy["gpu_energy_j"],
    }
    if not energy["measured"]:
        measured["energy"] = f"not measured: {energy['reason']}"
    distribution = record["distribution"]
    return {
        "@id": f"{base}#execution",
        "@type": "croissant:ExecutionInfo",
        "schema:startTime": timing["start_time"],
        "schema:endTime": timing["end_time"],
        "croissant:hyperparameter": _properties(
            {"seed": record["seeds"]["seed"], **record["settings"]}
        ),
        "croissant:system": _properties(
            {
                **system,
                "distribution": distribution["strategy"],
                "processes": distribution["workers"],
                **{f"variable {k}": v for k, v in record["software"]["environment"].items()},
            }
        ),
        "croissant:measurement": _properties(measured),
    }


def _evaluation(record: Record, base: str) -> Node:
    return {
        "@id": f"{base}#evaluation",
        "@type": "croissant:EvaluationTask",
        "schema:name": f"scores of {title_of(record)}",
        "schema:description": f"state of the scores: {record['verification']['state']}",
        "croissant:input": {"@id": f"{base}#predictions"},
        "croissant:implementation": {"@id": f"{base}#scorer"},
        "croissant:evaluatedSolution": {"@id": f"{base}#solution"},
    }


def _result(record: Record, benchmark: str, base: str, key: str, row: Mapping[str, Any]) -> Node:
    """Return a score; its interval and the baselines of the same part are values beside it."""
    value: Node = {"@type": "schema:QuantitativeValue", "schema:value": row["score"]}
    others = [
        {
            "@type": "schema:QuantitativeValue",
            "schema:name": f"baseline {name}",
            "schema:value": score,
        }
        for name, score in row["baselines"].items()
        if score is not None
    ]
    if interval := row.get("interval"):
        others.insert(0, _interval(record, interval))
    if others:
        value["schema:valueReference"] = others
    return {
        "@id": f"{base}#score-{row['part']}-{key}",
        "@type": "croissant:EvaluationResult",
        "schema:name": f"{key}, part {row['part']}",
        "schema:additionalProperty": _properties({"part": row["part"], "variant": row["variant"]}),
        "croissant:metric": {"@id": metric_address(benchmark, row["metric_id"])},
        "croissant:value": value,
    }


def _interval(record: Record, interval: Mapping[str, float]) -> Node:
    """Return the ends of a score's interval, with its level and its method."""
    resampling = record.get("resampling", {"confidence_level": None, "method": "not stated"})
    level = resampling["confidence_level"]
    return {
        "@type": "schema:QuantitativeValue",
        "schema:name": "interval" if level is None else f"{level:.0%} interval",
        "schema:description": resampling["method"],
        "schema:minValue": interval["lower"],
        "schema:maxValue": interval["upper"],
    }


def _properties(values: Mapping[str, Any]) -> list[Node]:
    """Return the known values as properties; lists and mappings become their JSON text."""
    return [
        {
            "@type": "schema:PropertyValue",
            "schema:name": name,
            "schema:value": value if isinstance(value, str | int | float) else json.dumps(value),
        }
        for name, value in values.items()
        if value is not None
    ]
