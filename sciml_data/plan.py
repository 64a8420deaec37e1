"""Which files are wanted, how large they are, and where each is asked for, in order.

A plan touches nothing: `sciml-data get --dry-run` prints it.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from os.path import commonprefix
from urllib.parse import quote, urlsplit

from sciml_data.descriptor import Descriptor, Mirror, match_paths
from sciml_data.errors import CallError, FetchError, nearest
from sciml_data.home import Home
from sciml_data.manifest import Entry, Manifest
from sciml_data.sources.mirrors import user_mirrors
from sciml_data.stages import Plan, PlannedFile

MOST_SUGGESTED = 3


def make_plan(
    descriptor: Descriptor,
    home: Home,
    *,
    mirrors: Sequence[str] = (),
    include: Sequence[str] = (),
    split: str | None = None,
) -> Plan:
    """Return the plan for a version, or for the part of it that is asked for.

    Args:
        descriptor: of a pinned version.
        home: where the files will lie.
        mirrors: asked before those of the environment, the configuration and the registry.
        include: globs; only files that one of them fits.
        split: only the files of this split; with `include`, those of both.

    Raises:
        CallError: an unknown split, a glob that fits no file, a mirror that cannot be.
        FetchError: nobody has pinned the version's files.
    """
    manifest = _pinned(descriptor)
    paths = _chosen(descriptor, manifest, include, split)
    bases = user_mirrors(mirrors)
    files = tuple(
        PlannedFile(entry.path, entry.size_bytes, entry.hash, _urls(entry, descriptor, bases))
        for entry in manifest.select(paths)
    )
    folder = home.dataset(descriptor.dataset, descriptor.version)
    return Plan(descriptor, files, folder, is_whole=len(files) == len(manifest))


def _pinned(descriptor: Descriptor) -> Manifest:
    name = f"{descriptor.dataset} {descriptor.version}"
    if descriptor.live is not None:
        raise CallError(
            f"{name} has no list of files: a service is asked for a period",
            untouched="nothing was fetched",
            hint=f"sciml-data get {descriptor.dataset} --version {descriptor.version} "
            "--start 2020-01-01 --end 2021-01-01",
        )
    if descriptor.manifest is None:
        raise FetchError(
            f"{name} is {descriptor.trust}: the registry has no manifest with the hash of each "
            "file, and what cannot be verified is not fetched",
            untouched="nothing was fetched",
            hint=f"sciml-data get {descriptor.dataset} --sample makes a synthetic one",
        )
    return descriptor.manifest


def _chosen(
    descriptor: Descriptor, manifest: Manifest, include: Sequence[str], split: str | None
) -> list[str]:
    paths = [entry.path for entry in manifest]
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


def _urls(entry: Entry, descriptor: Descriptor, bases: Sequence[str]) -> tuple[str, ...]:
    """Return every URL to ask, in order and each once.

    A mirror of the user holds the trees of several hosts, BASE/HOST/PATH as in the public URL,
    or the dataset itself, BASE/PATH as in the manifest.
    """
    origins = [
        url for mirror in descriptor.mirrors if (url := _origin(mirror, entry.path)) is not None
    ]
    tails = [f"{urlsplit(url).netloc}{urlsplit(url).path}" for url in origins]
    tails.append(quote(entry.path))
    urls = [f"{base}/{tail}" for base in bases for tail in tails]
    return tuple(dict.fromkeys([*urls, *origins]))


def _origin(mirror: Mirror, path: str) -> str | None:
    """Return the public URL of a file; what comes from the manifest's path is percent-encoded."""
    url = mirror.url(path)
    if url is None:
        return None
    tail = commonprefix([url[::-1], path[::-1]])[::-1]
    return url.removesuffix(tail) + quote(tail)
