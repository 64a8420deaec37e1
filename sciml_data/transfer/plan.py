"""Plan a download: which files, how large, and the URLs of each, in the order to try.

A plan downloads nothing; `sciml-data get --dry-run` prints it. The files of a version that the
registry does not pin are listed by its mirrors (see `sciml_data.transfer.listing`).
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Collection, Sequence

from sciml_data.errors import CallError, ListingError, nearest
from sciml_data.home import DatasetFolder, Home
from sciml_data.progress import Log, counted, format_bytes
from sciml_data.registry.descriptor import Descriptor
from sciml_data.registry.manifest import Entry, match_paths, read_manifest
from sciml_data.registry.stages import Plan, PlannedFile, StoredCopy
from sciml_data.transfer.listing.choose import AcceptedListing, list_files
from sciml_data.transfer.protocols.mirrors import places, user_mirrors
from sciml_data.transfer.protocols.retry import RetryPolicy

logger = logging.getLogger(__name__)

MAX_SUGGESTIONS = 3
MAX_COMPARED = 10_000  # paths; comparing a million with a mistyped glob would take minutes
# Similarity of a suggested path to a glob, as `difflib` measures it (0 to 1). It is low, because a
# glob has few characters of the paths that it was meant to match.
MIN_SIMILARITY = 0.3


def make_plan(  # noqa: PLR0913 - the version, which part of it, and how mirrors are asked
    descriptor: Descriptor,
    home: Home,
    *,
    mirrors: Sequence[str] = (),
    include: Sequence[str] = (),
    split: str | None = None,
    limit: int | None = None,
    log: Log | None = None,
    retry: RetryPolicy | None = None,
    keep_listing: bool = True,
) -> Plan:
    """Return the plan for a version, or for a part of it.

    Args:
        descriptor: of a version with files; a live version has none.
        home: where the files are stored.
        mirrors: asked before those of the environment, the configuration and the registry.
        include: globs; only files that match one of them.
        split: only the files of this split; together with `include`, those of both.
        limit: only this number of files, the first ones by path.
        log: gets lines about mirrors and their listings (unpinned versions only).
        retry: timeouts and retries of the listing (unpinned versions only).
        keep_listing: store the first listing, which later ones must equal (unpinned versions only).

    Raises:
        CallError: an unknown split, a glob that matches no file, a mirror that is not valid.
        ListingError: no mirror lists the expected files of an unpinned version.
        UpstreamChangedError: the mirror lists other files than at first.
    """
    _refuse_live(descriptor)
    bases = user_mirrors(mirrors)
    folder = home.dataset(descriptor.dataset, descriptor.version)
    sizes, planned = _pinned_files(descriptor, bases, include, split, limit)
    if descriptor.manifest is None:
        accepted = list_files(
            descriptor,
            folder,
            bases=bases,
            log=log or logger.info,
            retry=retry,
            keep=keep_listing,
        )
        files = _listed_files(accepted, folder)
        chosen = _choose_paths(descriptor, list(files), include, split)[:limit]
        planned = tuple(files[path] for path in chosen)
        sizes = [file.size_bytes for file in files.values()]
        if accepted.objections:
            _refuse_missing(descriptor, planned, folder, accepted)
    return Plan(
        descriptor,
        planned,
        folder,
        is_whole=len(planned) == len(sizes),
        version_files=len(sizes),
        version_bytes=sum(sizes),
        copies=_copies(descriptor, home, planned),
        bases=bases,
    )


def amounts_left(plan: Plan, existing: Collection[str]) -> str:
    """Return what is missing: `1 file to fetch, 8 bytes; 314.7 MB from version 1.0`.

    Args:
        plan: the planned files.
        existing: paths that are here.
    """
    missing = [file for file in plan.files if file.path not in existing]
    to_fetch = [file for file in missing if file.path not in plan.copies]
    size = format_bytes(sum(file.size_bytes for file in to_fetch))
    parts = [f"{counted(len(to_fetch), 'file')} to fetch, {size}"]
    amounts: dict[str, int] = {}
    for file in missing:
        if (copy := plan.copies.get(file.path)) is not None:
            amounts[copy.source] = amounts.get(copy.source, 0) + file.size_bytes
    parts += [f"{format_bytes(size)} from {source}" for source, size in amounts.items()]
    return "; ".join(parts)


def _copies(
    descriptor: Descriptor, home: Home, files: Sequence[PlannedFile]
) -> dict[str, StoredCopy]:
    """Return files of other versions in the home with the content of planned ones, by path."""
    if not set(home.versions(descriptor.dataset)) - {descriptor.version} and not home.shared:
        return {}
    native = home.dataset(descriptor.dataset, descriptor.version).native
    wanted = {
        file.path: known
        for file in files
        if (known := file.hash or file.etag) is not None and not (native / file.path).exists()
    }
    if not wanted:
        return {}
    from sciml_data.transfer.download.stored_copies import stored_copies

    stored = stored_copies(descriptor, home, set(wanted.values()))
    return {path: stored[known] for path, known in wanted.items() if known in stored}


def _refuse_live(descriptor: Descriptor) -> None:
    if descriptor.live is not None:
        name = f"{descriptor.dataset} {descriptor.version}"
        raise CallError(
            f"{name} has no list of files: it is fetched from a service, for a period",
            untouched="nothing was fetched",
            hint=f"sciml-data get {descriptor.dataset} --version {descriptor.version} "
            "--start 2020-01-01 --end 2021-01-01",
        )


def _pinned_files(
    descriptor: Descriptor,
    bases: Sequence[str],
    include: Sequence[str],
    split: str | None,
    limit: int | None,
) -> tuple[list[int], tuple[PlannedFile, ...]]:
    """Return the sizes of all files of the registry's manifest, and the chosen files.

    Addresses are made for the chosen files only: for a million files that takes twice as long as
    reading their manifest.
    """
    manifest = descriptor.manifest
    if manifest is None:
        return [], ()
    paths = [entry.path for entry in manifest]
    chosen = set(_choose_paths(descriptor, paths, include, split)[:limit])
    mirrors = places(descriptor, bases)
    planned = tuple(
        PlannedFile(
            entry.path,
            entry.size_bytes,
            entry.hash,
            tuple(dict.fromkeys(url for mirror in mirrors if (url := mirror.url(entry.path)))),
        )
        for entry in manifest
        if entry.path in chosen
    )
    return [entry.size_bytes for entry in manifest], planned


def _listed_files(accepted: AcceptedListing, folder: DatasetFolder) -> dict[str, PlannedFile]:
    """Return the listed files by path; those that were fetched before have a hash."""
    known = read_manifest(folder.manifest).by_path if folder.manifest.is_file() else {}
    return {
        file.path: PlannedFile(
            file.path,
            file.size_bytes,
            _stored_hash(known.get(file.path), file.size_bytes),
            accepted.urls(file.path),
            file.etag_hash,
        )
        for file in accepted.listing.files
    }


def _stored_hash(entry: Entry | None, size_bytes: int) -> str | None:
    """Return the hash of a file that was fetched before, unless it is of another size."""
    return entry.hash if entry is not None and entry.size_bytes == size_bytes else None


def _refuse_missing(
    descriptor: Descriptor,
    wanted: Sequence[PlannedFile],
    folder: DatasetFolder,
    accepted: AcceptedListing,
) -> None:
    """Raise ListingError if a file is missing and no mirror lists the files of the first time."""
    missing = [
        file.path
        for file in wanted
        if not (place := folder.native / file.path).is_file()
        or place.stat().st_size != file.size_bytes
    ]
    if missing:
        raise ListingError(
            f"{descriptor.dataset} {descriptor.version}: {len(missing)} of "
            f"{counted(len(wanted), 'file')} not here, and no mirror lists the files of "
            f"{accepted.listing.listed}",
            problems=accepted.objections,
            untouched="nothing was fetched",
            hint="without a network, name a copy of the files: --mirror file:DIR",
        )


def _choose_paths(
    descriptor: Descriptor, paths: list[str], include: Sequence[str], split: str | None
) -> list[str]:
    """Return the paths of a split that match a glob."""
    if split is not None:
        if split not in descriptor.splits:
            raise CallError(
                f"{descriptor.dataset} {descriptor.version} has no split {split!r}"
                f"{nearest(split, descriptor.splits)}; it has {', '.join(descriptor.splits)}",
                untouched="nothing was fetched",
            )
        paths = match_paths(descriptor.splits[split], paths)
    for glob in include:
        if not match_paths([glob], paths):
            compared = paths[:MAX_COMPARED]
            close = difflib.get_close_matches(glob, compared, MAX_SUGGESTIONS, MIN_SIMILARITY)
            where = f" of split {split!r}" if split is not None else ""
            raise CallError(
                f"{glob!r} matches none of {counted(len(paths), 'file')}{where}"
                + (f"; did you mean {', '.join(close)}?" if close else ""),
                untouched="nothing was fetched",
                hint=f"sciml-data get {descriptor.dataset} --version {descriptor.version} "
                "--dry-run lists them all",
            )
    return match_paths(include, paths) if include else paths
