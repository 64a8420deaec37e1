"""Pin an unpinned version: record the checksums of fetched or listed files in the registry.

The manifest becomes a file of the version's folder, so that everybody verifies files against it,
and a change of it can be reviewed. A pinned version never changes again.
"""

from __future__ import annotations

import copy
import errno
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sciml_data.curate.derive import write_derived
from sciml_data.curate.new import manifest_resource
from sciml_data.curate.pin_ready import ReadyPin
from sciml_data.errors import CallError, DescriptorError, ListingError, Problem, VerificationError
from sciml_data.home import DatasetFolder, write_atomically
from sciml_data.progress import Progress, counted, format_bytes
from sciml_data.registry.descriptor import (
    DESCRIPTOR_NAME,
    MANIFEST_NAME,
    Descriptor,
    check_descriptor,
)
from sciml_data.registry.layout import Registry
from sciml_data.registry.manifest import Entry, Manifest
from sciml_data.transfer.listing import Listing, deviations, read_listing
from sciml_data.transfer.verification import load_fetched, verify

READ_ONLY_ERRORS = {errno.EACCES, errno.EPERM, errno.EROFS}


@dataclass(frozen=True)
class Pin:
    """A version to be pinned: its manifest, and the listing that the manifest was compared with."""

    descriptor: Descriptor
    manifest: Manifest
    listing: Listing

    @property
    def texts(self) -> dict[str, str]:
        """Return the manifest and the pinned descriptor, by their file names."""
        manifest = self.manifest.dump()
        document: dict[str, Any] = copy.deepcopy(dict(self.descriptor.document))
        document["sciml"]["trust"] = "pinned"
        # Of an unpinned version it is an estimate; of a pinned one, readers take it as measured.
        document["sciml"].pop("ready_bytes", None)
        document["resources"].insert(0, manifest_resource(manifest))
        text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        return {MANIFEST_NAME: manifest, DESCRIPTOR_NAME: text}


def pin_fetched(
    descriptor: Descriptor, folder: DatasetFolder, *, progress: Progress | None = None
) -> Pin:
    """Return the pin of a completely fetched version; files that were not verified are read.

    Args:
        descriptor: the version.
        folder: the version's folder in the home.
        progress: called with (bytes read, bytes to read).

    Raises:
        CallError: the version is pinned or live, or nothing of it was fetched.
        VerificationError: listed files were not fetched, or files changed since they were fetched.
        ListingError: the listing differs from what the descriptor expects.
    """
    listing = _stored_listing(descriptor, folder)
    fetched = load_fetched(descriptor, folder)
    if fetched.is_synthetic:
        raise CallError(f"{folder.root} holds a synthetic sample", untouched="nothing was pinned")
    problems = list(_listing_problems(listing, fetched.manifest))
    if problems:
        raise VerificationError(
            f"the fetched files of {_name(descriptor)} are not the listed ones: {len(problems)} "
            f"of {counted(len(listing.by_path), 'file')} differ",
            problems=problems,
            untouched="nothing was pinned",
            hint=f"sciml-data get {descriptor.dataset} --version {descriptor.version}",
        )
    verify(fetched, progress=progress)
    return Pin(descriptor, fetched.manifest, listing)


def pin_listing(descriptor: Descriptor, listing: Listing) -> Pin:
    """Return the pin of a listing by its ETags; the files need not have been fetched.

    Raises:
        CallError: the version is pinned or live.
        ListingError: files have no ETag, or an ETag that bytes cannot be verified against.
    """
    check_pinnable(descriptor)
    hashes = {file.path: file.etag_hash for file in listing.files}
    problems = [
        Problem("etag", file.path, f"bytes cannot be verified against {file.etag or 'no ETag'}")
        for file in listing.files
        if hashes[file.path] is None
    ]
    if problems:
        raise ListingError(
            f"{len(problems)} of {counted(len(hashes), 'file')} of {_name(descriptor)} lack an "
            "ETag that their bytes can be verified against: it is not an md5, or fits parts of "
            "several sizes",
            problems=problems,
            untouched="nothing was pinned",
            hint="fetch the files, which are hashed as they arrive, and pin without --listing",
        )
    entries = [Entry(file.path, file.size_bytes, hashes[file.path] or "") for file in listing.files]
    return Pin(descriptor, Manifest(tuple(sorted(entries))), listing)


def check_pinnable(descriptor: Descriptor) -> None:
    """Raise CallError for a version that is pinned already, or that is live."""
    if descriptor.live is not None:
        raise CallError(
            f"{_name(descriptor)} is live: a service answers differently each time",
            untouched="nothing was pinned",
        )
    if descriptor.is_pinned:
        raise CallError(
            f"{_name(descriptor)} is pinned already, and published versions never change",
            untouched="nothing was pinned",
            hint="other files are another version: sciml-data new "
            f"{descriptor.dataset} VERSION --reader READER --files DIR",
        )


def write_pin(pin: Pin | ReadyPin, registry: Registry) -> list[Path]:
    """Write a pin and its derived files into a registry; return the files that changed.

    Args:
        pin: of native files, or of a ready form.
        registry: to write into.

    Raises:
        CallError: the registry is read-only.
        DescriptorError: the version would not be valid; nothing is written.
    """
    folder = pin.descriptor.folder
    registry.require_writable("nothing was pinned")
    _check_valid(pin)
    try:
        # The manifest first: if the process is killed in between, the version is still unpinned.
        for name, text in pin.texts.items():
            write_atomically(folder / name, text)
        # Other versions may be invalid; which does not justify leaving this pin half written.
        derived = write_derived(registry, left_out=[])
    except OSError as error:
        if error.errno not in READ_ONLY_ERRORS:
            raise
        raise CallError(
            f"the registry {registry.root} is read-only",
            untouched="nothing was pinned",
            hint="name a checkout of the registry with --registry DIR",
        ) from error
    return [*(folder / name for name in pin.texts), *derived]


def pull_request(pin: Pin) -> str:
    """Return a summary of a pin for its reviewers, as Markdown."""
    files, size = len(pin.manifest), pin.manifest.total_bytes
    kinds = sorted({entry.hash.partition(":")[0] for entry in pin.manifest})
    origin = "computed from every byte as it arrived"
    if kinds != ["sha256"]:
        origin = "ETags as listed; the files themselves were not read"
    lines = [
        f"Pin {_name(pin.descriptor)}: {counted(files, 'file')}, {format_bytes(size)}",
        "",
        f"- files: {files}, {size} bytes",
        f"- manifest: sha256 {pin.manifest.digest}",
        f"- hashes: {', '.join(kinds)}, {origin}",
        f"- listed: {pin.listing.listed}, by {', '.join(_mirrors(pin.listing))}",
        f"- {_expectations(pin)}",
        "- to be done by hand: the table of versions in the dataset's card",
    ]
    return "\n".join(lines)


def _expectations(pin: Pin) -> str:
    expected = pin.descriptor.expected
    parts = [
        f"{glob}: {', '.join(f'{key} {value}' for key, value in wanted.items())}"
        for glob, wanted in expected.get("files", {}).items()
    ]
    if total := expected.get("total_bytes"):
        parts.append(f"{total['least']} to {total['most']} bytes in all")
    return f"expected and found: {'; '.join(parts)}" if parts else "nothing was expected"


def _mirrors(listing: Listing) -> list[str]:
    hosts = {urlsplit(file.url).netloc for file in listing.files}
    return sorted(host or "a local folder" for host in hosts)


def _name(descriptor: Descriptor) -> str:
    return f"{descriptor.dataset} {descriptor.version}"


def _stored_listing(descriptor: Descriptor, folder: DatasetFolder) -> Listing:
    """Return the listing that was stored when the files were fetched."""
    check_pinnable(descriptor)
    listing = read_listing(folder.listing)
    if listing is None:
        raise CallError(
            f"nothing of {_name(descriptor)} was fetched to {folder.root}",
            untouched="nothing was pinned",
            hint=f"sciml-data get {descriptor.dataset} --version {descriptor.version}, or pin its "
            "listing with --listing",
        )
    sizes = {file.path: file.size_bytes for file in listing.files}
    wrong = deviations(descriptor.expected, sizes)
    if wrong:
        raise ListingError(
            f"the listing of {_name(descriptor)} differs from what the descriptor expects",
            problems=[Problem("expected", folder.listing.name, text) for text in wrong],
            untouched="nothing was pinned",
        )
    return listing


def _listing_problems(listing: Listing, fetched: Manifest) -> Iterator[Problem]:
    """Yield the files that were listed or fetched only, or with different sizes."""
    listed, entries = listing.by_path, fetched.by_path
    for path, file in listed.items():
        if path not in entries:
            message = f"{file.size_bytes} bytes are listed, nothing was fetched"
            yield Problem("missing", path, message)
    for path, entry in entries.items():
        size = entry.size_bytes
        if path not in listed:
            yield Problem("unexpected", path, f"{size} bytes were fetched, nothing is listed")
        elif listed[path].size_bytes != size:
            message = f"{listed[path].size_bytes} bytes listed, {size} fetched"
            yield Problem("size", path, message)


def _check_valid(pin: Pin | ReadyPin) -> None:
    """Check the version as it will be, in a copy of its folder."""
    folder = pin.descriptor.folder
    with tempfile.TemporaryDirectory() as place:
        trial = Path(place, folder.parent.name, folder.name)
        shutil.copytree(folder, trial)
        for name, text in pin.texts.items():
            (trial / name).write_text(text, encoding="utf-8")
        problems = check_descriptor(trial)
    if problems:
        raise DescriptorError(
            f"{_name(pin.descriptor)} would not be valid if it were pinned",
            problems=problems,
            untouched="nothing was pinned",
        )
