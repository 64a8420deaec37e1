"""Public addresses, and the identifiers made from them: each constant is defined only here.

No DOI is registered for any dataset. A version is identified by the address of its landing page,
which begins with the `base_url` in the `registry.toml` of the registry that describes it. Without
a `base_url` there is no page, and the identifier is a UUID: no address is invented.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from sciml_data.errors import DescriptorError, JsonError, Problem, nearest
from sciml_data.home import read_toml

IDENTITY_NAME = "registry.toml"
REPOSITORY = "https://github.com/sciml-data/sciml-data"  # of this software
DOI_RESOLVER = "https://doi.org/"
SPDX_LICENCES = "https://spdx.org/licenses/"
MAIL = re.compile(r"[^@\s<>]+@[^@\s<>]+\.[^@\s<>]+")
# Namespace of identifiers without an address (RFC 9562, version 5: the name determines the UUID).
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, REPOSITORY)


@dataclass(frozen=True)
class Identity:
    """Who keeps a registry, and where it is published: the content of its `registry.toml`.

    Attributes:
        title: for people; the default is the name of the folder.
        description: one sentence, or empty.
        base_url: address below which the landing pages are served, without a slash at its end;
            empty if the registry is not published.
        publisher: person or organisation that publishes the descriptions, or empty.
        contact: mail address or URL, or empty.
        repository: URL of the source code of the registry, or empty.
    """

    title: str
    description: str = ""
    base_url: str = ""
    publisher: str = ""
    contact: str = ""
    repository: str = ""

    @property
    def page(self) -> str:
        """Return the address of the registry's first page; empty if it is not published."""
        return f"{self.base_url}/" if self.base_url else ""


def registry_identity(folder: Path) -> Identity:
    """Return the identity of a registry folder.

    Raises:
        DescriptorError: registry.toml is not valid; `.problems` has each place.
    """
    document, problems = _read(folder)
    problems = problems or list(_problems(document))
    if problems:
        raise DescriptorError(
            f"{IDENTITY_NAME} of the registry {folder} is not valid",
            problems=problems,
            untouched="nothing was written",
            hint="docs/how-to/registries.md explains its keys",
        )
    texts = {
        key: value.rstrip("/") if key == "base_url" else value for key, value in document.items()
    }
    return Identity(**{"title": folder.name, **texts})


def registry_name(folder: Path) -> str:
    """Return the title of a registry; the name of its folder if its registry.toml is not valid."""
    try:
        return registry_identity(folder).title
    except DescriptorError:
        return folder.name


def identity_problems(folder: Path) -> list[Problem]:
    """Return every problem of a registry's `registry.toml`; a registry may have none."""
    document, problems = _read(folder)
    return problems or list(_problems(document))


def _read(folder: Path) -> tuple[Mapping[str, Any], list[Problem]]:
    path = folder / IDENTITY_NAME
    if not path.is_file():
        return {}, []
    try:
        return read_toml(path), []
    except JsonError as error:
        return {}, [Problem("syntax", "", error.message)]


def _problems(document: Mapping[str, Any]) -> list[Problem]:
    known = [each.name for each in fields(Identity)]
    problems = []
    for key, value in document.items():
        if key not in known:
            problems.append(Problem("unknown", key, f"no such key{nearest(key, known)}"))
        elif not isinstance(value, str) or not value.strip() or "\n" in value:
            problems.append(Problem("value", key, "one line of text is expected"))
        elif key in ("base_url", "repository") and not _is_web_address(value):
            problems.append(Problem("value", key, f"{value!r} is not an address https://HOST/PATH"))
        elif key == "contact" and not (_is_web_address(value) or MAIL.fullmatch(value)):
            problems.append(Problem("value", key, f"{value!r} is not a mail address or a URL"))
    return problems


def _is_web_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    is_plain = not (parts.query or parts.fragment or "@" in parts.netloc or re.search(r"\s", text))
    return parts.scheme in ("https", "http") and bool(parts.hostname) and is_plain


def source_address(identity: Identity, path: str) -> str:
    """Return where the registry's repository shows a file; empty if no repository is stated.

    Args:
        identity: of the registry.
        path: of the file, relative to the registry.
    """
    return f"{identity.repository}/blob/main/{path}" if identity.repository else ""


def landing_page_address(identity: Identity, dataset: str, version: str) -> str | None:
    """Return the address of a version's landing page; None without a `base_url`."""
    if not identity.base_url:
        return None
    return f"{identity.base_url}/datasets/{quote(dataset)}/{quote(version)}/"


def benchmark_identifier(identity: Identity, benchmark: str) -> str:
    """Return the URI of a benchmark: its page in the registry's site, or a UUID without one."""
    if identity.base_url:
        return f"{identity.base_url}/benchmarks/{quote(benchmark)}/"
    name = f"benchmark\n{benchmark}\n{identity.title}"
    return f"urn:uuid:{uuid.uuid5(NAMESPACE, name)}"


def run_identifier(identity: Identity, run_id: str) -> str:
    """Return the URI of a run: its page in the registry's site, or its own id without one."""
    return f"{identity.base_url}/runs/{run_id}/" if identity.base_url else f"urn:uuid:{run_id}"


def version_identifier(identity: Identity, dataset: str, version: str, origin: str) -> str:
    """Return the URI that identifies a version: its landing page, or a UUID without one.

    Args:
        identity: of the registry that describes the version.
        dataset: id of the dataset.
        version: version of the dataset.
        origin: address of the data's first source, which distinguishes datasets with one id.
    """
    page = landing_page_address(identity, dataset, version)
    name = f"{dataset}\n{version}\n{origin}"
    return page or f"urn:uuid:{uuid.uuid5(NAMESPACE, name)}"


def file_address(page: str | None, name: str) -> str:
    """Return the address of a file beside the landing page; relative if there is no page.

    These files are the descriptor, the files that it names in `resources` (the manifest among
    them), and the exports.

    Args:
        page: address of the landing page; None if there is none.
        name: path of the file, relative to the page.
    """
    return (page or "") + quote(name)


def doi_address(doi: str) -> str:
    """Return the address of a DOI such as ``10.5066/F7MS3QZH``."""
    return DOI_RESOLVER + quote(doi, safe="/.();:-_")
