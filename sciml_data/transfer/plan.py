"""Which files are wanted, how large they are, and where each is asked for, in order.

A plan fetches nothing: `sciml-data get --dry-run` prints it. For a version that nobody has pinned
the mirrors are asked for what they list (sciml_data/survey).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence

from sciml_data.errors import CallError, ListingError, nearest
from sciml_data.home import DatasetFolder, Home
from sciml_data.registry.descriptor import Descriptor, match_paths
from sciml_data.registry.manifest import read_manifest
from sciml_data.registry.stages import Plan, PlannedFile
from sciml_data.transfer.listing import AcceptedListing, list_files
from sciml_data.transfer.protocols.mirrors import places, user_mirrors
from sciml_data.transfer.protocols.retry import RetryPolicy

MOST_SUGGESTED = 3

Log = Callable[[str], None]


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
    """Return the plan for a version, or for the part of it that is asked for.

    Args:
        descriptor: of a version with files; a live one has none.
        home: where the files will lie.
        mirrors: asked before those of the environment, the configuration and the registry.
        include: globs; only files that one of them fits.
        split: only the files of this split; with `include`, those of both.
        limit: only so many files, the first by path of those that are wanted otherwise.
        log: of an unpinned version: is told of mirrors and their listings.
        retry: of an unpinned version: timeouts and retries of the listing.
        keep_listing: of an unpinned version: keep the first listing, which later ones must equal.

    Raises:
        CallError: an unknown split, a glob that fits no file, a mirror that cannot be.
        ListingError: no mirror lists what is expected of an unpinned version.
        UpstreamChangedError: it lists something else than at first.
    """
    _refuse_live(descriptor)
    bases = user_mirrors(mirrors)
    folder = home.dataset(descriptor.dataset, descriptor.version)
    files = _pinned_files(descriptor, bases)
    found = None
    if files is None:
        found = list_files(
            descriptor,
            folder,
            bases=bases,
            log=log or (lambda _: None),
            retry=retry,
            keep=keep_listing,
        )
        files = _listed_files(found, folder)
    chosen = _chosen(descriptor, list(files), include, split)[:limit]
    if found is not None and found.objections:
        _refuse_unless_here(descriptor, [files[path] for path in chosen], folder, found)
    return Plan(
        descriptor,
        tuple(files[path] for path in chosen),
        folder,
        is_whole=len(chosen) == len(files),
        version_files=len(files),
        version_bytes=sum(file.size_bytes for file in files.values()),
    )


def _refuse_live(descriptor: Descriptor) -> None:
    if descriptor.live is not None:
        name = f"{descriptor.dataset} {descriptor.version}"
        raise CallError(
            f"{name} has no list of files: a service is asked for a period",
            untouched="nothing was fetched",
            hint=f"sciml-data get {descriptor.dataset} --version {descriptor.version} "
            "--start 2020-01-01 --end 2021-01-01",
        )


def _pinned_files(descriptor: Descriptor, bases: Sequence[str]) -> dict[str, PlannedFile] | None:
    """Return the files of the registry's manifest by path, or None where it has none."""
    if descriptor.manifest is None:
        return None
    there = places(descriptor, bases)
    return {
        entry.path: PlannedFile(
            entry.path,
            entry.size_bytes,
            entry.hash,
            tuple(dict.fromkeys(url for one in there if (url := one.url(entry.path)))),
        )
        for entry in descriptor.manifest
    }


def _listed_files(found: AcceptedListing, folder: DatasetFolder) -> dict[str, PlannedFile]:
    """Return the listed files by path; of what was fetched before, the hash is known."""
    known = read_manifest(folder.manifest).by_path if folder.manifest.is_file() else {}
    return {
        file.path: PlannedFile(
            file.path,
            file.size_bytes,
            known[file.path].hash if file.path in known else None,
            found.urls(file.path),
            file.etag_hash,
        )
        for file in found.listing.files
    }


def _refuse_unless_here(
    descriptor: Descriptor,
    wanted: Sequence[PlannedFile],
    folder: DatasetFolder,
    found: AcceptedListing,
) -> None:
    """Raise ListingError if a file is missing and no mirror lists what was listed first."""
    missing = [
        file.path
        for file in wanted
        if not (place := folder.native / file.path).is_file()
        or place.stat().st_size != file.size_bytes
    ]
    if missing:
        raise ListingError(
            f"{len(missing)} of {len(wanted)} files of {descriptor.dataset} {descriptor.version} "
            f"are not here, and no mirror lists what was listed on {found.listing.listed}",
            problems=found.objections,
            untouched="nothing was fetched",
            hint="without a network, name a copy of the files: --mirror file:DIR",
        )


def _chosen(
    descriptor: Descriptor, paths: list[str], include: Sequence[str], split: str | None
) -> list[str]:
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
            near = difflib.get_close_matches(glob, paths, n=MOST_SUGGESTED, cutoff=0.3)
            where = f" of split {split!r}" if split is not None else ""
            raise CallError(
                f"{glob!r} fits none of the {len(paths)} files{where}"
                + (f"; the nearest: {', '.join(near)}" if near else ""),
                untouched="nothing was fetched",
                hint=f"sciml-data get {descriptor.dataset} --version {descriptor.version} "
                "--dry-run lists them all",
            )
    return match_paths(include, paths) if include else paths
