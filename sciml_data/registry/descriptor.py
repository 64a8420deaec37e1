"""Read a `datapackage.json` into a frozen `Descriptor`, or list everything that is wrong with it.

The document is a Frictionless Data Package v2 descriptor with a block `sciml`. It has to follow our
profile, a JSON Schema at a public address that the descriptor names in `$schema`. The profile is
`descriptor.schema.json`; it extends the public profile of Data Package by `allOf`, as v2 asks for.
What a schema cannot express is checked in Python: the folder's name, the manifest, mirrors and
splits that cover no file.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

from sciml_data.errors import DescriptorError, JsonError, Problem, printable, redacted
from sciml_data.home import read_json
from sciml_data.registry.coverage import order_problems
from sciml_data.registry.layout import LIVE, Registry, check_dataset_id, check_version
from sciml_data.registry.manifest import (
    Manifest,
    hash_file,
    match_paths,
    read_manifest,
    unsafe_because,
)
from sciml_data.registry.notebook import descriptor_html

DESCRIPTOR_NAME = "datapackage.json"
MANIFEST_NAME = "manifest.csv"
PROFILE = "https://sciml-data.github.io/sciml-data/profiles/descriptor-1.json"
SCHEMA_PATH = Path(__file__).with_name("descriptor.schema.json")
MAX_DESCRIPTOR_BYTES = 4 << 20  # people write it; the largest so far has 16 kB
MAX_ADDRESS = 2000  # characters; some servers and browsers refuse longer addresses
SCHEMES = ("https", "http", "ftp", "s3")
DOI_PREFIX = re.compile(r"doi:10\.[0-9.]+/[^#?]+[#/]")  # to which the path of a file is appended
# RFC 3986, appendix A: the characters of a URI, `%` only before two hexadecimal digits, `#` once,
# and brackets only around the address of a host.
URI = re.compile(
    r"(?:[A-Za-z][A-Za-z0-9+.-]*:)?"
    r"(?://(?:[\w.~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*(?:\[[0-9A-Fa-f:.]+\](?::[0-9]*)?)?(?=[/?#]|\Z))?"
    r"(?:[\w.~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*"
    r"(?:#(?:[\w.~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?",
    re.ASCII,
)
# Control characters, and those that change the direction of the text around them.
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
# Texts that may have several lines.
SEVERAL_LINES = (".description", ".remark", ".statement", ".citation", ".notice")
CRLF = "line ends"  # kind of a problem: git changed LF to CRLF
TO_FILL = "(to be written)"  # marks text that a person has to write; not valid in a descriptor
# By place, the text that a person has to write into a new descriptor.
FIELDS = {
    "$.title": "one line: what the data are",
    "$.description": "100 letters or more: what was measured or simulated, where, when, how much",
    "$.keywords": "three or more",
    "$.licenses": "name (SPDX, or LicenseRef-not-stated) and title (then: where you looked)",
    "$.sources": "origin of the data: title and path",
    "$.contributors": "who made it: title, roles",
    "$.sciml.citation": "the words upstream asks for, 20 letters or more",
    "$.sciml.native.format": "what the files are, 20 letters or more; or name a reader",
    "$.sciml.variables": "the ready form: dims, dtype, units, long_name of each",
    "$.sciml.sample.description": "what the synthetic sample is; without one leave `sample` out",
}


@dataclass(frozen=True)
class Mirror:
    """A place that holds the files of a dataset.

    Two mirrors may hold one dataset under different folder names.

    Attributes:
        name: of the mirror.
        prefixes: by start of a manifest path, the start of its URL; the longest match counts.
        s3: URI of the dataset's folder in a bucket, None if the mirror is not a bucket.
    """

    name: str
    prefixes: Mapping[str, str]
    s3: str | None = None

    def prefix_of(self, path: str) -> str | None:
        """Return the longest prefix of a manifest path that the mirror has, None if it has none."""
        matching = (prefix for prefix in self.prefixes if path.startswith(prefix))
        return max(matching, key=len, default=None)

    def url(self, path: str) -> str | None:
        """Return the URL of a manifest path, None if the mirror does not have it."""
        prefix = self.prefix_of(path)
        return None if prefix is None else self.prefixes[prefix] + quote(path[len(prefix) :])


@dataclass(frozen=True)
class Variable:
    """A variable of the ready form, as the descriptor declares it.

    Attributes:
        dims: names of the dimensions.
        dtype: NumPy type of the opened variable, "S" for text of any length.
        units: UDUNITS text, None for a variable without units.
        long_name: CF attribute.
        standard_name: CF attribute, None if there is none.
        missing: how missing values are stored.
        splits: names of the splits with this variable, () for all.
        is_optional: whether the variable may be missing, since only some native files have it.
    """

    dims: tuple[str, ...]
    dtype: str
    units: str | None
    long_name: str
    standard_name: str | None = None
    missing: str | None = None
    splits: tuple[str, ...] = ()
    is_optional: bool = False


@dataclass(frozen=True)
class LiveService:
    """A service that answers queries, instead of a folder of files."""

    protocol: str
    base: str
    parameters: Mapping[str, str]
    earliest: str


@dataclass(frozen=True)
class Descriptor:
    """The registry's entry for one version of a dataset; `document` is the whole JSON."""

    dataset: str
    version: str
    title: str
    description: str
    folder: Path
    trust: str
    native: Mapping[str, Any]
    mirrors: tuple[Mirror, ...]
    splits: Mapping[str, tuple[str, ...]]
    variables: Mapping[str, Variable]
    sample: Mapping[str, Any]
    live: LiveService | None
    manifest: Manifest | None
    expected: Mapping[str, Any]
    document: Mapping[str, Any] = field(repr=False)

    @property
    def access(self) -> Mapping[str, Any]:
        """Return `kind` and `steps` of manual access to the files; empty if mirrors have them."""
        access: Mapping[str, Any] = self.document["sciml"].get("access", {})
        return access

    @property
    def is_pinned(self) -> bool:
        """Return whether the registry has the hash of every file."""
        return self.trust == "pinned"

    _repr_html_ = descriptor_html  # for notebooks


def load_descriptor(registry: Registry, dataset: str, version: str | None = None) -> Descriptor:
    """Return the descriptor of one version; None takes the newest published one.

    Raises:
        CallError: there is no such dataset or version.
        DescriptorError: the descriptor is not valid; `.problems` has each place.
    """
    return read_descriptor(registry.package(dataset, version or registry.latest(dataset)))


def read_descriptor(folder: Path) -> Descriptor:
    """Return the descriptor in a folder; see `load_descriptor`."""
    examined = examine_descriptor(folder)
    if examined.descriptor is not None and not examined.problems:
        return examined.descriptor
    count = len(examined.problems)
    raise DescriptorError(
        f"{folder.parent.name}/{folder.name}/{DESCRIPTOR_NAME} has {count} "
        f"problem{'s' if count > 1 else ''}",
        problems=examined.problems,
        untouched="nothing was fetched or changed",
        hint="correct them, then run `sciml-data check`",
    )


def check_descriptor(folder: Path) -> list[Problem]:
    """Return every problem of a version's folder with its place; an empty list means valid."""
    return list(examine_descriptor(folder).problems)


@dataclass(frozen=True)
class Examined:
    """A version's folder, read once.

    Attributes:
        document: the JSON of the descriptor; empty if it is not a JSON object.
        problems: everything that is wrong with the folder.
        manifest: None if there is none, or it is not valid.
        descriptor: None if there are problems, apart from sizes and hashes of the files beside
            the descriptor (kind "resource"), which `derive` corrects.
    """

    document: Mapping[str, Any]
    problems: tuple[Problem, ...]
    manifest: Manifest | None
    descriptor: Descriptor | None


def examine_descriptor(folder: Path) -> Examined:
    """Read a version's descriptor and manifest, and find every problem with its place."""
    problems: list[Problem] = []
    document = _document(folder, problems)
    if problems:
        return Examined({}, tuple(problems), None, None)
    problems += profile_problems(document)
    problems += _native_problems(document["sciml"]) if not problems else []
    problems += _name_problems(document, folder)
    problems += _resource_problems(document, folder)
    manifest = _manifest(folder, problems)
    if any(problem.kind != "resource" for problem in problems):
        return Examined(document, tuple(problems), manifest, None)
    descriptor = descriptor_of(document, folder, manifest)
    problems += _coverage_problems(descriptor, manifest) if not problems else []
    has_wrong_content = any(problem.kind != "resource" for problem in problems)
    valid = None if has_wrong_content else descriptor
    return Examined(document, tuple(problems), manifest, valid)


def profile_problems(document: Mapping[str, Any]) -> list[Problem]:
    """Return every place where a descriptor does not follow our profile.

    A place that a person still has to write is of the kind "to fill", once per place.
    """
    errors = sorted(_validator().iter_errors(document), key=lambda error: error.json_path)
    empty = {
        error.json_path: FIELDS[error.json_path]
        for error in errors
        if error.json_path in FIELDS and error.instance in ("", [], {})
    }
    open_places = {**empty, **dict(_marked(document, "$"))}
    problems = [Problem("to fill", place, hint) for place, hint in sorted(open_places.items())]
    wrong = [error for error in errors if error.json_path not in open_places]
    problems += _schema_problems(wrong) if wrong else []
    problems += [
        Problem("text", printable(place), why) for place, why in _unprintable(document, "$")
    ]
    coverage = {} if problems else document["sciml"].get("coverage", {})
    problems += order_problems(coverage) if set(coverage) & {"spatial", "temporal"} else []
    return problems or _related_problems(document)


def _schema_problems(errors: Sequence[Any]) -> list[Problem]:
    # Imported here, because a valid descriptor needs no sentences about what is wrong.
    from sciml_data.registry.schema import rooted, schema_problems

    problems = schema_problems(errors, place=rooted)
    return [Problem("schema", problem.place, problem.message) for problem in problems]


def _unprintable(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """Yield every place with characters that a terminal obeys or that turn the text around it."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if UNPRINTABLE.search(key):
                yield f"{place}.{key}", "the key has a control character"
            yield from _unprintable(inner, f"{place}.{key}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _unprintable(inner, f"{place}[{number}]")
    elif isinstance(value, str):
        lines = value.replace("\n", "") if place.endswith(SEVERAL_LINES) else value
        if wrong := UNPRINTABLE.search(lines):
            yield place, f"has the control character U+{ord(wrong[0]):04X}"


def _document(folder: Path, problems: list[Problem]) -> dict[str, Any]:
    try:
        document = read_json(folder / DESCRIPTOR_NAME, max_bytes=MAX_DESCRIPTOR_BYTES)
    except JsonError as error:
        if error.kind == "missing":
            problem = Problem("missing", DESCRIPTOR_NAME, "the folder has no descriptor")
        elif isinstance(cause := error.__cause__, json.JSONDecodeError):
            place = f"{DESCRIPTOR_NAME}:{cause.lineno}:{cause.colno}"
            problem = Problem("syntax", place, f"not JSON: {cause.msg}")
        else:
            problem = Problem("syntax", DESCRIPTOR_NAME, error.message)
        problems.append(problem)
        return {}
    if isinstance(document, dict):
        return document
    problems.append(Problem("syntax", DESCRIPTOR_NAME, "an object is expected at the top"))
    return {}


def _name_problems(document: Mapping[str, Any], folder: Path) -> list[Problem]:
    problems = []
    rules = (
        ("name", folder.parent.name, check_dataset_id),
        ("version", folder.name, check_version),
    )
    for key, expected, why_not in rules:
        value = document.get(key)
        if value != expected:
            message = f"the folder is named {expected!r}, the descriptor has {value!r}"
            problems.append(Problem("name", f"$.{key}", message))
        if reason := why_not(expected):
            problems.append(Problem("name", f"$.{key}", f"{expected!r} {reason}"))
    return problems


def _resource_problems(document: Mapping[str, Any], folder: Path) -> list[Problem]:
    problems = []
    resources = document.get("resources")
    for number, resource in enumerate(resources if isinstance(resources, list) else []):
        place = f"$.resources[{number}]"
        relative = resource.get("path") if isinstance(resource, dict) else None
        if not isinstance(relative, str) or relative.startswith(("http:", "https:")):
            continue  # the schema has a rule for addresses
        path = folder / relative
        if reason := _outside_because(folder, relative):
            problems.append(Problem("path", f"{place}.path", f"{relative!r} {reason}"))
            continue
        if not path.is_file():
            problems.append(Problem("missing", place, f"{relative} is not in the folder"))
            continue
        actual = {"bytes": path.stat().st_size, "hash": hash_file(path)}
        if resource.get("hash") != actual["hash"] and _was_lf(path, resource.get("hash")):
            message = (
                f"line ends of {relative} were changed to CRLF by git; `check` says the way back"
            )
            problems.append(Problem(CRLF, place, message))
            continue
        problems += [
            Problem("resource", f"{place}.{key}", f"{relative} has {value}; see `derive`")
            for key, value in actual.items()
            if resource.get(key) != value
        ]
    return problems


def _was_lf(path: Path, expected: object) -> bool:
    """Return whether a file has the expected sha256 with LF in place of CRLF.

    Git changes line ends in a clone where `core.autocrlf` is true, as on Windows.
    """
    content = path.read_bytes()
    digest = hashlib.sha256(content.replace(b"\r\n", b"\n")).hexdigest()
    return b"\r\n" in content and expected == f"sha256:{digest}"


def _outside_because(folder: Path, relative: str) -> str:
    """Return why a resource's path does not stay in the package, or an empty string."""
    if reason := unsafe_because(relative):
        return reason
    # realpath, because `Path.resolve` raises RuntimeError for links that lead to each other.
    real, inside = os.path.realpath(folder / relative), os.path.realpath(folder)
    return "" if real.startswith(inside + os.sep) else "leads out of the folder by a symbolic link"


def _native_problems(block: Mapping[str, Any]) -> list[Problem]:
    """Return the contradictions between the native block and the rest of the descriptor."""
    native, declared = block["native"], block["variables"]
    given = {
        "variables": declared,
        "sample": "sample" in block,
        "native.reader": "reader" in native,
    }
    problems = [
        Problem(
            "native",
            f"$.sciml.{key}",
            "is given, but native.format says that nothing reads the files",
        )
        for key, is_given in given.items()
        if is_given and "format" in native
    ]
    problems += [
        Problem("native", f"$.sciml.native.padded.{dim}", f"{counter} is not declared")
        for dim, counter in native.get("padded", {}).items()
        if counter not in declared
    ]
    for split, arrays in native.get("arrays", {}).items():
        common = set(arrays) & set(declared)
        firsts = sorted({dim for name in common for dim in declared[name]["dims"][:1]})
        differing = set(arrays) ^ (set(declared) - set(firsts))
        message = f"variables without an array, or the reverse: {', '.join(sorted(differing))}"
        if len(firsts) > 1:
            message = f"the variables differ in their first dimension: {', '.join(firsts)}"
        if differing or len(firsts) > 1:
            problems.append(Problem("native", f"$.sciml.native.arrays.{split}", message))
    if native.get("reader") in ("csv_table", "parquet_table", "image_folder"):
        from sciml_data.registry.native_blocks import declaration_problems

        problems += declaration_problems(native, declared)
    return problems + [
        Problem("split", f"$.sciml.variables.{name}", f"there is no split {split!r}")
        for name, variable in declared.items()
        for split in variable.get("splits", ())
        if split not in block["splits"]
    ]


def _manifest(folder: Path, problems: list[Problem]) -> Manifest | None:
    path = folder / MANIFEST_NAME
    if not path.is_file():
        return None
    try:
        return read_manifest(path)
    except DescriptorError as error:
        problems.extend(error.problems)
        return None


def descriptor_of(
    document: Mapping[str, Any], folder: Path, manifest: Manifest | None
) -> Descriptor:
    """Return a document without problems (see `check_descriptor`) as a descriptor."""
    block = document["sciml"]
    live = block.get("live")
    return Descriptor(
        dataset=document["name"],
        version=document["version"],
        title=document["title"],
        description=document["description"],
        folder=folder,
        trust=block["trust"],
        native=block["native"],
        mirrors=tuple(Mirror(**mirror) for mirror in block.get("mirrors", ())),
        splits={name: tuple(globs) for name, globs in block["splits"].items()},
        variables={name: _variable(declared) for name, declared in block["variables"].items()},
        sample=block.get("sample", {}),
        live=LiveService(**live) if live else None,
        manifest=manifest,
        expected=block.get("expected", {}),
        document=document,
    )


def _variable(block: Mapping[str, Any]) -> Variable:
    return Variable(
        dims=tuple(block["dims"]),
        dtype=block["dtype"],
        units=block.get("units"),
        long_name=block["long_name"],
        standard_name=block.get("standard_name"),
        missing=block.get("missing"),
        splits=tuple(block.get("splits", ())),
        is_optional=block.get("optional", False),
    )


def _coverage_problems(descriptor: Descriptor, manifest: Manifest | None) -> list[Problem]:
    if descriptor.trust == LIVE:
        return (
            []
            if descriptor.live
            else [Problem("live", "$.sciml.live", "a live version needs a service")]
        )
    if manifest is None:
        if descriptor.trust == "unpinned":
            return []
        return [Problem("missing", MANIFEST_NAME, "a pinned version needs a manifest")]
    paths = [entry.path for entry in manifest]
    return [*_uncovered_by_mirrors(descriptor, paths), *_empty_splits(descriptor, paths)]


def _uncovered_by_mirrors(descriptor: Descriptor, paths: Sequence[str]) -> list[Problem]:
    return [
        Problem("mirror", f"$.sciml.mirrors[{number}]", f"{mirror.name} has no prefix for {path}")
        for number, mirror in enumerate(descriptor.mirrors)
        if "" not in mirror.prefixes
        for path in paths
        if mirror.prefix_of(path) is None
    ]


def _empty_splits(descriptor: Descriptor, paths: Sequence[str]) -> list[Problem]:
    return [
        Problem("split", f"$.sciml.splits.{name}", f"{glob!r} matches no file of the manifest")
        for name, globs in descriptor.splits.items()
        for glob in globs
        if not any(True for _ in match_paths([glob], paths))
    ]


def _marked(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """Yield every place with the marker of unwritten text, and what to write there."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _marked(inner, f"{place}.{key}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _marked(inner, f"{place}[{number}]")
    elif isinstance(value, str) and TO_FILL in value:
        yield place, value.replace(TO_FILL, "").strip(" :") or FIELDS.get(place, "write it")


def _related_problems(document: Mapping[str, Any]) -> list[Problem]:
    """Return the related works that neither sources nor citation name."""
    texts = [*(source["path"] for source in document["sources"]), *document["sciml"]["citation"]]
    return [
        Problem(
            "related",
            f"$.sciml.related[{number}]",
            f"neither sources nor citation name {related['identifier']}",
        )
        for number, related in enumerate(document["sciml"].get("related", ()))
        if not any(related["identifier"] in text for text in texts)
    ]


def check_mirror_address(value: object) -> bool:
    """Check that a text is the start of URLs of files, or a DOI with its separator.

    Raises:
        ValueError: says why it is not.
    """
    if not isinstance(value, str) or not value.startswith("doi:"):
        return check_address(value, (*SCHEMES, "sftp"))
    _check_characters(value)
    if not DOI_PREFIX.fullmatch(value):
        raise ValueError(f"{value!r} is not doi:10.PREFIX/SUFFIX with a # or / at its end")
    return True


def check_address(value: object, schemes: Sequence[str] = SCHEMES) -> bool:
    """Check that a text is an absolute URI as in RFC 3986, with a scheme that can be fetched.

    Raises:
        ValueError: says why it is not.
    """
    if isinstance(value, str):
        _check_characters(value)
        parts = urlsplit(value)
        if parts.scheme not in schemes:
            raise ValueError(f"{value!r} does not start with {', '.join(schemes)} and ://")
        if not parts.hostname or "@" in parts.netloc or not _is_port(parts):
            shown = redacted(value)
            raise ValueError(f"{shown!r} has no host, a wrong port, or a user name before the host")
    return True  # the schema says that a text is expected


def check_reference(value: object) -> bool:
    """Check that a text is a URI, or a relative path, as in RFC 3986.

    Raises:
        ValueError: says why it is not.
    """
    if isinstance(value, str):
        _check_characters(value)
        if value.startswith("//") or ":" in value.split("/")[0]:
            return check_address(value)
    return True


def _check_characters(value: str) -> None:
    if len(value) > MAX_ADDRESS:
        raise ValueError(f"the address {value[:60]!r}... has {len(value):,} characters")
    if not URI.fullmatch(value):
        raise ValueError(
            f"{value!r} is not a URI: spaces, quotes, <, >, non-ASCII and other special characters "
            "are written as %XX, and [ ] are for IPv6 hosts only"
        )


def _is_port(parts: SplitResult) -> bool:
    try:
        return parts.port is None or parts.port > 0
    except ValueError:
        return False


@cache
def _validator() -> Any:
    """Return the validator of our profile, without the public profile that it extends.

    That one would have to be downloaded. Ours asks for everything that it asks for, which
    tests/registry/test_profile.py proves.
    """
    import jsonschema
    import referencing
    from referencing.jsonschema import DRAFT202012

    schema = json.loads(SCHEMA_PATH.read_text(encoding="utf-8"))
    extended = (schema["allOf"][0]["$ref"], DRAFT202012.create_resource({}))
    known: Any = referencing.Registry().with_resources([extended])
    formats = jsonschema.FormatChecker(formats=["date"])
    formats.checks("mirror", raises=ValueError)(check_mirror_address)
    formats.checks("uri", raises=ValueError)(check_address)
    formats.checks("uri-reference", raises=ValueError)(check_reference)
    return jsonschema.Draft202012Validator(schema, registry=known, format_checker=formats)
