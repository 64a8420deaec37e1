"""Public addresses, and the identifiers made of them: each constant stands here once.

No DOI is registered for any dataset. What identifies a version is the address of its landing page.
"""

from __future__ import annotations

from urllib.parse import quote

REPOSITORY = "https://github.com/sciml-data/sciml-data"
SITE = "https://sciml-data.github.io/sciml-data"
REGISTRY_PAGE = f"{SITE}/"
DOI_RESOLVER = "https://doi.org/"
SPDX_LICENCES = "https://spdx.org/licenses/"


def landing_page(dataset: str, version: str) -> str:
    """Return the address of a version's landing page, which is also its identifier."""
    return f"{SITE}/datasets/{quote(dataset)}/{quote(version)}/"


def beside_page(dataset: str, version: str, name: str) -> str:
    """Return the address of a file that lies beside the landing page.

    There lie the descriptor, the files it names in `resources` (the manifest among them), and the
    exports.
    """
    return landing_page(dataset, version) + quote(name)


def doi_address(doi: str) -> str:
    """Return the address of a DOI such as ``10.5066/F7MS3QZH``."""
    return DOI_RESOLVER + quote(doi, safe="/.();:-_")
