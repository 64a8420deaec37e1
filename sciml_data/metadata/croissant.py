"""Facts as Croissant 1.1 (MLCommons): the native files as published, by address and checksum.

The format limits what can be said:

- A FileObject needs a sha256 or an md5. A file with another kind of hash, or that nobody has
  pinned, is part of a FileSet, which has no hash. The manifest is a FileObject with its sha256, and
  holds every hash.
- A RecordSet cannot read records of HDF5, NetCDF or fixed-width text. So RecordSets describe only
  tables: those beside the descriptor, native files of `csv_table` with commas, and native Parquet
  files. The variables of the ready form are listed as `variableMeasured`.
- Only a version whose files come from a service is a live dataset.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any
from zlib import crc32

from sciml_data.metadata.cite import to_bibtex
from sciml_data.metadata.coverage import Coverage, Resolution
from sciml_data.metadata.facts import MAX_LISTED_FILES, Facts, NativeFile, Resource
from sciml_data.metadata.schema_org import (
    agent_node,
    coverage_nodes,
    licence_node,
    variable_node,
)
from sciml_data.progress import counted

CONFORMS_TO = "http://mlcommons.org/croissant/1.1"
RAI = "http://mlcommons.org/croissant/RAI/1.0"
GEO = "http://mlcommons.org/croissant/geo/1.0"
TERMS = (
    "arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract", "field",
    "fileProperty", "fileObject", "fileSet", "format", "includes", "isArray", "isLiveDataset",
    "jsonPath", "key", "md5", "parentField", "path", "recordSet", "references", "regex", "repeated",
    "replace", "samplingRate", "separator", "source", "subField", "transform",
)  # fmt: skip
# The context of the Croissant 1.1 specification, appendix 1, and PROV.
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "geocr": "http://mlcommons.org/croissant/geo/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "prov": "http://www.w3.org/ns/prov#",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
} | {term: f"cr:{term}" for term in TERMS}
NO_WORD = re.compile(r"[^\w.-]")
DATA_TYPES = {
    "string": "sc:Text", "integer": "sc:Integer", "number": "sc:Float", "boolean": "sc:Boolean",
}  # fmt: skip


def to_croissant(facts: Facts) -> dict[str, Any]:
    """Return a Croissant document of a version."""
    responsible, geographic = _responsible(facts), _geographic(facts.coverage)
    extensions = [*([RAI] if responsible else []), *([GEO] if geographic else [])]
    document = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": [CONFORMS_TO, *extensions] if extensions else CONFORMS_TO,
        "name": facts.dataset,
        "alternateName": facts.title,
        "description": facts.description,
        # The field is required: without a landing page it is a page of upstream.
        "url": facts.page or facts.homepage or facts.related[0].identifier.url,
        "version": facts.version,
        "datePublished": facts.issued,
        "creator": [agent_node(agent) for agent in facts.creators],
        "publisher": [agent_node(agent) for agent in facts.publishers],
        "license": [licence_node(licence) for licence in facts.licences],
        "keywords": list(facts.keywords),
        "citeAs": to_bibtex(facts),
        "conditionsOfAccess": facts.access_sentence,
        "isLiveDataset": facts.is_live,
        "prov:wasDerivedFrom": [{"@id": work.identifier.url} for work in facts.sources],
        "distribution": [*_resources(facts.resources), *_native_files(facts)],
        "recordSet": [
            *(_record_set(resource) for resource in facts.resources if resource.columns),
            *(_native_records(file) for file in _listed(facts) if file.columns),
        ],
        "variableMeasured": [
            variable_node(name, variable) for name, variable in facts.variables.items()
        ],
        **coverage_nodes(facts.coverage),
        **responsible,
        **geographic,
    }
    return {key: value for key, value in document.items() if value != []}


def _responsible(facts: Facts) -> dict[str, Any]:
    """Return the properties of Croissant RAI 1.0 that somebody has stated."""
    use, coverage = facts.responsible_use, facts.coverage
    values = {
        "dataCollection": use.collection,
        "dataCollectionType": use.collection_types,
        "dataCollectionMissingData": use.missing_data,
        "dataCollectionTimeframe": [day for day in (coverage.start, coverage.end) if day],
        "dataPreprocessingProtocol": use.preprocessing,
        "dataAnnotationProtocol": use.labels,
        "dataBiases": use.biases,
        "dataUseCases": use.use_cases,
        "dataLimitations": use.limitations,
        "dataSocialImpact": use.social_impact,
        "personalSensitiveInformation": use.personal,
        "dataReleaseMaintenancePlan": use.maintenance,
    }
    return {
        f"rai:{key}": list(value) if isinstance(value, tuple) else value
        for key, value in values.items()
        if value
    }


def _geographic(coverage: Coverage) -> dict[str, Any]:
    """Return the properties of GeoCroissant 1.0, for data that have places on Earth."""
    if not coverage.is_geographic:
        return {}
    nodes: dict[str, Any] = {
        "coordinateReferenceSystem": coverage.crs,
        "spatialResolution": _quantity(coverage.resolution),
        "temporalResolution": _quantity(coverage.step),
        "spatialBias": coverage.bias,
        "samplingStrategy": coverage.sampling,
    }
    if bands := coverage.bands:
        nodes["bandConfiguration"] = {
            "@type": "geocr:BandConfiguration",
            "geocr:totalBands": len(bands),
            "geocr:bandNameList": list(bands),
        }
        nodes["spectralBandMetadata"] = [
            {
                "@type": "geocr:SpectralBand",
                "name": name,
                "geocr:centerWavelength": _quantity(Resolution(wavelength, "um")),
            }
            for name, wavelength in bands.items()
        ]
    return {f"geocr:{key}": value for key, value in nodes.items() if value}


def _quantity(resolution: Resolution | None) -> dict[str, Any] | None:
    if resolution is None:
        return None
    return {"@type": "QuantitativeValue", "value": resolution.value, "unitText": resolution.unit}


def _resources(resources: Sequence[Resource]) -> Iterator[dict[str, Any]]:
    for resource in resources:
        yield {
            "@type": "cr:FileObject",
            "@id": resource.name,
            "name": resource.path,
            "description": resource.title,
            "contentUrl": resource.url,
            "contentSize": f"{resource.size_bytes} B",
            "encodingFormat": resource.media_type,
            "sha256": resource.sha256,
        }


def _native_files(facts: Facts) -> Iterator[dict[str, Any]]:
    """Yield a FileObject for each file that can be one, and FileSets for all others."""
    single = _listed(facts)
    yield from (_file_object(file) for file in single)
    listed = {file.path for file in single}
    yield from _file_sets([file for file in facts.files if file.path not in listed])
    for group in facts.groups:
        where = f"; at {' or '.join(group.folders)}" if group.folders else ""
        what = "what the service answers" if facts.is_live else group.sentence
        yield {
            "@type": "cr:FileSet",
            "@id": _identifier(group.glob),
            "name": group.glob,
            "description": f"{what}{where}",
            "encodingFormat": group.media_type,
            "includes": group.glob,
        }


def _listed(facts: Facts) -> list[NativeFile]:
    """Return the native files that are a FileObject each: none if they are too many."""
    single = [file for file in facts.files if file.urls and (file.sha256 or file.md5)]
    return single if len(single) <= MAX_LISTED_FILES else []


def _file_object(file: NativeFile) -> dict[str, Any]:
    node = {
        "@type": "cr:FileObject",
        "@id": _identifier(file.path),
        "name": file.path,
        "contentUrl": file.urls[0],
        "contentSize": f"{file.size_bytes} B",
        "encodingFormat": file.media_type,
    }
    if len(file.urls) > 1:
        node["description"] = f"also at {' or '.join(file.urls[1:])}"
    return node | ({"sha256": file.sha256} if file.sha256 else {"md5": file.md5})


def _file_sets(files: Sequence[NativeFile]) -> Iterator[dict[str, Any]]:
    """Yield a FileSet for each folder and type of files; the manifest has their hashes."""
    sets: dict[tuple[str, str, str], list[NativeFile]] = {}
    for file in files:
        path = PurePosixPath(file.path)
        folder = "" if path.parent == PurePosixPath() else f"{path.parent}/"
        sets.setdefault((folder, path.suffix, file.media_type), []).append(file)
    for (folder, suffix, media_type), inside in sets.items():
        kinds = sorted({file.hash_kind for file in inside})
        yield {
            "@type": "cr:FileSet",
            "@id": _identifier(f"{folder}*{suffix}#{media_type}"),
            "name": f"{folder}*{suffix}",
            "description": f"{counted(len(inside), 'file')}, "
            f"{sum(file.size_bytes for file in inside)} bytes; path, size and hash "
            f"({', '.join(kinds)}) of each stand in the manifest",
            "encodingFormat": media_type,
            "includes": f"{folder}*{suffix}",
        }


def _identifier(path: str) -> str:
    """Return an `@id`; white space is replaced, because mlcroissant refuses it, escaped or not."""
    plain = re.sub(r"\s", "_", path)
    return f"native/{plain}" if plain == path else f"native/{plain}#{crc32(path.encode()):08x}"


def _record_set(table: Resource) -> dict[str, Any]:
    """Return the RecordSet of a CSV table beside the descriptor."""
    return {
        "@type": "cr:RecordSet",
        "@id": f"records/{table.name}",
        "name": f"records/{table.name}",
        "description": table.title,
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"records/{table.name}/{name}",
                "name": f"records/{table.name}/{name}",
                "dataType": DATA_TYPES.get(kind, "sc:Text"),
                "source": {"fileObject": {"@id": table.name}, "extract": {"column": name}},
            }
            for name, kind in table.columns
        ],
    }


def _native_records(file: NativeFile) -> dict[str, Any]:
    """Return the RecordSet of a native table, in which missing values are as published."""
    file_id = _identifier(file.path)
    fields = {
        label: f"records/{file_id}/{NO_WORD.sub('_', label)}"  # mlcroissant refuses white space
        for label, _ in file.columns
    }
    return {
        "@type": "cr:RecordSet",
        "@id": f"records/{file_id}",
        "name": f"records/{file_id}",
        "description": f"Rows of {file.path}",
        "field": [
            {
                "@type": "cr:Field",
                "@id": fields[label],
                "name": fields[label],
                "description": label,
                "dataType": DATA_TYPES.get(kind, "sc:Text"),
                "source": {"fileObject": {"@id": file_id}, "extract": {"column": label}},
            }
            for label, kind in file.columns
        ],
    }
