"""Features of drugs from their SMILES, by RDKit: named descriptors and Morgan fingerprints.

Uno's own descriptors come from Dragon 7, commercial software whose values must not be passed on;
these can be computed by everybody. RDKit comes with the extra `uno` and is imported on first use.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciml_data.errors import CallError
from sciml_data.formats.drug_response.responses import Features

RADIUS = 2  # bonds around an atom: ECFP4, as in Uno's successors
BITS = 2048  # as many as Uno's two fingerprints of 1,024 together


@dataclass(frozen=True)
class Molecules:
    """Features of molecules.

    Attributes:
        ids: those with a readable SMILES, in the given order.
        descriptors: (molecule, descriptor) float32; NaN where RDKit gives no value, or one that is
            too large for 32 bits.
        bits: (molecule, 2048) bool, Morgan fingerprints of radius 2, without chirality.
        unreadable: ids with a SMILES that is not a molecule.
        software: name and version.
    """

    ids: tuple[str, ...]
    descriptors: Features
    bits: NDArray[np.bool_]
    unreadable: tuple[str, ...]
    software: str


def require_rdkit() -> None:
    """Raise an error if RDKit is not installed.

    Raises:
        CallError: the hint names the extra to install.
    """
    try:
        import rdkit  # noqa: F401
    except ImportError as error:
        raise CallError(
            "RDKit, which computes features of drugs from their SMILES, is not installed",
            untouched="nothing was converted",
            hint="pip install 'sciml-data[uno]'",
        ) from error


def molecular_features(smiles: Mapping[str, str]) -> Molecules:
    """Return the features of molecules, each of its largest fragment: a salt without its acid.

    Args:
        smiles: text by id.

    Raises:
        CallError: RDKit is not installed.
    """
    require_rdkit()
    import rdkit
    from rdkit import rdBase
    from rdkit.Chem import Descriptors, rdFingerprintGenerator

    describe: Any = Descriptors.CalcMolDescriptors  # not annotated
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=RADIUS, fpSize=BITS)
    names = tuple(name for name, _ in Descriptors.descList)
    read: dict[str, Any] = {}
    with rdBase.BlockLogs():
        for name, text in smiles.items():
            read[name] = largest_fragment(text)
        known = {name: molecule for name, molecule in read.items() if molecule is not None}
        values = np.full((len(known), len(names)), np.nan)
        bits = np.zeros((len(known), BITS), np.bool_)
        for row, molecule in enumerate(known.values()):
            computed = describe(molecule, missingVal=np.nan, silent=True)
            values[row] = [computed[name] for name in names]
            bits[row] = generator.GetFingerprintAsNumPy(molecule)
    values[~(np.abs(values) <= np.finfo(np.float32).max)] = np.nan
    return Molecules(
        ids=tuple(known),
        descriptors=Features(values.astype(np.float32), names),
        bits=bits,
        unreadable=tuple(name for name, molecule in read.items() if molecule is None),
        software=f"rdkit {rdkit.__version__}",
    )


def largest_fragment(smiles: str) -> Any:
    """Return the fragment with most heavy atoms as an RDKit molecule, None for no molecule."""
    from rdkit import Chem

    molecule: Any = Chem.MolFromSmiles(smiles)
    if molecule is None or not molecule.GetNumAtoms():
        return None
    fragments = Chem.GetMolFrags(molecule, asMols=True)
    return max(fragments, key=lambda fragment: fragment.GetNumHeavyAtoms())
