"""Collect the links of descriptors: files on mirrors, listings, services, and pages about the data.

A mirror of many files is represented by a sample of them, which a seed determines.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urldefrag

from sciml_data.metadata.addresses import doi_address
from sciml_data.metadata.facts import DOI_PATTERN
from sciml_data.registry.descriptor import Descriptor, Mirror
from sciml_data.registry.manifest import Entry
from sciml_data.transfer.listing.listing import expected_names

FILE, LISTING, SERVICE, PAGE = "file", "listing", "service", "page"
# Parts of a descriptor whose addresses are not pages: mirrors and services are asked as such, and
# the address of the profile is its name.
NOT_PAGES = ("mirrors", "live", "$schema")
PAGE_PATTERN = re.compile(r"https?://\S+")
DOI_TEXT = re.compile(r"10\.[0-9]{4,9}/\S+")


@dataclass(frozen=True)
class Link:
    """An address that a descriptor names.

    Attributes:
        kind: `file` of a mirror, `listing` of a bucket, `service`, or `page` about the data.
        url: the address.
        owners: the versions that name it, such as `waves 1.0`.
        mirror: name of the mirror; empty for pages.
        path: of the file in the dataset; for a listing, the prefix.
        size_bytes: of the file as the manifest says; None if it is not known.
        hash: of the file as the manifest says; empty if it is not known.
        has_s3_tags: whether entity tags may contain the md5 of the bytes, as S3 makes them.
        sample: number of files of the mirror of which these are asked; 0 if all are.
    """

    kind: str
    url: str
    owners: tuple[str, ...]
    mirror: str = ""
    path: str = ""
    size_bytes: int | None = None
    hash: str = ""
    has_s3_tags: bool = False
    sample: int = 0


def links_of(
    descriptors: Iterable[Descriptor], *, seed: int = 0, per_mirror: int = 50
) -> tuple[Link, ...]:
    """Return the links of versions, each address once.

    The files of an unpinned version are not known here: there is a link to each listing.

    Args:
        descriptors: of the versions.
        seed: chooses the files of a mirror that has more than `per_mirror`.
        per_mirror: most files to ask of one mirror of a version.
    """
    links: dict[tuple[str, str, int | None], Link] = {}
    for descriptor in descriptors:
        for link in (*_data_links(descriptor, seed, per_mirror), *_page_links(descriptor)):
            key = link.kind, link.url, link.size_bytes
            owners = (*links[key].owners, *link.owners) if key in links else link.owners
            links[key] = replace(links.get(key, link), owners=tuple(dict.fromkeys(owners)))
    return tuple(links.values())


def sampled(paths: Sequence[str], mirror: Mirror, seed: int, count: int) -> list[str]:
    """Return at most `count` paths, the same for the same seed; each prefix has one if possible."""
    if len(paths) <= count:
        return list(paths)
    chance = random.Random(f"{seed} {mirror.name}")  # noqa: S311 (no secret)
    shuffled = chance.sample(paths, len(paths))
    firsts = {mirror.prefix_of(path): path for path in reversed(shuffled)}.values()
    return sorted(list(dict.fromkeys([*firsts, *shuffled]))[:count])


def _data_links(descriptor: Descriptor, seed: int, per_mirror: int) -> Iterator[Link]:
    owners = (f"{descriptor.dataset} {descriptor.version}",)
    if descriptor.live is not None:
        # FDSN Web Services, section "Service version": every service answers this method.
        yield Link(SERVICE, f"{descriptor.live.base}version", owners, descriptor.live.protocol)
    for mirror in descriptor.mirrors:
        names = _known_files(descriptor)
        if not names:
            for prefix, url in sorted(mirror.prefixes.items()):
                is_bucket = mirror.s3 is not None
                yield Link(LISTING, url, owners, mirror.name, prefix, has_s3_tags=is_bucket)
        served = [path for path in names if mirror.prefix_of(path) is not None]
        chosen = sampled(served, mirror, seed, per_mirror)
        for path in chosen:
            entry = names[path]
            yield Link(
                FILE,
                mirror.url(path) or "",
                owners,
                mirror.name,
                path,
                entry.size_bytes if entry else _expected_size(descriptor, path),
                entry.hash if entry else "",
                mirror.s3 is not None,
                len(served) if len(chosen) < len(served) else 0,
            )


def _known_files(descriptor: Descriptor) -> Mapping[str, Entry | None]:
    if descriptor.manifest is not None:
        return descriptor.manifest.by_path
    return dict.fromkeys(expected_names(descriptor.expected))


def _expected_size(descriptor: Descriptor, path: str) -> int | None:
    size_bytes: int | None = descriptor.expected["files"][path].get("bytes_each")
    return size_bytes


def _page_links(descriptor: Descriptor) -> Iterator[Link]:
    owners = (f"{descriptor.dataset} {descriptor.version}",)
    for text in _texts(descriptor.document):
        if PAGE_PATTERN.fullmatch(text):
            yield Link(PAGE, urldefrag(text).url, owners)
        elif DOI_TEXT.fullmatch(text):
            yield Link(PAGE, doi_address(text), owners)
        else:
            for doi in DOI_PATTERN.findall(text):
                yield Link(PAGE, doi_address(doi), owners)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if key not in NOT_PAGES:
                yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
