"""Who is who: the ids of the IGTD examples and the names of the CCLE.

No file says which cell CCL_61 is. The numbers rise with the full CCLE name in the order of ASCII
(22RV1_PROSTATE; an underscore comes after letters and digits, so HT29_LARGE_INTESTINE before
HT_HAEMATOPOIETIC...), and of the 504 cells with curves 30 have no image; the descriptor names them
(`cells_without_expression`), and the drugs (`drugs`). The card has the evidence; a test of
the real files repeats that what was not measured agrees in all 474 x 24 cases.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sciml_data.errors import NativeFormatError, Problem

CID = "CID:"


def ccle_names(ids: Sequence[str], names: Iterable[str], without: Iterable[str]) -> dict[str, str]:
    """Return the full CCLE name of each id.

    Args:
        ids: cells with images, in the order of their numbers.
        names: full CCLE names of all cells with curves.
        without: those that have no image.

    Raises:
        NativeFormatError: there are not as many of the one as of the other.
    """
    ordered = sorted(set(names) - set(without))
    if len(ordered) != len(ids):
        raise NativeFormatError(
            "cells with images and cells with curves cannot be told to be the same",
            problems=[Problem("count", "cells", f"{len(ids)} images, {len(ordered)} names")],
            untouched="nothing was converted",
            hint="fetch all images; a cell without one is named in native.cells_without_expression",
        )
    return dict(zip(ids, ordered, strict=True))


def short_name(ccle_name: str) -> str:
    """Return a CCLE name without its tissue: as Uno's ids have it after `CCLE.`."""
    return ccle_name.partition("_")[0]


def cell_texts(ids: Sequence[str], names: Sequence[str], usual: Mapping[str, str]) -> Any:
    """Return the columns of text of cells: their id, usual name and tissue."""
    return {
        "igtd_id": tuple(ids),
        "cell_name": tuple(usual.get(name, "") for name in names),
        "tissue": tuple(name.partition("_")[2].lower() for name in names),
    }


def drug_texts(drugs: Mapping[str, Mapping[str, str]], ids: Sequence[str]) -> Any:
    """Return the columns of text of drugs, by their IGTD ids."""
    return {
        "igtd_drug_id": tuple(ids),
        "compound": tuple(drugs[name]["compound"] for name in ids),
        "pubchem_cid": tuple(
            drugs[name]["canonical"].removeprefix(CID)
            if drugs[name]["canonical"].startswith(CID)
            else ""
            for name in ids
        ),
    }
