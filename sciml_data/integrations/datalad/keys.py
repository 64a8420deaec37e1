"""The key that git-annex holds a file by, made from what the manifest knows of it.

    sha256          SHA256E-s<bytes>--<hash>.<ext>   size and hash are held
    md5, s3etag     MD5-s<bytes>--<hash>             size and md5 are held
    s3etag of parts, gitblob   URL-s<bytes>--…       git-annex has no such hash: the size is held

`git annex examinekey` decides on the extension and says where the content of a key lies, so that
both are what `git annex add` of the same file would make of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sciml_data.errors import Problem, SciMLDataError
from sciml_data.registry.manifest import Entry
from sciml_data.transfer.protocols.annex import git

STRONG = "sha256"
BACKENDS = {"sha256": "SHA256", "md5": "MD5", "s3etag": "MD5"}


@dataclass(frozen=True)
class Keyed:
    """A file of the manifest under its key.

    Attributes:
        link: what a symbolic link at `entry.path` says, in a repository whose root is the dataset.
    """

    entry: Entry
    key: str
    link: str

    @property
    def is_weak(self) -> bool:
        """Return whether the size is all that git-annex can hold."""
        return self.key.startswith("URL-")


def keyed(
    repository: Path, entries: Sequence[Entry], hashes: Mapping[str, str] | None = None
) -> list[Keyed]:
    """Return each file under its key.

    Args:
        repository: any that git-annex knows.
        entries: of the manifest.
        hashes: path -> sha256 of files that were hashed here, where the manifest has another kind.

    Raises:
        SciMLDataError: git-annex makes no sense of a key.
    """
    named = {entry.path: _key(entry, (hashes or {}).get(entry.path)) for entry in entries}
    lines = "".join(f"{key} {path}\n" for path, key in named.items()).encode()
    form = "${key}\t${objectpath}\n"
    shown = git(
        repository,
        "annex", "examinekey", "--batch", "--migrate-to-backend=SHA256E", f"--format={form}",
        stdin=lines,
    ).decode().splitlines() if entries else []  # fmt: skip
    if len(shown) != len(entries):
        raise SciMLDataError(f"git-annex names {len(shown)} of {len(entries)} keys")
    return [
        Keyed(entry, key, "../" * entry.path.count("/") + place)
        for entry, (key, place) in zip(entries, (line.split("\t") for line in shown), strict=True)
    ]


def key_problem(entry: Entry, key: str) -> Problem | None:
    """Return why a key cannot be that of a file of the manifest, or None; URL keys have a size."""
    fields, _, value = key.partition("--")
    backend, *rest = fields.split("-")
    size = next((one[1:] for one in rest if one.startswith("s")), None)
    if size not in {None, str(entry.size_bytes)}:
        return Problem("changed", entry.path, f"{entry.size_bytes} bytes expected, key has {size}")
    kind, _, expected = entry.hash.partition(":")
    found = value.partition(".")[0]
    same = BACKENDS.get(kind) == backend.removesuffix("E") and "-" not in expected
    if same and found != expected:
        return Problem("changed", entry.path, f"{entry.hash[:19]}.. expected, its key is {key}")
    return None


def _key(entry: Entry, sha256: str | None) -> str:
    kind, _, value = (sha256 or entry.hash).partition(":")
    backend = BACKENDS.get(kind)
    if backend is None or "-" in value:
        # The hash is the name: the same at all mirrors, another for another content.
        return f"URL-s{entry.size_bytes}--{kind}-{value.replace(':', '-')}"
    return f"{backend}-s{entry.size_bytes}--{value}"
