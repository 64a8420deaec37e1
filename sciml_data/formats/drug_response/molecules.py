"""Features of drugs from their SMILES, by RDKit: named descriptors and Morgan fingerprints.

Uno's own descriptors come from Dragon 7, commercial software whose values are not free to pass on;
these can be made by anybody. RDKit comes with the extra `uno` and is imported where it is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciml_data.errors import CallError
from sciml_data.formats.drug_response.rows import Features

RADIUS = 2  # bonds around an atom: ECFP4, as in Uno's successors
BITS = 2048  # as many as Uno's two fingerprints of 1,024 together


@dataclass(frozen=True)
class Molecules:
    """What is known of molecules.

    Attributes:
        ids: those whose SMILES could be read, in the order given.
        descriptors: (molecule, descriptor) float32; NaN where RDKit gives none, or more than 32
            bits hold.
        bits: (molecule, 2048) bool, Morgan fingerprints of radius 2, without chirality.
        unreadable: ids whose SMILES is no molecule.
        software: name and version.
    """

    ids: tuple[str, ...]
    descriptors: Features
    bits: NDArray[np.bool_]
    unreadable: tuple[str, ...]
    software: str


def require_rdkit() -> None:
    """Say which extra is missing.

    Raises:
        CallError: RDKit is not installed.
    """
    try:
        import rdkit  # noqa: F401
    except ImportError as error:
        raise CallError(
            "features of drugs are made of their SMILES by RDKit, which is not installed",
            untouched="nothing was converted",
            hint="pip install 'sciml-data[uno]'",
        ) from error


def molecules(smiles: Mapping[str, str]) -> Molecules:
    """Return the features of molecules, each of its largest fragment: salts count without the acid.

    Args:
        smiles: by id.

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
            found = describe(molecule, missingVal=np.nan, silent=True)
            values[row] = [found[name] for name in names]
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
    """Return the fragment of most heavy atoms as an RDKit molecule, None where there is none."""
    from rdkit import Chem

    molecule: Any = Chem.MolFromSmiles(smiles)
    if molecule is None or not molecule.GetNumAtoms():
        return None
    fragments = Chem.GetMolFrags(molecule, asMols=True)
    return max(fragments, key=lambda fragment: fragment.GetNumHeavyAtoms())
