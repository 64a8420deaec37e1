"""Facts as Croissant 1.1 (MLCommons): the native files as published, by address and checksum.

What it may say is bounded by the format (research: tooling, section 10):

- A FileObject has a sha256 or an md5. A file whose hash is of another kind, or which nobody has
  pinned, stands in a FileSet, which has none; the manifest is a FileObject with its sha256, and
  holds every hash.
- No record of HDF5, NetCDF or fixed-width text can be read through a RecordSet, so there is none of
  the data: only of the tables beside the descriptor, which are CSV. The variables of the ready form
  are listed as `variableMeasured`.
- A version asked of a service is a live dataset; no other is said to be.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any
from zlib import crc32

from sciml_data.metadata.cite import to_bibtex
from sciml_data.metadata.facts import Facts
from sciml_data.metadata.parts import Beside, NativeFile
from sciml_data.metadata.schema_org import MOST_FILES, agent, licence, variable

CONFORMS_TO = "http://mlcommons.org/croissant/1.1"
TERMS = (
    "arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract", "field",
    "fileProperty", "fileObject", "fileSet", "format", "includes", "isArray", "isLiveDataset",
    "jsonPath", "key", "md5", "parentField", "path", "recordSet", "references", "regex", "repeated",
    "replace", "samplingRate", "separator", "source", "subField", "transform",
)  # fmt: skip
# The context of the Croissant 1.1 specification, appendix 1, and PROV beside it.
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
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
DATA_TYPES = {"string": "sc:Text", "integer": "sc:Integer", "number": "sc:Float"}


def to_croissant(facts: Facts) -> dict[str, Any]:
    """Return a Croissant document of a version."""
    document = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": facts.dataset,
        "alternateName": facts.title,
        "description": facts.description,
        "url": facts.identifier,
        "version": facts.version,
        "datePublished": facts.issued,
        "creator": [agent(one) for one in facts.creators],
        "publisher": [agent(one) for one in facts.publishers],
        "license": [licence(one) for one in facts.licences],
        "keywords": list(facts.keywords),
        "citeAs": to_bibtex(facts),
        "conditionsOfAccess": facts.access_sentence,
        "isLiveDataset": facts.is_live,
        "prov:wasDerivedFrom": [
            {"@id": one.identifier.url} for one in facts.related if one.relation == "IsDerivedFrom"
        ],
        "distribution": [*_beside(facts.beside), *_native(facts)],
        "recordSet": [_record_set(one) for one in facts.beside if one.columns],
        "variableMeasured": [variable(name, one) for name, one in facts.variables.items()],
    }
    return {key: value for key, value in document.items() if value != []}


def _beside(files: Sequence[Beside]) -> Iterator[dict[str, Any]]:
    for one in files:
        yield {
            "@type": "cr:FileObject",
            "@id": one.name,
            "name": one.path,
            "description": one.title,
            "contentUrl": one.url,
            "contentSize": f"{one.size_bytes} B",
            "encodingFormat": one.media_type,
            "sha256": one.sha256,
        }


def _native(facts: Facts) -> Iterator[dict[str, Any]]:
    can_stand_alone = [file for file in facts.files if file.urls and (file.sha256 or file.md5)]
    if len(can_stand_alone) > MOST_FILES:
        can_stand_alone = []
    yield from (_file_object(file) for file in can_stand_alone)
    alone = {file.path for file in can_stand_alone}
    yield from _file_sets([file for file in facts.files if file.path not in alone])
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


def _file_object(file: NativeFile) -> dict[str, Any]:
    found = {
        "@type": "cr:FileObject",
        "@id": _identifier(file.path),
        "name": file.path,
        "contentUrl": file.urls[0],
        "contentSize": f"{file.size_bytes} B",
        "encodingFormat": file.media_type,
    }
    if len(file.urls) > 1:
        found["description"] = f"also at {' or '.join(file.urls[1:])}"
    return found | ({"sha256": file.sha256} if file.sha256 else {"md5": file.md5})


def _file_sets(files: Sequence[NativeFile]) -> Iterator[dict[str, Any]]:
    """Yield a set for each folder and type of files: their hashes stand in the manifest."""
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
            "description": f"{len(inside)} files, {sum(one.size_bytes for one in inside)} bytes; "
            f"path, size and hash ({', '.join(kinds)}) of each stand in the manifest",
            "encodingFormat": media_type,
            "includes": f"{folder}*{suffix}",
        }


def _identifier(path: str) -> str:
    """Return an `@id`: mlcroissant takes no white space, escaped or not, so that is replaced."""
    plain = re.sub(r"\s", "_", path)
    return f"native/{plain}" if plain == path else f"native/{plain}#{crc32(path.encode()):08x}"


def _record_set(table: Beside) -> dict[str, Any]:
    """Return the records of a CSV table beside the descriptor."""
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
