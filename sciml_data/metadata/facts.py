"""All that is known about a version of a dataset, in one frozen form that every export is made of.

`facts_of(descriptor)` returns a `Facts`. Nothing is guessed: each value is in the descriptor or
follows from it. A value that is not known is None or empty, and each export says so in the way of
its own vocabulary.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from sciml_data.metadata.addresses import (
    SPDX_LICENCES,
    Identity,
    doi_address,
    file_address,
    landing_page_address,
    registry_identity,
    version_identifier,
)
from sciml_data.metadata.coverage import (
    CARD_NAME,
    Coverage,
    ResponsibleUse,
    coverage_of,
    responsible_use_of,
)
from sciml_data.progress import counted
from sciml_data.registry.descriptor import DESCRIPTOR_NAME, Descriptor, Mirror, Variable
from sciml_data.registry.layout import registry_of
from sciml_data.registry.manifest import Entry, match_paths

LICENCE_NOT_STATED = "LicenseRef-not-stated"
OWN_LICENCE_PREFIX = "LicenseRef-"  # SPDX's prefix of licences that are not in its list
# Pages and exports list up to this many files one by one. For more files they name the manifest,
# so that a page stays readable.
MAX_LISTED_FILES = 1000
UNKNOWN_MEDIA_TYPE = "application/octet-stream"  # RFC 2046, 4.5.1: of no known type
# IANA's registry of media types. HDF5 and NetCDF are not in it; these two are in common use.
MEDIA_TYPES = {
    ".csv": "text/csv",
    ".gz": "application/gzip",
    ".h5": "application/x-hdf5",
    ".hdf": "application/x-hdf5",
    ".hdf5": "application/x-hdf5",
    ".json": "application/json",
    ".nc": "application/x-netcdf",
    ".parquet": "application/x-parquet",  # as mlcroissant and Hugging Face have it
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".tsv": "text/tab-separated-values",
    ".txt": "text/plain",
    ".zip": "application/zip",
}
DOI_PATTERN = re.compile(
    r"(?:doi:|https?://(?:dx\.)?doi\.org/)(10\.[0-9]{4,9}/[^\s,;]*[^\s,;.)])", re.IGNORECASE
)
URI_CHARACTERS = "%/:?#@!$&'()*+,;=~"  # RFC 3986, besides letters, digits and - . _
WEB_SCHEMES = ("https:", "http:", "ftp:")
ARXIV_PATTERN = re.compile(r"arXiv:([0-9]{4}\.[0-9]{4,5})")
URL_PATTERN = re.compile(r"https?://\S*[^\s.,;)]")


@dataclass(frozen=True)
class Agent:
    """A person or an organisation that the descriptor names; only a person has a family name."""

    name: str
    roles: tuple[str, ...]
    url: str | None = None
    given_name: str | None = None
    family_name: str | None = None
    organisation: str | None = None
    remark: str | None = None

    @property
    def is_person(self) -> bool:
        """Return whether the agent is a person, not an organisation or a group."""
        return self.family_name is not None


@dataclass(frozen=True)
class Licence:
    """A licence of the data or of a part of them.

    Attributes:
        name: SPDX identifier, or a `LicenseRef-…` of the registry's own.
        text: the part of the data that it covers, or where a licence was looked for.
        url: address of the licence text.
    """

    name: str
    text: str
    url: str | None

    @property
    def is_stated(self) -> bool:
        """Return whether upstream states a licence."""
        return self.name != LICENCE_NOT_STATED

    @property
    def is_spdx(self) -> bool:
        """Return whether the name is in SPDX's list."""
        return not self.name.startswith(OWN_LICENCE_PREFIX)

    @property
    def label(self) -> str:
        """Return the name for people: `LicenseRef-public-domain` reads "public domain"."""
        if self.is_spdx:
            return self.name
        return self.name.removeprefix(OWN_LICENCE_PREFIX).replace("-", " ")


@dataclass(frozen=True)
class Identifier:
    """A DOI, an arXiv id or a URL; `kind` is DataCite's word for which."""

    kind: str
    value: str

    @property
    def url(self) -> str:
        """Return an address that resolves the identifier."""
        if self.kind == "DOI":
            return doi_address(self.value)
        if self.kind == "arXiv":
            return f"https://arxiv.org/abs/{self.value}"
        # A citation is free text: what follows https:// may have characters that no URI has.
        return quote(self.value, safe=URI_CHARACTERS)


@dataclass(frozen=True)
class Citation:
    """A sentence to cite the data with; `identifier` is the first DOI, arXiv id or URL in it."""

    text: str
    identifier: Identifier | None


@dataclass(frozen=True)
class Related:
    """Another work, and DataCite's word for the relation of this version to it."""

    relation: str
    identifier: Identifier
    title: str
    version: str | None = None


@dataclass(frozen=True)
class Access:
    """Who may have the files.

    Attributes:
        rights: "open", "restricted", or None where that is not stated.
        statement: the same in a sentence.
        steps: what a person has to do where no mirror gives the files to a program.
    """

    rights: str | None
    statement: str
    steps: tuple[str, ...] = ()


@dataclass(frozen=True)
class NativeFile:
    """A file of the manifest, as upstream publishes it; `hash` is `kind:digest`.

    `columns` are label and type (Table Schema) of each column of a Parquet file, or of a plain
    table with commas.
    """

    path: str
    size_bytes: int
    hash: str
    media_type: str
    urls: tuple[str, ...]
    columns: tuple[tuple[str, str], ...] = ()

    @property
    def hash_kind(self) -> str:
        """Return sha256, md5, s3etag or gitblob."""
        return self.hash.partition(":")[0]

    @property
    def sha256(self) -> str | None:
        """Return the hex digest where the hash is a sha256."""
        return self._digest("sha256")

    @property
    def md5(self) -> str | None:
        """Return the hex digest where it is known: an S3 tag of one part is the md5 of the bytes.

        (AWS, Amazon S3 user guide, "Checking object integrity"; Ceph does the same.)
        """
        return self._digest("md5") or (
            self._digest("s3etag") if re.fullmatch(r"s3etag:[0-9a-f]{32}", self.hash) else None
        )

    def _digest(self, kind: str) -> str | None:
        known, _, digest = self.hash.partition(":")
        return digest if known == kind else None


@dataclass(frozen=True)
class FileGroup:
    """Files that are expected, but that nobody has pinned: a glob, their number, the size of each.

    `folders` are the addresses where mirrors hold them. For a glob without wild cards it is the
    address of the file.
    """

    glob: str
    count: int | None
    bytes_each: int | None
    media_type: str
    folders: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """Return a sentence on what is expected, which also says that no checksum is known."""
        count = "number of files not known"
        if self.count is not None:
            count = f"{self.count} file{'s' if self.count > 1 else ''} expected"
        size = "" if self.bytes_each is None else f", {self.bytes_each} bytes each"
        return f"{count}{size}; not pinned: upstream publishes no checksum"


@dataclass(frozen=True)
class Resource:
    """A file beside the descriptor in the registry, such as the manifest (Data Package's term)."""

    name: str
    path: str
    title: str
    size_bytes: int
    sha256: str
    media_type: str
    url: str
    columns: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Facts:
    """All that is known about one version; dates are `YYYY-MM-DD` or `YYYY`.

    Attributes:
        registry: identity of the registry that describes the version.
        page: address of the landing page; None if the registry is not published.
        identifier: address of the landing page, or a UUID; no DOI is registered.
        described: when this version was written into the registry.
        published: when upstream published the files, None where that is not stated.
        files: the files of the manifest; () where nobody has pinned the version.
        groups: the files that are expected of an unpinned version; () where there is a manifest.
        resources: files beside the descriptor, the manifest among them.
        total_bytes: sum over the manifest, None without one.
        service: base address of a live version's service.
        coverage: where, when and with what the data were made.
        responsible_use: what people who train on the data should know.
    """

    dataset: str
    version: str
    registry: Identity
    page: str | None
    identifier: str
    title: str
    description: str
    homepage: str | None
    keywords: tuple[str, ...]
    described: str
    published: str | None
    trust: str
    agents: tuple[Agent, ...]
    licences: tuple[Licence, ...]
    citations: tuple[Citation, ...]
    related: tuple[Related, ...]
    access: Access
    files: tuple[NativeFile, ...]
    groups: tuple[FileGroup, ...]
    resources: tuple[Resource, ...]
    total_bytes: int | None
    manifest_digest: str | None
    variables: Mapping[str, Variable]
    splits: Mapping[str, tuple[str, ...]]
    native_format: str | None
    service: str | None
    mirrors: tuple[Mirror, ...]
    coverage: Coverage
    responsible_use: ResponsibleUse

    @property
    def issued(self) -> str:
        """Return when the version came out: as upstream says, else the day it was described.

        An export identifies the version in this registry, which came out on that day.
        """
        return self.published or self.described

    @property
    def issued_remark(self) -> str:
        """Return what `issued` means."""
        if self.published:
            return "as upstream states it"
        return "described in the registry; upstream does not state when it published the files"

    @property
    def access_sentence(self) -> str:
        """Return who may have the files and how that is known, as one text."""
        word = {"open": "open: ", "restricted": "restricted: ", None: ""}[self.access.rights]
        return " ".join([f"{word}{self.access.statement}", *self.access.steps])

    @property
    def size_sentence(self) -> str:
        """Return the number and the size of the native files, or why they are not known."""
        if self.total_bytes is not None:
            return f"{counted(len(self.files), 'file')}, {self.total_bytes:,} bytes"
        if self.is_live:
            return "not fixed: a service answers each request"
        return "not pinned: no size and no hash is published"

    @property
    def descriptor_url(self) -> str:
        """Return where the descriptor is served; relative if there is no landing page."""
        return file_address(self.page, DESCRIPTOR_NAME)

    @property
    def creators(self) -> tuple[Agent, ...]:
        """Return who made the data."""
        return self._with_role("creator")

    @property
    def publishers(self) -> tuple[Agent, ...]:
        """Return who publishes the files."""
        return self._with_role("publisher")

    @property
    def curators(self) -> tuple[Agent, ...]:
        """Return who keeps this description."""
        return self._with_role("curator")

    @property
    def sources(self) -> tuple[Related, ...]:
        """Return the works that the data are derived from."""
        return tuple(work for work in self.related if work.relation == "IsDerivedFrom")

    @property
    def manifest(self) -> Resource | None:
        """Return the manifest as a file, or None where nobody has pinned the version."""
        return next((file for file in self.resources if file.name == "manifest"), None)

    @property
    def lists_files(self) -> bool:
        """Return whether exports list the native files; of too many, only the manifest does."""
        return len(self.files) <= MAX_LISTED_FILES

    @property
    def is_live(self) -> bool:
        """Return whether the files are requested from a service, which answers differently."""
        return self.service is not None

    def _with_role(self, role: str) -> tuple[Agent, ...]:
        return tuple(agent for agent in self.agents if role in agent.roles)


def facts_of(descriptor: Descriptor) -> Facts:
    """Return what the registry knows about a version, without network access."""
    document, block = descriptor.document, descriptor.document["sciml"]
    citations = tuple(Citation(text, find_identifier(text)) for text in block["citation"])
    registry, manifest = registry_identity(registry_of(descriptor.folder)), descriptor.manifest
    names = (descriptor.dataset, descriptor.version)
    page = landing_page_address(registry, *names)
    return Facts(
        dataset=descriptor.dataset,
        version=descriptor.version,
        registry=registry,
        page=page,
        identifier=version_identifier(registry, *names, document["sources"][0]["path"]),
        title=descriptor.title,
        description=descriptor.description,
        homepage=document.get("homepage"),
        keywords=tuple(document["keywords"]),
        described=document["created"][:10],
        published=block.get("published"),
        trust=descriptor.trust,
        agents=tuple(_agent(contributor) for contributor in document["contributors"]),
        licences=tuple(_licence(licence) for licence in document["licenses"]),
        citations=citations,
        related=_related(block, document["sources"], citations),
        access=_access(block),
        files=tuple(_native_file(descriptor, entry) for entry in manifest or ()),
        groups=_groups(descriptor) if manifest is None else (),
        resources=_resources(page, document),
        total_bytes=None if manifest is None else manifest.total_bytes,
        manifest_digest=None if manifest is None else manifest.digest,
        variables=descriptor.variables,
        splits=descriptor.splits,
        native_format=descriptor.native.get("format"),
        service=None if descriptor.live is None else descriptor.live.base,
        mirrors=tuple(_web_mirrors(descriptor)),
        coverage=coverage_of(block),
        responsible_use=responsible_use_of(block, descriptor.folder.parent / CARD_NAME),
    )


def _resources(page: str | None, document: Mapping[str, Any]) -> tuple[Resource, ...]:
    """Return the files beside the descriptor; those with an address are native files."""
    return tuple(
        _resource(page, resource)
        for resource in document["resources"]
        if "://" not in resource["path"]
    )


def find_identifier(text: str) -> Identifier | None:
    """Return the first DOI in a text, else the first arXiv id, else the first URL."""
    for kind, pattern in (("DOI", DOI_PATTERN), ("arXiv", ARXIV_PATTERN), ("URL", URL_PATTERN)):
        if match := pattern.search(text):
            return Identifier(kind, match.group(1) if match.groups() else match.group())
    return None


def media_type(path: str, stated: Mapping[str, str]) -> str:
    """Return the media type of a file: as the descriptor states it, else by the file's ending."""
    for glob, known in stated.items():
        if fnmatch.fnmatchcase(path, glob.replace("**", "*")):
            return known
    return MEDIA_TYPES.get(PurePosixPath(path).suffix.lower(), UNKNOWN_MEDIA_TYPE)


def _access(block: Mapping[str, Any]) -> Access:
    rights = block.get("access_rights", {"rights": None, "statement": "not stated"})
    return Access(**rights, steps=tuple(block.get("access", {}).get("steps", ())))


def _agent(block: Mapping[str, Any]) -> Agent:
    return Agent(
        name=block["title"],
        roles=tuple(block.get("roles", ())),
        url=block.get("path"),
        given_name=block.get("givenName"),
        family_name=block.get("familyName"),
        organisation=block.get("organization"),
        remark=block.get("remark"),
    )


def _licence(block: Mapping[str, str]) -> Licence:
    name, url = block["name"], block.get("path")
    if not name.startswith(OWN_LICENCE_PREFIX):
        url = f"{SPDX_LICENCES}{name}"
    return Licence(name, block["title"], url)


def _related(
    block: Mapping[str, Any], sources: Sequence[Mapping[str, str]], citations: Sequence[Citation]
) -> tuple[Related, ...]:
    """Return sources and cited works, each with its relation to the version.

    Where the descriptor states no relation, the version is derived from a source and refers to a
    cited work. A source that is also cited is returned once, as a source.
    """
    stated = {work["identifier"]: work["relation"] for work in block.get("related", ())}
    related = [
        Related(
            stated.get(source["path"], "IsDerivedFrom"),
            find_identifier(source["path"]) or Identifier("URL", source["path"]),
            source["title"],
            source.get("version"),
        )
        for source in sources
    ]
    related += [
        Related(
            stated.get(citation.identifier.value, "References"), citation.identifier, citation.text
        )
        for citation in citations
        if citation.identifier is not None
    ]
    # Reversed, because the last value of a key wins in a mapping: the source has to.
    return tuple({work.identifier.value: work for work in reversed(related)}.values())[::-1]


def _native_file(descriptor: Descriptor, entry: Entry) -> NativeFile:
    urls = (mirror.url(entry.path) for mirror in _web_mirrors(descriptor))
    return NativeFile(
        path=entry.path,
        size_bytes=entry.size_bytes,
        hash=entry.hash,
        media_type=media_type(entry.path, _stated_types(descriptor)),
        urls=tuple(dict.fromkeys(url for url in urls if url is not None)),
        columns=_columns(descriptor, entry.path),
    )


def _columns(descriptor: Descriptor, path: str) -> tuple[tuple[str, str], ...]:
    """Return label and type of the columns of a table that any reader reads as it is."""
    native = descriptor.native
    if match_paths(native.get("left_native", {}), [path]):
        return ()
    if native.get("reader") == "parquet_table":
        types = {name: variable.dtype for name, variable in descriptor.variables.items()}
        return tuple(
            (label, _table_type(types.get(name, "S"))) for name, label in native["columns"].items()
        )
    dialect = native.get("dialect", {})
    is_plain = native.get("reader") == "csv_table" and "compression" not in native
    if is_plain and dialect.get("delimiter", ",") == "," and dialect.get("header", True):
        return tuple((field["name"], field["type"]) for field in native["schema"]["fields"])
    return ()


def _table_type(dtype: str) -> str:
    """Return the Table Schema type of a column of a NumPy type."""
    kinds = {"int": "integer", "uint": "integer", "float": "number", "bool": "boolean"}
    return kinds.get(dtype.rstrip("0123456789"), "string")


def _web_mirrors(descriptor: Descriptor) -> Iterator[Mirror]:
    """Yield the mirrors whose URLs any program understands: none of `doi:` or `sftp:`."""
    for mirror in descriptor.mirrors:
        if all(url.startswith(WEB_SCHEMES) for url in mirror.prefixes.values()):
            yield mirror


def _groups(descriptor: Descriptor) -> tuple[FileGroup, ...]:
    """Return the groups that are expected, else those of the splits, which name all files."""
    expected: Mapping[str, Mapping[str, int]] = descriptor.expected.get("files", {})
    globs = dict.fromkeys(glob for split in descriptor.splits.values() for glob in split)
    return tuple(
        FileGroup(
            glob=glob,
            count=group.get("count"),
            bytes_each=group.get("bytes_each"),
            media_type=media_type(glob, _stated_types(descriptor)),
            folders=_folders(descriptor, glob),
        )
        for glob, group in (expected or {glob: {} for glob in globs}).items()
    )


def _folders(descriptor: Descriptor, glob: str) -> tuple[str, ...]:
    """Return where mirrors hold what a glob matches: the URL of its part before any wild card."""
    start = re.split(r"[*?\[]", glob)[0]
    urls = (mirror.url(start) for mirror in _web_mirrors(descriptor))
    return tuple(dict.fromkeys(url for url in urls if url is not None))


def _stated_types(descriptor: Descriptor) -> Mapping[str, str]:
    types: Mapping[str, str] = descriptor.document["sciml"].get("media_types", {})
    return types


def _resource(page: str | None, block: Mapping[str, Any]) -> Resource:
    fields = block.get("schema", {}).get("fields", ())
    return Resource(
        name=block["name"],
        path=block["path"],
        title=block.get("title", block["name"]),
        size_bytes=block["bytes"],
        sha256=block["hash"].removeprefix("sha256:"),
        media_type=block["mediatype"],
        url=file_address(page, block["path"]),
        columns=tuple((field["name"], field["type"]) for field in fields),
    )
