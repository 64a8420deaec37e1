"""Turn what one user fetched on trust into what everybody holds: pin an unpinned version.

The manifest goes into the registry's folder of the version, where a change of it is a change that
others see and review. What is pinned never changes again.
"""

from __future__ import annotations

import copy
import errno
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sciml_data.curate.derive import write_derived
from sciml_data.curate.new import manifest_resource
from sciml_data.errors import CallError, DescriptorError, ListingError, Problem, VerificationError
from sciml_data.home import DatasetFolder, write_atomically
from sciml_data.progress import Progress, format_bytes
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

READ_ONLY = {errno.EACCES, errno.EPERM, errno.EROFS}


@dataclass(frozen=True)
class Pin:
    """What is to be pinned: the manifest, and the listing that it was held against."""

    descriptor: Descriptor
    manifest: Manifest
    listing: Listing

    @property
    def texts(self) -> dict[str, str]:
        """Return the manifest and the pinned descriptor, by their file names."""
        manifest = self.manifest.dump()
        document: dict[str, Any] = copy.deepcopy(dict(self.descriptor.document))
        document["sciml"]["trust"] = "pinned"
        document["resources"].insert(0, manifest_resource(manifest))
        text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        return {MANIFEST_NAME: manifest, DESCRIPTOR_NAME: text}


def pin_fetched(
    descriptor: Descriptor, folder: DatasetFolder, *, progress: Progress | None = None
) -> Pin:
    """Return the pin of a version that was fetched whole; files are read that were not verified.

    Raises:
        CallError: it is pinned, it is live, or nothing of it was fetched.
        VerificationError: files of the listing were not fetched, or differ from what arrived.
        ListingError: the listing is not what the descriptor expects.
    """
    listing = _kept_listing(descriptor, folder)
    fetched = load_fetched(descriptor, folder)
    if fetched.is_synthetic:
        raise CallError(f"{folder.root} holds a synthetic sample", untouched="nothing was pinned")
    there, listed = fetched.manifest.by_path, listing.by_path
    problems = [
        Problem("missing", path, f"{file.size_bytes} bytes are listed, nothing was fetched")
        for path, file in listed.items()
        if path not in there
    ]
    problems += [
        Problem("size", path, f"{listed[path].size_bytes} bytes listed, {entry.size_bytes} fetched")
        if path in listed
        else Problem(
            "unexpected", path, f"{entry.size_bytes} bytes were fetched, nothing is listed"
        )
        for path, entry in there.items()
        if path not in listed or listed[path].size_bytes != entry.size_bytes
    ]
    if problems:
        raise VerificationError(
            f"what was fetched of {_name(descriptor)} is not what is listed: {len(problems)} of "
            f"{len(listed)} files differ",
            problems=problems,
            untouched="nothing was pinned",
            hint=f"sciml-data get {descriptor.dataset} --version {descriptor.version}",
        )
    verify(fetched, progress=progress)
    return Pin(descriptor, fetched.manifest, listing)


def pin_listing(descriptor: Descriptor, listing: Listing) -> Pin:
    """Return the pin of a surveyed listing by its ETags; nothing need have been fetched.

    Raises:
        CallError: it is pinned, or it is live.
        ListingError: files have an ETag that cannot be held, or none.
    """
    refuse_to_pin(descriptor)
    hashes = {file.path: file.etag_hash for file in listing.files}
    problems = [
        Problem("etag", file.path, f"{file.etag or 'no ETag'} cannot be held against bytes")
        for file in listing.files
        if hashes[file.path] is None
    ]
    if problems:
        raise ListingError(
            f"{len(problems)} of {len(hashes)} files of {_name(descriptor)} have no ETag that can "
            "be held: it is no md5, or parts of several usual sizes fit it",
            problems=problems,
            untouched="nothing was pinned",
            hint="fetch the files, which are hashed as they arrive, and pin without --listing",
        )
    entries = (Entry(one.path, one.size_bytes, hashes[one.path] or "") for one in listing.files)
    return Pin(descriptor, Manifest(tuple(sorted(entries))), listing)


def refuse_to_pin(descriptor: Descriptor) -> None:
    """Raise CallError for a version that cannot be pinned any more, or ever."""
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


def write_pin(pin: Pin, registry: Registry) -> list[Path]:
    """Write a pin into a registry, and what follows from it; return the files that changed.

    Raises:
        CallError: the registry may not be written to.
        DescriptorError: the version would not be sound; nothing is written.
    """
    folder = pin.descriptor.folder
    _refuse_installed(registry)
    _refuse_unsound(pin)
    try:
        for name, text in pin.texts.items():  # the manifest first: a kill leaves it unpinned
            write_atomically(folder / name, text)
        derived = write_derived(registry)
    except OSError as error:
        if error.errno not in READ_ONLY:
            raise
        raise _not_writable(registry) from error
    return [*(folder / name for name in pin.texts), *derived]


def pull_request(pin: Pin) -> str:
    """Return what a reviewer wants to know of a pin, as Markdown."""
    files, size = len(pin.manifest), pin.manifest.total_bytes
    kinds = sorted({entry.hash.partition(":")[0] for entry in pin.manifest})
    how = "computed from every byte as it arrived"
    if kinds != ["sha256"]:
        how = "ETags as listed; the files themselves were not read"
    lines = [
        f"Pin {_name(pin.descriptor)}: {files} files, {format_bytes(size)}",
        "",
        f"- files: {files}, {size} bytes",
        f"- manifest: sha256 {pin.manifest.digest}",
        f"- hashes: {', '.join(kinds)}, {how}",
        f"- listed: {pin.listing.listed}, by {', '.join(_mirrors(pin.listing))}",
        f"- {_held(pin)}",
        "- to be done by hand: the table of versions in the dataset's card",
    ]
    return "\n".join(lines)


def _held(pin: Pin) -> str:
    expected = pin.descriptor.expected
    parts = [
        f"{glob}: {', '.join(f'{key} {value}' for key, value in wanted.items())}"
        for glob, wanted in expected.get("files", {}).items()
    ]
    if total := expected.get("total_bytes"):
        parts.append(f"{total['least']} to {total['most']} bytes in all")
    return f"expected and found: {'; '.join(parts)}" if parts else "nothing was known beforehand"


def _mirrors(listing: Listing) -> list[str]:
    hosts = {urlsplit(file.url).netloc for file in listing.files}
    return sorted(host or "a folder of whoever pinned it" for host in hosts)


def _name(descriptor: Descriptor) -> str:
    return f"{descriptor.dataset} {descriptor.version}"


def _kept_listing(descriptor: Descriptor, folder: DatasetFolder) -> Listing:
    refuse_to_pin(descriptor)
    listing = read_listing(folder.listing)
    if listing is None:
        raise CallError(
            f"nothing of {_name(descriptor)} was fetched to {folder.root}",
            untouched="nothing was pinned",
            hint=f"sciml-data get {descriptor.dataset} --version {descriptor.version}, or pin its "
            "listing with --listing",
        )
    wrong = deviations(descriptor.expected, {one.path: one.size_bytes for one in listing.files})
    if wrong:
        raise ListingError(
            f"the listing of {_name(descriptor)} is not what is expected",
            problems=[Problem("expected", folder.listing.name, what) for what in wrong],
            untouched="nothing was pinned",
        )
    return listing


def _refuse_unsound(pin: Pin) -> None:
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
            f"{_name(pin.descriptor)} would not be sound if it were pinned",
            problems=problems,
            untouched="nothing was pinned",
        )


def _refuse_installed(registry: Registry) -> None:
    if registry.root.name == "_registry":
        raise _not_writable(registry)


def _not_writable(registry: Registry) -> CallError:
    return CallError(
        f"the registry {registry.root} is not one to write to",
        untouched="nothing was pinned",
        hint="name a checkout of the registry with --registry DIR",
    )
