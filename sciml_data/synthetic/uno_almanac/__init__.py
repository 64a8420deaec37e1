"""A synthetic look-alike of the ALMANAC subset: the same R files, tables and columns.

Drugs bear the names that the descriptor knows, with made-up molecules; cell lines are some of
NCI-60's by name, with made-up expression. One measurement in seven is of two drugs, whose effects
multiply (Bliss) but for a synergy of the pair that no single dose shows. Some pairs are measured in
both orders.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sciml_data.errors import CallError
from sciml_data.formats.uno_almanac.drugs import LIST_HEADER, SMILES_HEADER
from sciml_data.synthetic.drug_response import World, features, made_up_smiles, sizes, world
from sciml_data.synthetic.uno_almanac.r_writing import S4, write_objects

DEFAULTS: Mapping[str, int] = {"cells": 5, "drugs": 10, "rows": 3000}
CELLS = ("HT29", "K-562", "MOLT-4", "PC-3", "SR", "A549", "EKVX", "HOP-62", "U251", "M14", "UO-31")
DOSES = (1e-8, 1e-7, 1e-6, 1e-5, 1e-4)  # mol/L
SCREENERS = ("FF", "FG", "1A")
PAIRED = 1 / 7  # share of measurements of two drugs: 1,368 of 9,288 in the real file
GENES = ("AARS", "ABCB6", "TP53", "MYC", "EGFR", "ZW10")  # of Uno's list; then some that are not
OTHER_GENES = 44
NOISE = 5.0  # percent of growth


def write_sample(root: Path, block: Mapping[str, Any], seed: int) -> None:
    """Write all native files that the block names; its `sample` has cells, drugs and rows.

    Raises:
        CallError: a size that cannot be, or rdata is not installed.
    """
    from sciml_data.formats.uno_almanac.r_objects import require_rdata

    require_rdata()
    chosen = sizes(block, DEFAULTS)
    drugs = dict(list(block["drugs"].items())[: chosen["drugs"]])
    if chosen["cells"] > len(CELLS) or chosen["drugs"] > len(drugs) or chosen["drugs"] < 2:
        raise CallError(
            f"a sample has 1 to {len(CELLS)} cells and 2 to {len(block['drugs'])} drugs",
            untouched="nothing was written",
        )
    random = np.random.default_rng([seed, 2])
    truth = world(random, chosen["cells"], len(drugs))
    measured = _measurements(random, truth, chosen["rows"])
    _write_responses(root / block["responses"], measured, drugs, CELLS[: chosen["cells"]])
    _write_expression(root / block["expression"], random, truth)
    smiles = made_up_smiles(random, len(drugs))
    _write_smiles(root, block, drugs, smiles)


def _measurements(random: np.random.Generator, truth: World, count: int) -> pd.DataFrame:
    """Return measurements: indices of cell and drugs (-1: no second), doses in mol/L, percent."""
    cells, drugs = truth.potency.shape
    cell, drug1 = random.integers(cells, size=count), random.integers(drugs, size=count)
    is_pair = random.random(count) < PAIRED
    other = (drug1 + random.integers(1, drugs, size=count)) % drugs
    dose1, dose2 = random.choice(DOSES, count), random.choice(DOSES, count)
    synergy = 0.5 * random.standard_normal((drugs, drugs))
    synergy = (synergy + synergy.T) / 2
    alone = truth.viability(cell, drug1, -np.log10(dose1))
    with_other = alone * truth.viability(cell, other, -np.log10(dose2))
    depth = (1 - alone) * (1 - truth.viability(cell, other, -np.log10(dose2)))
    with_other = np.clip(with_other - synergy[drug1, other] * depth, 0, 1)
    viability = np.where(is_pair, with_other, alone)
    growth = 100 * (2 * viability - 1) + NOISE * random.standard_normal(count)
    return pd.DataFrame(
        {
            "cell": cell,
            "drug1": drug1,
            "drug2": np.where(is_pair, other, -1),
            "CONC1": dose1,
            "CONC2": np.where(is_pair, dose2, np.nan),
            "PERCENTGROWTH": np.round(growth, 3),
            "screener": random.choice(len(SCREENERS), count),
            "study": random.integers(1, 20, size=count),
        }
    )


def _write_responses(
    path: Path,
    measured: pd.DataFrame,
    drugs: Mapping[str, Mapping[str, str]],
    cells: tuple[str, ...],
) -> None:
    """Write the LongTable: a treatment for each measurement, as replicates have their own."""
    count = len(measured)
    keys = np.arange(1, count + 1)
    names = np.array([*drugs, ""], dtype=object)
    numbers = np.array([*(float(one["nsc"]) for one in drugs.values()), np.nan])
    treatments = {
        "treatment1id": names[measured["drug1"]],
        "treatment2id": names[measured["drug2"]],
        "CONC1": measured["CONC1"],
        "CONC2": measured["CONC2"],
        "NSC2": numbers[measured["drug2"]],
        "rowKey": keys,
    }
    studies = [f"99{study:02d}SY{study:02d}" for study in measured["study"]]
    metadata = {
        "STUDY": np.array(studies, dtype=object),
        "SCREENER": np.array(SCREENERS, dtype=object)[measured["screener"]],
        ".assay_metadata": keys,
    }
    index = {"rowKey": keys, "colKey": measured["cell"] + 1} | dict.fromkeys(
        (".sensitivity", ".assay_metadata"), keys
    )
    samples = {"CELLNAME": np.array(cells, dtype=object), "colKey": np.arange(1, len(cells) + 1)}
    sensitivity = {"PERCENTGROWTH": measured["PERCENTGROWTH"], ".sensitivity": keys}
    table = S4(
        {
            "rowData": _frame(treatments),
            "colData": _frame(samples),
            "assays": {"sensitivity": _frame(sensitivity), "assay_metadata": _frame(metadata)},
            ".intern": {"assayIndex": _frame(index)},
            "class": "TreatmentResponseExperiment",
        }
    )
    write_objects(path, {"nci_TRE_small": table})


def _write_expression(path: Path, random: np.random.Generator, truth: World) -> None:
    """Write made-up expression of all cell lines, two probes for each gene."""
    genes = [*GENES, *(f"MADEUP{number + 1}" for number in range(OTHER_GENES))]
    factors = random.standard_normal((len(CELLS), truth.cells.shape[1]))
    factors[: len(truth.cells)] = truth.cells
    level = 7 + 2 * features(random, factors, len(genes))
    probes: NDArray[np.float64] = np.repeat(level, 2, axis=1)
    probes = np.round(probes + 0.2 * random.standard_normal(probes.shape), 2)
    lines = {
        "Name": np.array([f"XX:{name.replace('-', '_')}" for name in CELLS], dtype=object),
        "Tissue": np.array(["made up"] * len(CELLS), dtype=object),
    }
    symbols = {"Symbol": np.repeat(np.array(genes, dtype=object), 2)}
    objects = {"cellLineInfo": _frame(lines), "gene": probes, "geneInfo": _frame(symbols)}
    write_objects(path, objects)


def _write_smiles(
    root: Path, block: Mapping[str, Any], drugs: Mapping[str, Mapping[str, str]], smiles: list[str]
) -> None:
    """Write the numbered table, but for the last drug, and the list of names, which has all."""
    numbered = [",".join(SMILES_HEADER)]
    listed = [",".join(LIST_HEADER)]
    for at, (one, text) in enumerate(zip(drugs.values(), smiles, strict=True)):
        if at < len(drugs) - 1:
            numbered.append(f"{at},{one['nsc']},{text}")
        listed.append(f"{one['name']},CIDs{at + 1:08d},{one['name'].lower()},0,{text}")
    for part, lines in (("smiles", numbered), ("drug_list", listed)):
        path = root / block[part]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _frame(columns: Mapping[str, Any]) -> pd.DataFrame:
    """Return a frame whose rows are numbered from 1, as R has them; whole numbers in 32 bits."""
    plain = {name: np.asarray(values) for name, values in columns.items()}
    plain = {
        name: values.astype(np.int32) if values.dtype.kind == "i" else values
        for name, values in plain.items()
    }
    return pd.DataFrame(plain, index=pd.RangeIndex(1, len(next(iter(plain.values()))) + 1))
