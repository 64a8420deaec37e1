"""The parts of `Facts`: people, licences, identifiers, files; each frozen and small."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from sciml_data.metadata.addresses import doi_address

NOT_STATED = "LicenseRef-not-stated"
UNKNOWN_MEDIA_TYPE = "application/octet-stream"  # RFC 2046, 4.5.1: of no known type
# IANA's registry of media types; HDF5 and NetCDF have none there, theirs are in common use.
MEDIA_TYPES = {
    ".csv": "text/csv",
    ".gz": "application/gzip",
    ".h5": "application/x-hdf5",
    ".hdf": "application/x-hdf5",
    ".hdf5": "application/x-hdf5",
    ".json": "application/json",
    ".nc": "application/x-netcdf",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".tsv": "text/tab-separated-values",
    ".txt": "text/plain",
    ".zip": "application/zip",
}
DOI_PATTERN = re.compile(
    r"(?:doi:|https?://(?:dx\.)?doi\.org/)(10\.[0-9]{4,9}/[^\s,;]*[^\s,;.)])", re.IGNORECASE
)
ARXIV_PATTERN = re.compile(r"arXiv:([0-9]{4}\.[0-9]{4,5})")
URL_PATTERN = re.compile(r"https?://\S*[^\s.,;)]")


@dataclass(frozen=True)
class Agent:
    """A person or an organisation that the descriptor names; a person has a family name."""

    name: str
    roles: tuple[str, ...]
    url: str | None = None
    given_name: str | None = None
    family_name: str | None = None
    organisation: str | None = None
    remark: str | None = None

    @property
    def is_person(self) -> bool:
        """Return whether it is a person, not an organisation or a group."""
        return self.family_name is not None


@dataclass(frozen=True)
class Licence:
    """A licence of the data or of a part of them; `text` says which part, or where it was sought.

    `name` is an SPDX identifier, or a `LicenseRef-…` of our own.
    """

    name: str
    text: str
    url: str | None

    @property
    def is_stated(self) -> bool:
        """Return whether upstream states a licence."""
        return self.name != NOT_STATED

    @property
    def is_spdx(self) -> bool:
        """Return whether the name stands in the list of SPDX."""
        return not self.name.startswith("LicenseRef-")


@dataclass(frozen=True)
class Citation:
    """How the data ask to be cited; `identifier` is the first DOI, arXiv id or URL in the text."""

    text: str
    identifier: Identifier | None


@dataclass(frozen=True)
class Identifier:
    """`kind` is DOI, arXiv or URL, the words of DataCite; `url` resolves it."""

    kind: str
    value: str

    @property
    def url(self) -> str:
        """Return an address that leads to what is identified."""
        if self.kind == "DOI":
            return doi_address(self.value)
        return f"https://arxiv.org/abs/{self.value}" if self.kind == "arXiv" else self.value


@dataclass(frozen=True)
class Related:
    """Something else, and the relation of this version to it in a word of DataCite."""

    relation: str
    identifier: Identifier
    title: str
    version: str | None = None


@dataclass(frozen=True)
class Access:
    """Who may have the files: `rights` is open, restricted or None, which is not stated.

    `steps` are those of a person, where no mirror gives the files to a program.
    """

    rights: str | None
    statement: str
    steps: tuple[str, ...] = ()


@dataclass(frozen=True)
class NativeFile:
    """A file of the manifest, as upstream publishes it; `hash` is of a kind of manifest.py."""

    path: str
    size_bytes: int
    hash: str
    media_type: str
    urls: tuple[str, ...]

    @property
    def hash_kind(self) -> str:
        """Return sha256, md5, s3etag or gitblob."""
        return self.hash.partition(":")[0]

    @property
    def sha256(self) -> str | None:
        """Return the hex digest where that is what is known."""
        return self._digest("sha256")

    @property
    def md5(self) -> str | None:
        """Return the hex digest where it is known: an S3 tag of one part is the md5 of the bytes.

        (AWS, Amazon S3 user guide, "Checking object integrity"; seen so on Ceph.)
        """
        return self._digest("md5") or (
            self._digest("s3etag") if re.fullmatch(r"s3etag:[0-9a-f]{32}", self.hash) else None
        )

    def _digest(self, kind: str) -> str | None:
        known, _, digest = self.hash.partition(":")
        return digest if known == kind else None


@dataclass(frozen=True)
class FileGroup:
    """What is expected of files that nobody has pinned: a glob, their number, the size of each.

    `folders` are where mirrors hold them; of a glob without wild cards, the address of the file.
    """

    glob: str
    count: int | None
    bytes_each: int | None
    media_type: str
    folders: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """Return what is expected, and that no checksum is known."""
        count = "number of files not known"
        if self.count is not None:
            count = f"{self.count} file{'s' if self.count > 1 else ''} expected"
        size = "" if self.bytes_each is None else f", {self.bytes_each} bytes each"
        return f"{count}{size}; not pinned: upstream publishes no checksum"


@dataclass(frozen=True)
class Beside:
    """A file that lies beside the descriptor in the registry, the manifest among them."""

    name: str
    path: str
    title: str
    size_bytes: int
    sha256: str
    media_type: str
    url: str
    columns: tuple[tuple[str, str], ...]


def identifier_in(text: str) -> Identifier | None:
    """Return the first DOI in a text, else the first arXiv id, else the first URL."""
    for kind, pattern in (("DOI", DOI_PATTERN), ("arXiv", ARXIV_PATTERN), ("URL", URL_PATTERN)):
        if match := pattern.search(text):
            return Identifier(kind, match.group(1) if match.groups() else match.group())
    return None


def media_type(path: str, stated: Mapping[str, str]) -> str:
    """Return the type of a file: what the descriptor states, else what its ending says."""
    for glob, known in stated.items():
        if fnmatch.fnmatchcase(path, glob.replace("**", "*")):
            return known
    return MEDIA_TYPES.get(PurePosixPath(path).suffix.lower(), UNKNOWN_MEDIA_TYPE)
