"""Synthetic sample of the ALMANAC subset: the published R files, tables and columns.

Drugs have names from the descriptor and made-up molecules. Cell lines have names from NCI-60 and
made-up expression. One measurement in seven is of two drugs. Their effects multiply (Bliss
independence), modified by a synergy of the pair that no single dose shows. Some pairs are measured
in both orders.

Settings in `block["sample"]`: cells, drugs, rows (measurements).

The module also writes R data files: `rdata` writes most objects, but not S4 objects. An S4 object
is written as its slots in a linked list of attributes, as R does.
"""

from __future__ import annotations

import bz2
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sciml_data.errors import CallError
from sciml_data.formats.drug_response import LIST_HEADER, require_rdata
from sciml_data.formats.uno_almanac import SMILES_HEADER
from sciml_data.synthetic.hill import (
    ViabilityCurves,
    factor_features,
    made_up_smiles,
    make_viability_curves,
    measurement_noise,
    sample_sizes,
)

DEFAULTS: Mapping[str, int] = {"cells": 5, "drugs": 10, "rows": 3000}
CELLS = ("HT29", "K-562", "MOLT-4", "PC-3", "SR", "A549", "EKVX", "HOP-62", "U251", "M14", "UO-31")
DOSES = (1e-8, 1e-7, 1e-6, 1e-5, 1e-4)  # mol/L
SCREENERS = ("FF", "FG", "1A")
PAIRED = 1 / 7  # share of measurements of two drugs: 1,368 of 9,288 in the real file
GENES = ("AARS", "ABCB6", "TP53", "MYC", "EGFR", "ZW10")  # from Uno's list
OTHER_GENES = 44  # made-up genes
S4_BIT = 1 << 4  # of the `gp` field of an R object (R Internals, section 1.1.2)


@dataclass(frozen=True)
class S4:
    """An object of R's S4 system: its slots by name."""

    slots: Mapping[str, Any]


def write_sample(root: Path, block: Mapping[str, Any], seed: int) -> None:
    """Write all native files that the block names.

    Args:
        root: folder of the native files.
        block: `sciml.native`; its `sample` has `cells`, `drugs` and `rows`.
        seed: the same seed, the same bytes.

    Raises:
        CallError: a size is not valid, or rdata is not installed.
    """
    require_rdata()
    sizes = sample_sizes(block, DEFAULTS)
    drugs = dict(list(block["drugs"].items())[: sizes["drugs"]])
    if sizes["cells"] > len(CELLS) or sizes["drugs"] > len(drugs) or sizes["drugs"] < 2:
        raise CallError(
            f"no sample can be made with {sizes['cells']} cells and {sizes['drugs']} drugs",
            untouched="nothing was written",
            hint=f"1 to {len(CELLS)} cells and 2 to {len(block['drugs'])} drugs are possible",
        )
    random = np.random.default_rng([seed, 2])
    curves = make_viability_curves(random, sizes["cells"], len(drugs))
    measured = _measurements(random, curves, sizes["rows"])
    _write_responses(root / block["responses"], measured, drugs, CELLS[: sizes["cells"]])
    _write_expression(root / block["expression"], random, curves)
    smiles = made_up_smiles(random, len(drugs))
    _write_smiles(root, block, drugs, smiles)


def _measurements(random: np.random.Generator, curves: ViabilityCurves, count: int) -> pd.DataFrame:
    """Return measurements: indices of cell and drugs, doses in mol/L, growth in percent.

    The second drug is -1 where only one drug was given.
    """
    cells, drugs = curves.potency.shape
    cell, drug1 = random.integers(cells, size=count), random.integers(drugs, size=count)
    is_pair = random.random(count) < PAIRED
    other = (drug1 + random.integers(1, drugs, size=count)) % drugs
    dose1, dose2 = random.choice(DOSES, count), random.choice(DOSES, count)
    synergy = 0.5 * random.standard_normal((drugs, drugs))
    synergy = (synergy + synergy.T) / 2
    alone = curves.viability(cell, drug1, -np.log10(dose1))
    with_other = alone * curves.viability(cell, other, -np.log10(dose2))
    depth = (1 - alone) * (1 - curves.viability(cell, other, -np.log10(dose2)))
    with_other = np.clip(with_other - synergy[drug1, other] * depth, 0, 1)
    viability = np.where(is_pair, with_other, alone)
    _, noise = measurement_noise(random, viability[:, None])
    growth = 100 * (2 * (viability + noise[:, 0]) - 1)
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
    """Write the LongTable with a treatment for each measurement: replicates are not merged."""
    count = len(measured)
    keys = np.arange(1, count + 1)  # R counts from 1
    names = np.array([*drugs, ""], dtype=object)
    numbers = np.array([*(float(drug["nsc"]) for drug in drugs.values()), np.nan])
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
            "rowData": data_frame(treatments),
            "colData": data_frame(samples),
            "assays": {
                "sensitivity": data_frame(sensitivity),
                "assay_metadata": data_frame(metadata),
            },
            ".intern": {"assayIndex": data_frame(index)},
            "class": "TreatmentResponseExperiment",
        }
    )
    write_objects(path, {"nci_TRE_small": table})


def _write_expression(path: Path, random: np.random.Generator, curves: ViabilityCurves) -> None:
    """Write made-up expression of all of `CELLS`, two probes for each gene."""
    genes = [*GENES, *(f"MADEUP{number + 1}" for number in range(OTHER_GENES))]
    factors = random.standard_normal((len(CELLS), curves.shown_cells.shape[1]))
    factors[: len(curves.cells)] = curves.shown_cells
    level = 7 + 2 * factor_features(random, factors, len(genes))
    probes: NDArray[np.float64] = np.repeat(level, 2, axis=1)
    probes = np.round(probes + 0.2 * random.standard_normal(probes.shape), 2)
    lines = {
        "Name": np.array([f"XX:{name.replace('-', '_')}" for name in CELLS], dtype=object),
        "Tissue": np.array(["made up"] * len(CELLS), dtype=object),
    }
    symbols = {"Symbol": np.repeat(np.array(genes, dtype=object), 2)}
    objects = {"cellLineInfo": data_frame(lines), "gene": probes}
    objects["geneInfo"] = data_frame(symbols)
    write_objects(path, objects)


def _write_smiles(
    root: Path, block: Mapping[str, Any], drugs: Mapping[str, Mapping[str, str]], smiles: list[str]
) -> None:
    """Write the numbered table of SMILES, without the last drug, and the list of all drugs."""
    numbered = [",".join(SMILES_HEADER)]
    listed = [",".join(LIST_HEADER)]
    for at, (drug, text) in enumerate(zip(drugs.values(), smiles, strict=True)):
        if at < len(drugs) - 1:
            numbered.append(f"{at},{drug['nsc']},{text}")
        listed.append(f"{drug['name']},CIDs{at + 1:08d},{drug['name'].lower()},0,{text}")
    for part, lines in (("smiles", numbered), ("drug_list", listed)):
        path = root / block[part]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def data_frame(columns: Mapping[str, Any]) -> pd.DataFrame:
    """Return a frame as R expects it: rows are numbered from 1, integers have 32 bits."""
    plain = {name: np.asarray(values) for name, values in columns.items()}
    plain = {
        name: values.astype(np.int32) if values.dtype.kind == "i" else values
        for name, values in plain.items()
    }
    frame = pd.DataFrame(plain, index=pd.RangeIndex(1, len(next(iter(plain.values()))) + 1))
    # Where PyArrow is installed, pandas keeps text in its arrays, which rdata cannot write.
    text = pd.StringDtype("python")
    return frame.astype({name: text for name in plain if plain[name].dtype.kind in "UO"})


def write_objects(path: Path, objects: Mapping[str, Any]) -> None:
    """Write named objects into a file for R's `load`; the same objects give the same bytes.

    Args:
        path: .rda or .RData file.
        objects: pandas frames, NumPy arrays, mappings (named lists) or S4 objects, by name.
    """
    from rdata.conversion.to_r import (
        DEFAULT_CLASS_MAP,
        ConverterFromPythonToR,
        build_r_object,
    )
    from rdata.parser import RObjectType
    from rdata.unparser._unparser import pack_r_object_info
    from rdata.unparser._xdr import UnparserXDR

    def s4_object(value: S4, converter: Any) -> Any:
        slots = converter.convert_to_r_attributes(dict(value.slots))
        return build_r_object(RObjectType.S4, is_object=True, attributes=slots, gp=S4_BIT)

    def unparse(item: Any) -> None:
        if item.info.type is not RObjectType.S4:
            plain(item)
            return
        unparser.unparse_int(pack_r_object_info(item.info))
        unparse(item.attributes)

    known = MappingProxyType({**DEFAULT_CLASS_MAP, S4: s4_object})
    converter = ConverterFromPythonToR(constructor_dict=known)
    content = io.BytesIO()
    content.write(b"RDX3\n")
    unparser: Any = UnparserXDR(content)
    plain = unparser.unparse_r_object
    unparser.unparse_r_object = unparse  # it recurses through this attribute
    unparser.unparse_r_data(converter.convert_to_r_data(dict(objects), file_type="rda"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bz2.compress(content.getvalue()))
