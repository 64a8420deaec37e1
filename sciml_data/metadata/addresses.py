"""Public addresses, and the identifiers made from them: each constant is defined only here.

No DOI is registered for any dataset. A version is identified by the address of its landing page.
"""

from __future__ import annotations

from urllib.parse import quote

REPOSITORY = "https://github.com/sciml-data/sciml-data"
SITE = "https://sciml-data.github.io/sciml-data"
REGISTRY_PAGE = f"{SITE}/"
DOI_RESOLVER = "https://doi.org/"
SPDX_LICENCES = "https://spdx.org/licenses/"


def landing_page_address(dataset: str, version: str) -> str:
    """Return the address of a version's landing page, which is also the version's identifier."""
    return f"{SITE}/datasets/{quote(dataset)}/{quote(version)}/"


def file_address(dataset: str, version: str, name: str) -> str:
    """Return the address of a file beside the landing page.

    These files are the descriptor, the files that it names in `resources` (the manifest among
    them), and the exports.

    Args:
        dataset: id of the dataset.
        version: version of the dataset.
        name: path of the file, relative to the page.
    """
    return landing_page_address(dataset, version) + quote(name)


def doi_address(doi: str) -> str:
    """Return the address of a DOI such as ``10.5066/F7MS3QZH``."""
    return DOI_RESOLVER + quote(doi, safe="/.();:-_")
