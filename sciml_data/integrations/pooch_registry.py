"""The registry file of a version for stock Pooch: name, hash and address of each file.

    library = pooch.create(path=FOLDER, base_url="")
    library.load_registry("uno_ccle.txt")

Pooch itself is not needed to write it.
"""

from __future__ import annotations

import shlex
from urllib.parse import unquote

from sciml_data.errors import CallError, Problem
from sciml_data.progress import counted
from sciml_data.registry import Descriptor


def pooch_hash(known: str | None) -> str | None:
    """Return a hash as Pooch writes it; None if Pooch cannot compute this kind."""
    kind, _, value = (known or "").partition(":")
    if kind in {"sha256", "md5"}:
        return known
    # The ETag of an object that was uploaded at once is its md5.
    return f"md5:{value}" if kind == "s3etag" and "-" not in value else None


def pooch_url(url: str) -> str:
    """Return an address as Pooch reads it: it decodes none but those of HTTP."""
    if url.startswith("doi:"):
        return unquote(url.replace("#", "/", 1))
    return unquote(url) if url.startswith(("ftp:", "sftp:")) else url


def to_pooch_registry(descriptor: Descriptor) -> str:
    """Return the registry file of a version.

    Each line has a name, a hash and the address at the first mirror of the registry, quoted as in
    a shell where necessary. A file without a mirror has no address: Pooch takes its `base_url`.

    Raises:
        CallError: the version is not pinned, or has hashes that Pooch cannot compute.
    """
    name = f"{descriptor.dataset} {descriptor.version}"
    if descriptor.manifest is None:
        raise CallError(
            f"{name} is not pinned: the registry has no hashes of its files",
            untouched="nothing was written",
            hint=f"sciml-data pin {descriptor.dataset} --version {descriptor.version}",
        )
    others = [entry for entry in descriptor.manifest if pooch_hash(entry.hash) is None]
    if others:
        raise CallError(
            f"Pooch cannot compute the hash of {counted(len(others), 'file')} of {name}",
            problems=[Problem("hash", entry.path, entry.hash) for entry in others],
            untouched="nothing was written",
            hint=f'sciml_data.pooch("{descriptor.dataset}", "{descriptor.version}") checks all',
        )
    lines = [
        f"# {name}: registry of Pooch, by `sciml-data export pooch {descriptor.dataset} "
        f"--version {descriptor.version}`"
    ]
    for entry in descriptor.manifest:
        urls = (mirror.url(entry.path) for mirror in descriptor.mirrors)
        url = next((url for url in urls if url), None)
        fields = [entry.path, pooch_hash(entry.hash) or "", *([pooch_url(url)] if url else [])]
        lines.append(shlex.join(fields))
    return "\n".join(lines) + "\n"
