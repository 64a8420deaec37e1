from .delimited import read_rows
from .molecules import Molecules, molecular_features, require_rdkit
from .responses import (
    NO_DRUG,
    REASONS,
    Counts,
    Entities,
    Features,
    Joined,
    Rows,
    cells_dataset,
    drugs_dataset,
    join,
    merged,
    responses_dataset,
    swapped,
    text_of,
)

__all__ = [
    "NO_DRUG",
    "REASONS",
    "Counts",
    "Entities",
    "Features",
    "Joined",
    "Molecules",
    "Rows",
    "cells_dataset",
    "drugs_dataset",
    "join",
    "merged",
    "molecular_features",
    "read_rows",
    "require_rdkit",
    "responses_dataset",
    "swapped",
    "text_of",
]
