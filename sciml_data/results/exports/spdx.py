"""Write a run as an AI bill of materials: SPDX 3.0.1 (JSON-LD), profiles AI, Dataset and Build.

The trained model is an AIPackage, the dataset a DatasetPackage with its digest and licences, the
run a Build with its settings, environment and computer. Software has its versions. What a record
does not know is left out, or is SPDX's `noAssertion`. A document says so where energy was not
measured.

https://spdx.github.io/spdx-spec/v3.0.1/ describes the model.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sciml_data.bench.record.record import is_external
from sciml_data.errors import CallError, DescriptorError
from sciml_data.metadata.addresses import REPOSITORY, registry_identity, run_identifier
from sciml_data.metadata.facts import Agent, Facts, facts_of
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.results.exports.request import (
    SOFTWARE,
    ExportRequest,
    computed_scores,
    title_of,
)

FILE_NAME = "spdx.json"  # beside the page of a run
CONTEXT = "https://spdx.org/rdf/3.0.1/spdx-context.jsonld"
VERSION = "3.0.1"
PROFILES = ("core", "software", "simpleLicensing", "ai", "dataset", "build")
CREATION = "_:creation"
BUILD_TYPE = f"{REPOSITORY}/blob/main/docs/reference/benchmarks.md"
NO_ASSERTION = "noAssertion"
JOULES = 1e6  # of SPDX's unit, the megajoule
DIMENSIONS_OF_IMAGE = 3  # sample, row, column

Element = dict[str, Any]
Record = Mapping[str, Any]


def export(request: ExportRequest) -> str:
    """Return the bill of materials of a run as JSON-LD."""
    document = to_spdx(request)
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def to_spdx(request: ExportRequest) -> dict[str, Any]:
    """Return the document as a mapping."""
    identity = registry_identity(request.registry.root)
    address = run_identifier(identity, request.record["run_id"])
    base = f"{address}{FILE_NAME}" if identity.base_url else address
    elements = list(_elements(request, base))
    identifiers = [element["spdxId"] for element in elements]
    document = _element(
        base,
        "document",
        "SpdxDocument",
        name=title_of(request.record),
        profileConformance=list(PROFILES),
        rootElement=[f"{base}#model"],
        element=identifiers,
    )
    return {"@context": CONTEXT, "@graph": [_creation(request, base), document, *elements]}


def _creation(request: ExportRequest, base: str) -> Element:
    return {
        "type": "CreationInfo",
        "@id": CREATION,
        "specVersion": VERSION,
        "created": _time(request.record["timing"]["end_time"]),
        "createdBy": [f"{base}#author"],
        "createdUsing": [f"{base}#tool"],
    }


def _elements(request: ExportRequest, base: str) -> Iterator[Element]:
    record, facts = request.record, _facts(request)
    author = ("Organization", request.org) if request.org else ("SoftwareAgent", SOFTWARE)
    yield _element(base, "author", author[0], name=author[1])
    yield _element(base, "tool", "Tool", name=f"{SOFTWARE} {record['code']['version']}")
    makers = list(_makers(facts, base))
    yield from makers
    yield _model(request, base)
    yield _dataset(record, facts, [maker["spdxId"] for maker in makers], base)
    yield _build(record, base)
    libraries = list(_libraries(record, base))
    yield from libraries
    licences = list(_licences(facts, base))
    yield from licences
    yield from _relationships(record, libraries, licences, base)


def _facts(request: ExportRequest) -> Facts | None:
    """Return what is known of the run's dataset; None if no registry in use describes it."""
    data = request.record["dataset"]
    try:
        return facts_of(load_descriptor(request.registry, data["id"], data["version"]))
    except (CallError, DescriptorError):
        return None


def _makers(facts: Facts | None, base: str) -> Iterator[Element]:
    agents: Sequence[Agent] = facts.creators if facts else ()
    for number, agent in enumerate(agents, start=1):
        kind = "Person" if agent.is_person else "Organization"
        yield _element(base, f"maker-{number}", kind, name=agent.name)
    if not agents:
        yield _element(base, "maker-1", "Agent", name="not stated")


def _model(request: ExportRequest, base: str) -> Element:
    """Return the trained model; its weights stay where the run is."""
    record = request.record
    model, settings = record["model"], record["settings"]
    scores = {f"{key}, part {row['part']}": row["score"] for key, row in computed_scores(record)}
    weights = model.get("weights_digest")
    baselines = sorted({name for _, row in computed_scores(record) for name in row["baselines"]})
    return _element(
        base,
        "model",
        "ai_AIPackage",
        name=f"{record['benchmark']['name']}: {model['name']}",
        description=title_of(record),
        software_packageVersion=record["run_id"],
        software_primaryPurpose="model",
        software_downloadLocation=f"{base.partition('#')[0]}#model",
        releaseTime=_time(record["timing"]["end_time"]),
        suppliedBy=f"{base}#author",
        verifiedUsing=_hashes("shapes, types and values of all weights", weights),
        ai_typeOfModel=[model["framework"], f"{model['name']} ({model['kind']})"],
        ai_domain=[record["benchmark"]["title"]],
        ai_hyperparameter=_entries(settings),
        ai_metric=_entries(scores),
        ai_informationAboutTraining=_about_training(record),
        ai_informationAboutApplication="Scores are beside those of the baselines: "
        f"{', '.join(baselines) or 'none'}.",
        ai_limitation="made from synthetic data: the scores are not results"
        if record["synthetic"]
        else None,
        ai_energyConsumption=_energy(record),
        comment=_energy_comment(record),
    )


def _about_training(record: Record) -> str:
    if is_external(record):
        return "Another program trained and predicted; only its predictions were scored."
    timing, model = record["timing"], record["model"]
    seconds = timing["time_to_train_s"]
    duration = f"{seconds:.1f} s to train" if seconds is not None else "resumed: time not known"
    return (
        f"seed {record['seeds']['seed']}; split {record['split']['name']} "
        f"({record['split']['members_digest']}); {model['parameters']} trainable parameters; "
        f"best epoch {model['best_epoch']}; {duration}"
    )


def _energy(record: Record) -> Element | None:
    """Return the energy of the run, if counters were read."""
    energy = record["energy"]
    joules = [energy[key] for key in ("cpu_energy_j", "gpu_energy_j") if energy[key] is not None]
    if not energy["measured"] or not joules:
        return None
    return {
        "type": "ai_EnergyConsumption",
        "ai_trainingEnergyConsumption": [
            {
                "type": "ai_EnergyConsumptionDescription",
                "ai_energyQuantity": value / JOULES,
                "ai_energyUnit": "megajoule",
            }
            for value in joules
        ],
    }


def _energy_comment(record: Record) -> str:
    energy = record["energy"]
    if energy["measured"]:
        return f"Energy: read from counters ({energy['method']}), of the whole run."
    return f"Energy: not measured: {energy['reason']}."


def _dataset(record: Record, facts: Facts | None, makers: list[str], base: str) -> Element:
    data = record["dataset"]
    known: Element = {"dataset_datasetType": [NO_ASSERTION]}
    if facts is not None:
        known = _dataset_fields(facts)
    if record["synthetic"]:
        known = {
            "dataset_datasetType": [NO_ASSERTION],
            "comment": f"synthetic sample, made from seed {data['sample_seed']}",
        }
    released = facts.issued if facts is not None else record["timing"]["start_time"][:10]
    day = released if len(released) > len("YYYY") else f"{released}-01-01"
    return _element(
        base,
        "dataset",
        "dataset_DatasetPackage",
        name=f"{'synthetic sample of ' if record['synthetic'] else ''}{data['id']}",
        software_packageVersion=data["version"],
        software_primaryPurpose="data",
        originatedBy=makers,
        releaseTime=f"{day}T00:00:00Z",
        builtTime=f"{day}T00:00:00Z",
        verifiedUsing=[
            *_hashes("manifest of the native files", data["manifest_digest"]),
            *_hashes("manifest of the ready files", data["ready_digest"]),
        ],
        **{
            "software_downloadLocation": f"{base.partition('#')[0]}#dataset",
            **known,
        },
    )


def _dataset_fields(facts: Facts) -> Element:
    """Return what a registry knows of a dataset, in the words of the profile."""
    use, coverage = facts.responsible_use, facts.coverage
    is_image = any(
        len(variable.dims) >= DIMENSIONS_OF_IMAGE for variable in facts.variables.values()
    )
    is_measured = coverage.instruments and not any(
        instrument.is_simulation for instrument in coverage.instruments
    )
    personal = "no" if use.personal.startswith("None") else NO_ASSERTION
    return {
        "software_downloadLocation": facts.page or facts.homepage,
        "description": facts.description,
        "dataset_datasetType": [
            "image" if is_image else "structured", *(["sensor"] if is_measured else []),
        ],
        "dataset_datasetSize": facts.total_bytes,
        "dataset_dataCollectionProcess": use.collection,
        "dataset_dataPreprocessing": list(use.preprocessing),
        "dataset_intendedUse": " ".join(use.use_cases),
        "dataset_knownBias": list(use.biases),
        "dataset_datasetNoise": " ".join(use.limitations),
        "dataset_datasetUpdateMechanism": use.maintenance,
        "dataset_hasSensitivePersonalInformation": personal,
        "dataset_datasetAvailability": "directDownload" if facts.access.rights == "open" else None,
        "dataset_sensor": _entries(
            {instrument.name: instrument.platform or "" for instrument in coverage.instruments}
        ),
    }  # fmt: skip


def _build(record: Record, base: str) -> Element:
    """Return the run: settings, environment, hardware and durations."""
    code, distribution = record["code"], record["distribution"]
    hardware = {f"hardware.{key}": value for key, value in record["hardware"].items()}
    environment = {
        "platform": record["software"]["platform"],
        **record["software"]["environment"],
        **hardware,
        **{f"distribution.{key}": value for key, value in distribution.items()},
    }
    parameters = {
        "seed": record["seeds"]["seed"],
        "split": record["split"]["name"],
        "deterministic_ops": record["seeds"]["deterministic_ops"],
        **record["settings"],
    }
    source = f"git+{REPOSITORY}@{code['commit']}" if code["commit"] else REPOSITORY
    return _element(
        base,
        "build",
        "build_Build",
        name=f"{'scoring' if is_external(record) else 'training'} by {SOFTWARE}",
        build_buildType=BUILD_TYPE,
        build_buildId=f"urn:uuid:{record['run_id']}",
        build_buildStartTime=_time(record["timing"]["start_time"]),
        build_buildEndTime=_time(record["timing"]["end_time"]),
        build_configSourceUri=[source],
        build_configSourceEntrypoint=[f"runners/{record['benchmark']['name']}/runner.py"],
        build_configSourceDigest=_hashes("code, task and splits", code["runner_digest"]),
        build_environment=_entries(environment),
        build_parameter=_entries(parameters),
    )


def _libraries(record: Record, base: str) -> Iterator[Element]:
    """Yield the program itself, Python and the libraries, with their versions."""
    software = record["software"]
    yield _element(
        base,
        "software",
        "software_Package",
        name=SOFTWARE,
        software_packageVersion=record["code"]["version"],
        software_packageUrl=f"pkg:pypi/{SOFTWARE}@{record['code']['version']}",
        software_downloadLocation=REPOSITORY,
        software_primaryPurpose="application",
        software_sourceInfo=f"commit {record['code']['commit']}"
        if record["code"]["commit"]
        else f"no commit: {record['code']['reason']}",
    )
    versions = {"python": software["python_version"], **software["libraries"]}
    for name, version in versions.items():
        if version is not None:
            kind = "generic" if name == "python" else "pypi"
            yield _element(
                base,
                f"library-{name}",
                "software_Package",
                name=name,
                software_packageVersion=version,
                software_packageUrl=f"pkg:{kind}/{name}@{version}",
                software_primaryPurpose="platform" if name == "python" else "library",
            )


def _licences(facts: Facts | None, base: str) -> Iterator[Element]:
    """Yield the licence of the software, then those of the dataset."""
    field = "simplelicensing_licenseExpression"
    kind = "simplelicensing_LicenseExpression"
    yield _element(base, "licence-software", kind, **{field: "Apache-2.0"})
    for number, licence in enumerate(facts.licences if facts else (), start=1):
        name = licence.name if licence.is_stated else "NOASSERTION"
        fields = {field: name, "comment": licence.text}
        yield _element(base, f"licence-data-{number}", kind, **fields)


def _relationships(
    record: Record, libraries: Sequence[Element], licences: Sequence[Element], base: str
) -> Iterator[Element]:
    """Yield how model, data, run, software and licences belong together."""
    of_data = [item["spdxId"] for item in licences if "#licence-data-" in item["spdxId"]]
    others = [item["spdxId"] for item in libraries[1:]]
    relations = [
        ("model", "trainedOn", ["dataset"]),
        ("model", "testedOn", ["dataset"]),
        ("build", "hasInput", ["dataset"]),
        ("build", "hasOutput", ["model"]),
        ("build", "usesTool", ["software"]),
        ("software", "dependsOn", others),
        ("software", "hasDeclaredLicense", ["licence-software"]),
        ("dataset", "hasDeclaredLicense", of_data),
    ]
    if is_external(record):  # what another program was trained on is not known
        relations = relations[1:]
    for source, kind, targets in relations:
        if targets:
            yield _element(
                base,
                f"{source}-{kind}",
                "Relationship",
                **{"from": f"{base}#{source}"},
                relationshipType=kind,
                to=[name if "#" in name else f"{base}#{name}" for name in targets],
            )


def _element(base: str, key: str, kind: str, /, **fields: Any) -> Element:
    """Return an element without the fields that are not known."""
    known = {name: value for name, value in fields.items() if value not in (None, "", [])}
    return {"type": kind, "spdxId": f"{base}#{key}", "creationInfo": CREATION, **known}


def _entries(values: Mapping[str, Any]) -> list[Element]:
    """Return the known values as pairs of texts."""
    return [
        {
            "type": "DictionaryEntry",
            "key": key,
            "value": value if isinstance(value, str) else json.dumps(value),
        }
        for key, value in values.items()
        if value is not None
    ]


def _hashes(what: str, *digests: str | None) -> list[Element]:
    known: Iterable[str] = (digest for digest in digests if digest)
    return [
        {
            "type": "Hash",
            "algorithm": "sha256",
            "hashValue": digest.removeprefix("sha256:"),
            "comment": what,
        }
        for digest in known
    ]


def _time(text: str) -> str:
    """Return a time in UTC without parts of a second, as SPDX requires it."""
    return re.sub(r"\.[0-9]+Z$", "Z", text)
