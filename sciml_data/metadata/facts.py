"""What is known of a version of a dataset, in one frozen form that every export is made of.

Nothing is guessed: each fact stands in the descriptor or follows from it. What is not known is
None or empty, and an export says so in the way of its vocabulary.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sciml_data.metadata.addresses import SPDX_LICENCES, beside_page, landing_page
from sciml_data.metadata.parts import (
    Access,
    Agent,
    Beside,
    Citation,
    FileGroup,
    Identifier,
    Licence,
    NativeFile,
    Related,
    identifier_in,
    media_type,
)
from sciml_data.registry.descriptor import DESCRIPTOR_NAME, Descriptor, Mirror, Variable
from sciml_data.registry.manifest import Entry


@dataclass(frozen=True)
class Facts:
    """All that is known of one version; dates are `YYYY-MM-DD` or `YYYY`.

    Attributes:
        identifier: address of the landing page; no DOI is registered.
        described: when this version was written into the registry.
        published: when upstream published the files, None where that is not stated.
        files: of the manifest; () where none is pinned.
        groups: what is expected of unpinned files; () where a manifest is there.
        total_bytes: of the manifest, None without one.
        service: base address of a live version's service.
    """

    dataset: str
    version: str
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
    beside: tuple[Beside, ...]
    total_bytes: int | None
    manifest_digest: str | None
    variables: Mapping[str, Variable]
    splits: Mapping[str, tuple[str, ...]]
    native_format: str | None
    service: str | None
    mirrors: tuple[Mirror, ...]

    @property
    def issued(self) -> str:
        """Return when the version came out: as upstream says, else the day it was described.

        What an export identifies is the version in this registry, which came out on that day.
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
    def descriptor_url(self) -> str:
        """Return where the descriptor is served."""
        return beside_page(self.dataset, self.version, DESCRIPTOR_NAME)

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
    def manifest(self) -> Beside | None:
        """Return the manifest as a file, or None where nobody has pinned the version."""
        return next((one for one in self.beside if one.name == "manifest"), None)

    @property
    def is_live(self) -> bool:
        """Return whether a service is asked, and answers differently each time."""
        return self.service is not None

    def _with_role(self, role: str) -> tuple[Agent, ...]:
        return tuple(agent for agent in self.agents if role in agent.roles)


def facts_of(descriptor: Descriptor) -> Facts:
    """Return what the registry knows of a version; nothing is asked of the network."""
    document, block = descriptor.document, descriptor.document["sciml"]
    citations = tuple(Citation(text, identifier_in(text)) for text in block["citation"])
    manifest = descriptor.manifest
    return Facts(
        dataset=descriptor.dataset,
        version=descriptor.version,
        identifier=landing_page(descriptor.dataset, descriptor.version),
        title=descriptor.title,
        description=descriptor.description,
        homepage=document.get("homepage"),
        keywords=tuple(document["keywords"]),
        described=document["created"][:10],
        published=block.get("published"),
        trust=descriptor.trust,
        agents=tuple(_agent(one) for one in document["contributors"]),
        licences=tuple(_licence(one) for one in document["licenses"]),
        citations=citations,
        related=_related(block, document["sources"], citations),
        access=_access(block),
        files=tuple(_native_file(descriptor, entry) for entry in manifest or ()),
        groups=_groups(descriptor) if manifest is None else (),
        beside=tuple(_beside(descriptor, one) for one in document["resources"]),
        total_bytes=None if manifest is None else manifest.total_bytes,
        manifest_digest=None if manifest is None else manifest.digest,
        variables=descriptor.variables,
        splits=descriptor.splits,
        native_format=descriptor.native.get("format"),
        service=None if descriptor.live is None else descriptor.live.base,
        mirrors=descriptor.mirrors,
    )


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
    if not name.startswith("LicenseRef-"):
        url = f"{SPDX_LICENCES}{name}"
    return Licence(name, block["title"], url)


def _related(
    block: Mapping[str, Any], sources: Sequence[Mapping[str, str]], citations: Sequence[Citation]
) -> tuple[Related, ...]:
    """Return what is cited and what the data are made of, by the relation that is stated.

    Without one, a source is what the version is derived from, and a citation what it refers to.
    """
    stated = {one["identifier"]: one["relation"] for one in block.get("related", ())}
    found = [
        Related(
            stated.get(one["path"], "IsDerivedFrom"),
            identifier_in(one["path"]) or Identifier("URL", one["path"]),
            one["title"],
            one.get("version"),
        )
        for one in sources
    ]
    found += [
        Related(stated.get(one.identifier.value, "References"), one.identifier, one.text)
        for one in citations
        if one.identifier is not None
    ]
    return tuple({one.identifier.value: one for one in reversed(found)}.values())[::-1]


def _native_file(descriptor: Descriptor, entry: Entry) -> NativeFile:
    urls = (mirror.url(entry.path) for mirror in descriptor.mirrors)
    return NativeFile(
        path=entry.path,
        size_bytes=entry.size_bytes,
        hash=entry.hash,
        media_type=media_type(entry.path, _stated_types(descriptor)),
        urls=tuple(dict.fromkeys(url for url in urls if url is not None)),
    )


def _groups(descriptor: Descriptor) -> tuple[FileGroup, ...]:
    """Return the groups that are expected, else those of the splits, which name all files."""
    expected: Mapping[str, Mapping[str, int]] = descriptor.expected.get("files", {})
    globs = dict.fromkeys(glob for split in descriptor.splits.values() for glob in split)
    return tuple(
        FileGroup(
            glob=glob,
            count=one.get("count"),
            bytes_each=one.get("bytes_each"),
            media_type=media_type(glob, _stated_types(descriptor)),
            folders=_folders(descriptor, glob),
        )
        for glob, one in (expected or {glob: {} for glob in globs}).items()
    )


def _folders(descriptor: Descriptor, glob: str) -> tuple[str, ...]:
    """Return where mirrors hold what a glob fits: the URL of its part before any wild card."""
    start = re.split(r"[*?\[]", glob)[0]
    urls = (mirror.url(start) for mirror in descriptor.mirrors)
    return tuple(dict.fromkeys(url for url in urls if url is not None))


def _stated_types(descriptor: Descriptor) -> Mapping[str, str]:
    types: Mapping[str, str] = descriptor.document["sciml"].get("media_types", {})
    return types


def _beside(descriptor: Descriptor, resource: Mapping[str, Any]) -> Beside:
    fields = resource.get("schema", {}).get("fields", ())
    return Beside(
        name=resource["name"],
        path=resource["path"],
        title=resource.get("title", resource["name"]),
        size_bytes=resource["bytes"],
        sha256=resource["hash"].removeprefix("sha256:"),
        media_type=resource["mediatype"],
        url=beside_page(descriptor.dataset, descriptor.version, resource["path"]),
        columns=tuple((field["name"], field["type"]) for field in fields),
    )
