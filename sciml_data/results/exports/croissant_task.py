"""Write a benchmark as Croissant Tasks (MLCommons): a TaskProblem for each of its variants.

A problem gives datasets, stored splits and the evaluation, and specifies what a solution provides:
predictions, and a program that made them. Upstream's shapes allow a solution's evaluation only
beside a solution, so the reference solution is named, which is the benchmark's default model.

Each identifier is an address in `croissant-task.json` beside the benchmark's page in the site. A
registry without a site has identifiers with a UUID. `croissant_solution.py` writes runs.

https://github.com/mlcommons/croissant/tree/main/tasks has the ontology and the shapes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sciml_data.bench.scoring.scores import metric_definition
from sciml_data.bench.task.split import load_split, split_names
from sciml_data.bench.task.task import Task, datasets_of
from sciml_data.bench.task.variants import choose_variant
from sciml_data.errors import CallError, DescriptorError
from sciml_data.metadata.addresses import (
    REPOSITORY,
    Identity,
    benchmark_identifier,
    file_address,
    registry_identity,
    source_address,
)
from sciml_data.metadata.facts import facts_of
from sciml_data.metadata.schema_org import licence_node
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import Registry
from sciml_data.results.exports.request import SOFTWARE, BenchmarkRequest

FILE_NAME = "croissant-task.json"  # beside the page of a benchmark or a run
CONTEXT = {
    "croissant": "http://mlcommons.org/croissant/",
    "sc": "https://schema.org/",
    "schema": "https://schema.org/",
    "data": {"@id": "croissant:data", "@type": "@json"},
    "dataType": {"@id": "croissant:dataType", "@type": "@vocab"},
}
# What every benchmark asks of a program, besides the settings of its own data.
CONSTRAINTS = (
    "Any program and any model may be used. It is trained on the part train; the part validation "
    "chooses models and settings; the part test is predicted once, at the end. Each sample of a "
    "part has one finite prediction, under the ids of the benchmark."
)
HOW_TO_SCORE = "docs/how-to/external-predictions.md"

Node = dict[str, Any]


def export_benchmark(request: BenchmarkRequest) -> str:
    """Return the document of a benchmark as JSON-LD."""
    graph = list(_graph(request.task, request.registry))
    document = {"@context": CONTEXT, "@graph": graph}
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def document_address(identity: Identity, benchmark: str) -> str:
    """Return the address of a benchmark's document, or a UUID where it is not published."""
    address = benchmark_identifier(identity, benchmark)
    return f"{address}{FILE_NAME}" if identity.base_url else address


def problem_address(identity: Identity, benchmark: str, variant: str | None) -> str:
    """Return the identifier of a benchmark's problem, or of the problem of a variant."""
    return f"{document_address(identity, benchmark)}#{_named('problem', variant)}"


def _graph(task: Task, registry: Registry) -> Iterator[Node]:
    """Yield every node that others refer to, and the problems."""
    base = document_address(registry_identity(task.folder.parents[1]), task.name)
    variants = [choose_variant(task, name) for name in task.variants]
    yield (
        _problem(task, base)
        | {
            "croissant:input": references(_inputs(task, registry, base)),
            "croissant:evaluation": {"@id": f"{base}#evaluation"},
        }
        | ({"croissant:subTask": [_address(base, part) for part in variants]} if variants else {})
    )
    yield from _evaluation(task, base)
    for part in variants:
        yield _problem(part, base) | {
            "croissant:input": references(_inputs(part, registry, base)),
            "croissant:evaluation": {"@id": f"{base}#{_named('evaluation', part.variant)}"},
        }
        yield from _evaluation(part, base)
    yield _output(task, base)
    yield _implementation(task, base)
    yield from (metric_node(base, metric_definition(metric)) for metric in task.metrics)
    yield from _inputs(task, registry, base)


def _problem(task: Task, base: str) -> Node:
    identity = registry_identity(task.folder.parents[1])
    name = task.name if task.variant is None else f"{task.name}/{task.variant}"
    node = {
        **_address(base, task),
        "@type": "croissant:TaskProblem",
        "schema:name": task.title,
        "schema:description": task.description,
        "schema:identifier": name,
        "schema:url": _identifier(benchmark_identifier(identity, task.name)),
        "croissant:output": {"@id": f"{base}#output"},
        "croissant:implementation": {"@id": f"{base}#implementation"},
    }
    return {key: value for key, value in node.items() if value}


def _inputs(task: Task, registry: Registry, base: str) -> list[Node]:
    """Return the datasets and the stored splits, which a problem gives."""
    variant = task.variant
    datasets = datasets_of(task) if variant is None else task.variants[variant].datasets
    nodes = [dataset_node(registry, name, task.version, base) for name in datasets]
    names = task.splits or split_names(task.folder)
    return nodes + [_split(task, name, base) for name in names]


def dataset_node(registry: Registry, dataset: str, version: str, base: str) -> Node:
    """Return a version of a dataset; of one that no registry describes, only the name is known."""
    try:
        facts = facts_of(load_descriptor(registry, dataset, version))
    except (CallError, DescriptorError):
        return {
            "@id": f"{base}#dataset-{dataset}",
            "@type": "schema:Dataset",
            "schema:name": f"{dataset} {version}",
        }
    node: Node = {
        "@id": facts.identifier,
        "@type": "schema:Dataset",
        "schema:name": facts.title,
        "schema:alternateName": f"{facts.dataset} {facts.version}",
        "schema:version": facts.version,
        "schema:license": [_licence(node) for node in map(licence_node, facts.licences)],
    }
    if facts.manifest_digest is not None:
        node["schema:identifier"] = f"sha256:{facts.manifest_digest}"
    if facts.page is not None:  # the Croissant file of the dataset is beside its page
        node["schema:subjectOf"] = {"@id": file_address(facts.page, "croissant.json")}
    return node


def _licence(node: str | Mapping[str, str]) -> Node:
    if isinstance(node, str):
        return {"@id": node}
    url = {"schema:url": {"@id": node["url"]}} if "url" in node else {}
    return {
        "@type": "schema:CreativeWork",
        "schema:name": node["name"],
        "schema:description": node["description"],
        **url,
    }


def _split(task: Task, name: str, base: str) -> Node:
    """Return a stored split: a file, and the parts as a record set of Croissant's splits."""
    split, path = load_split(task.folder, name), task.folder / "splits" / f"{name}.json"
    records = f"{base}#split-{name}-parts"
    node: Node = {
        "@id": f"{base}#split-{name}",
        "@type": "schema:Dataset",
        "schema:name": f"split {name}",
        "schema:description": split.strategy,
        "schema:identifier": split.digest,
        "croissant:recordSet": {
            "@id": records,
            "@type": "croissant:RecordSet",
            "dataType": "croissant:Split",
            "croissant:key": {"@id": f"{records}-name"},
            "croissant:field": {
                "@id": f"{records}-name",
                "@type": "croissant:Field",
                "schema:name": "name",
                "dataType": "sc:Text",
            },
            "data": [{"name": part} for part in split.members],
        },
    }
    if not base.startswith("urn:"):
        node["schema:distribution"] = {
            "@type": "schema:DataDownload",
            "schema:contentUrl": {"@id": f"{base.removesuffix(FILE_NAME)}splits/{path.name}"},
            "schema:encodingFormat": "application/json",
            "schema:sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
    return node


def _output(task: Task, base: str) -> Node:
    """Return what a solution returns: a prediction for each sample, with the ids of its axes."""
    output = task.about.get("output", {"meaning": "predictions", "axes": {}, "unit": ""})
    unit = f"; unit: {output['unit']}" if output["unit"] else ""
    fields = {
        "part": ("sc:Text", "part of the split"),
        **{axis: ("sc:Text", meaning) for axis, meaning in output["axes"].items()},
        "predicted": ("sc:Float", f"{output['meaning']}{unit}"),
    }
    return {
        "@id": f"{base}#output",
        "@type": "croissant:OutputSpec",
        "schema:name": "predictions",
        "schema:description": "A table (CSV, Parquet) or NetCDF with these columns or axes. "
        "`sciml-data split export` writes the ids of every part.",
        "croissant:schema": {
            "@id": f"{base}#output-schema",
            "@type": "croissant:RecordSet",
            "schema:name": "predictions",
            "croissant:field": [
                {
                    "@id": f"{base}#output-{name}",
                    "@type": "croissant:Field",
                    "schema:name": name,
                    "schema:description": meaning,
                    "dataType": kind,
                }
                for name, (kind, meaning) in fields.items()
            ],
        },
    }


def _implementation(task: Task, base: str) -> Node:
    """Return what a solution's program has to hold to, and what systems runs needed."""
    inputs = [
        f"{block['name']}: {block['meaning']}"
        + (f" ({block['unit']})" if block.get("unit") else "")
        for block in task.about.get("input", ())
    ]
    uses = f" Inputs: {'; '.join(inputs)}." if inputs else ""
    node: Node = {
        "@id": f"{base}#implementation",
        "@type": "croissant:ImplementationSpec",
        "schema:name": f"a program that solves {task.name}",
        "schema:description": CONSTRAINTS + uses,
        "croissant:tests": {
            "@type": "croissant:Test",
            "schema:name": f"sciml-data score {task.name} predicted.csv",
            "schema:description": "names missing, duplicated and foreign ids, and values that are "
            "not finite; else scores the predictions beside the baselines",
            "schema:url": {"@id": f"{REPOSITORY}/blob/main/{HOW_TO_SCORE}"},
        },
    }
    for key, field, unit in (
        ("schema:memoryRequirements", "memory_gib", "GiB"),
        ("schema:storageRequirements", "disk_gib", "GiB"),
        ("schema:processorRequirements", "accelerator", ""),
    ):
        known = [block for block in task.about.get("system", ()) if field in block]
        if known:
            node[key] = [f"{_tier(block)}: {block[field]} {unit}".strip() for block in known]
    return node


def _tier(block: Mapping[str, Any]) -> str:
    return f"{block['tier']} ({block['data'].partition(':')[0]})"


def _evaluation(task: Task, base: str) -> Iterator[Node]:
    """Yield the evaluation, which a problem gives, and the reference solution."""
    identity = registry_identity(task.folder.parents[1])
    solution = f"{base}#{_named('reference', task.variant)}"
    headline = task.headline_metric or ""
    description = f"Scores of the split {task.headline_split}, part test"
    node: Node = {
        "@id": f"{base}#{_named('evaluation', task.variant)}",
        "@type": "croissant:EvaluationTask",
        "schema:name": f"scores of {task.title}",
        "schema:description": f"{description}; {headline} ranks runs" if headline else description,
        "croissant:evaluatedSolution": {"@id": solution},
        "croissant:implementation": {"@id": f"{base}#scorer"},
        "croissant:expectedMetric": [
            {"@id": metric_address(base, metric.id)} for metric in task.metrics
        ],
    }
    yield node
    code = source_address(identity, f"runners/{task.name}")
    yield {
        "@id": solution,
        "@type": "croissant:TaskSolution",
        "schema:name": f"reference solution: model {task.default_model}",
        "schema:isBasedOn": _address(base, task),
        "croissant:implementation": {"@id": f"{solution}-code"},
    }
    yield {
        "@id": f"{solution}-code",
        "@type": "schema:SoftwareSourceCode",
        "schema:name": f"sciml-data run {task.name} --model {task.default_model}",
        "schema:description": f"models: {', '.join(task.models)}",
    } | ({"schema:codeRepository": {"@id": code}} if code else {})
    if task.variant is None:
        yield scorer_node(f"{base}#scorer")


def scorer_node(address: str, version: str | None = None) -> Node:
    """Return the program that computes scores."""
    node: Node = {
        "@id": address,
        "@type": "schema:SoftwareApplication",
        "schema:name": SOFTWARE,
        "schema:url": {"@id": REPOSITORY},
    }
    return node | ({"schema:softwareVersion": version} if version else {})


def metric_address(base: str, metric_id: str) -> str:
    """Return the identifier of a metric of a benchmark."""
    return f"{base}#metric-{metric_id}"


def metric_node(base: str, fields: Mapping[str, Any]) -> Node:
    """Return a metric from a definition with the names of a record's `metric_definitions`."""
    node = {
        "@id": metric_address(base, fields["metric_id"]),
        "@type": "croissant:MetricSpec",
        "schema:name": fields["metric_name"],
        "schema:identifier": fields["metric_id"],
        "schema:version": fields["metric_version"],
        "schema:description": fields["formula"],
        "schema:unitText": fields["metric_unit"],
        "schema:minValue": fields["min_score"],
        "schema:maxValue": fields["max_score"],
        "croissant:lowerIsBetter": fields["lower_is_better"],
    }
    return {key: value for key, value in node.items() if value is not None}


def references(nodes: Iterable[Mapping[str, Any]]) -> list[Node]:
    """Return references to nodes."""
    return [{"@id": node["@id"]} for node in nodes]


def _address(base: str, task: Task) -> Node:
    return {"@id": f"{base}#{_named('problem', task.variant)}"}


def _named(kind: str, variant: str | None) -> str:
    return kind if variant is None else f"{kind}-{variant}"


def _identifier(address: str) -> Node | None:
    """Return a reference to a page; None for a UUID, which is not an address."""
    return None if address.startswith("urn:") else {"@id": address}
