"""Synthetic sample of the GDSC files: plates, IC50, tables of names, and the files of the CCLE.

The files of the CCLE are those of the generator `uno_ccle`. The lines and drugs of GDSC are made
up, too: the first lines are the CCLE's under other spellings, the others have no expression. GDSC
has one plate for each line, with all drugs at seven doses, and no replicate. Two of its drugs are
the CCLE's. Responses of the two studies to the same drug agree in part only, as in reality.

Settings in `block["sample"]`: cells (of the CCLE; GDSC has three quarters of them), drugs (of each
study).
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sciml_data.errors import CallError
from sciml_data.formats.drug_response import LIST_HEADER, require_rdata
from sciml_data.formats.uno_gdsc import (
    ANNOTATION_HEADER,
    BLANK,
    DRUGS_HEADER,
    LINES_HEADER,
    NEGATIVE,
)
from sciml_data.synthetic import uno_ccle
from sciml_data.synthetic.hill import (
    ViabilityCurves,
    made_up_smiles,
    make_viability_curves,
    sample_sizes,
    shared_potency,
)
from sciml_data.synthetic.uno_almanac import data_frame, write_objects

DEFAULTS: Mapping[str, int] = {"cells": 48, "drugs": 7}
# GDSC's numbers of the drugs in the real plates, and PubChem CIDs.
DRUGS: Mapping[int, str] = {
    1003: "24360",
    1032: "10184653",
    1036: "24180719",
    1060: "9826528",
    1268: "2726824",
    1510: "11640390",
    1862: "462382",
}
SHARED = {1036: "PLX4720", 1060: "PD-0325901"}  # names of the CCLE
COSMIC = 900001  # made-up numbers begin here
DOSES = 10.0 ** np.linspace(-2.5, 0.5, 7)  # umol/L, times a power of ten for each drug
BLANKS, NEGATIVES = 4, 8  # wells of a plate; the real ones have 28 and 110 on average
BLANK_LEVEL, CONTROL_LEVEL = 600.0, 30000.0  # intensities, as in the real plates
NOISE = 0.12  # of a control, relative standard deviation: the real median
BETWEEN_STUDIES = 0.4  # of -log10(EC50), standard deviation
WITHOUT_IC50 = 0.2  # share of pairs


def write_sample(root: Path, block: Mapping[str, Any], seed: int) -> None:
    """Write all native files that the block names.

    Args:
        root: folder of the native files.
        block: `sciml.native`; its `sample` has `cells` and `drugs`.
        seed: the same seed, the same bytes.

    Raises:
        CallError: a size is not valid, or rdata is not installed.
    """
    require_rdata()
    sizes = sample_sizes(block, DEFAULTS)
    if sizes["drugs"] > len(DRUGS):
        raise CallError(
            f"no sample can be made with {sizes['drugs']} drugs: the plates have {len(DRUGS)}",
            untouched="nothing was written",
            hint=f"--sample-set drugs={len(DRUGS)}, or fewer",
        )
    _write_ccle(root, block, sizes, seed)
    random = np.random.default_rng([seed, 3])
    in_ccle = max(1, sizes["cells"] * 3 // 4)
    names = [f"Syn-{at + 1:04d}" for at in range(in_ccle)]
    names += [f"Other-{at + 1}" for at in range(max(1, in_ccle // 4))]
    drugs = tuple(DRUGS)[-sizes["drugs"] :]
    curves = _curves(random, sizes, len(names), drugs, seed)
    viability = curves.viability(
        np.arange(len(names))[:, None, None],
        np.arange(len(drugs))[:, None],
        6 - np.log10(DOSES)[None, :],
    )
    _write_plates(root / block["plates"], random, names, drugs, viability)
    ln_ic50 = (6 - curves.potency) * np.log(10)
    _write_ic50(root / block["ic50"], random, drugs, ln_ic50)
    _write_lines(root, block, names)
    _write_drugs(root, block, random, drugs)


def _write_ccle(root: Path, block: Mapping[str, Any], sizes: Mapping[str, int], seed: int) -> None:
    """Write the files of the CCLE, with the two shared drugs first, and no descriptor images."""
    by_compound = {drug["compound"]: name for name, drug in block["ccle_drugs"].items()}
    first = [by_compound[name] for name in SHARED.values()]
    order = [*first, *(name for name in block["ccle_drugs"] if name not in first)]
    uno_ccle.write_sample(
        root,
        {
            **block,
            "drugs": {name: block["ccle_drugs"][name] for name in order},
            "smiles": block["ccle_smiles"],
            "descriptor_images": None,
            "sample": dict(sizes),
        },
        seed,
    )


def _curves(
    random: np.random.Generator,
    sizes: Mapping[str, int],
    lines: int,
    drugs: Sequence[int],
    seed: int,
) -> ViabilityCurves:
    """Return curves of the lines: the first have the factors that they have in the CCLE.

    A drug of both studies has the same depth and slope, and a potency that differs by noise.
    """
    count = sizes["cells"] + uno_ccle.WITHOUT_IMAGE
    ccle = make_viability_curves(np.random.default_rng([seed, 1]), count, sizes["drugs"])
    own = make_viability_curves(random, lines, len(drugs))
    both = min(lines, sizes["cells"] * 3 // 4)
    cells = np.concatenate([ccle.cells[:both], own.cells[both:]])
    potency = own.potency + shared_potency(cells, own.drugs)
    potency -= shared_potency(own.cells, own.drugs)
    for at, drug in enumerate(SHARED):
        if drug in drugs and at < sizes["drugs"]:
            column = list(drugs).index(drug)
            noise = BETWEEN_STUDIES * random.standard_normal(both)
            potency[:both, column] = ccle.potency[:both, at] + noise
            own.depth[column], own.slope[column] = ccle.depth[at], ccle.slope[at]
    return replace(own, cells=cells, potency=potency)


def _write_plates(
    path: Path,
    random: np.random.Generator,
    names: Sequence[str],
    drugs: Sequence[int],
    viability: Any,
) -> None:
    """Write a plate for each line: blanks, controls, and each drug at each dose, D1 the highest."""
    tags = [BLANK] * BLANKS + [NEGATIVE] * NEGATIVES
    tags += [
        f"L{drug}-D{dose}-S" for drug in range(len(drugs)) for dose in range(len(DOSES), 0, -1)
    ]
    controls = BLANKS + NEGATIVES
    number = [np.nan] * controls + [float(drug) for drug in drugs for _ in DOSES]
    concentration = [np.nan] * controls + [float(dose) for _ in drugs for dose in DOSES]
    alive = np.array([0.0] * BLANKS + [1.0] * NEGATIVES)
    level = np.concatenate(
        [np.tile(alive, (len(names), 1)), viability.reshape(len(names), -1)], axis=1
    )
    noise = 1 + NOISE * random.standard_normal(level.shape)
    intensity = np.round(BLANK_LEVEL + CONTROL_LEVEL * level * noise)
    wells = len(tags)
    text = np.array(tags * len(names), dtype=object)
    frame = {
        "RESEARCH_PROJECT": np.array(["GDSC_SA"] * len(text), dtype=object),
        "BARCODE": np.repeat([str(3000 + at) for at in range(len(names))], wells).astype(object),
        "COSMIC_ID": np.repeat(np.arange(len(names)) + float(COSMIC), wells),
        "CELL_LINE_NAME": np.repeat(np.array(names, dtype=object), wells),
        "TAG": text,
        "DRUG_ID": np.tile(number, len(names)),
        "CONC": np.tile(concentration, len(names)),
        "INTENSITY": intensity.ravel(),
    }
    write_objects(path, {"gdsc_example": data_frame(frame)})


def _write_ic50(path: Path, random: np.random.Generator, drugs: Sequence[int], values: Any) -> None:
    table = pd.DataFrame(
        np.where(random.random(values.shape) < WITHOUT_IC50, np.nan, np.round(values, 6)),
        index=pd.RangeIndex(COSMIC, COSMIC + len(values), name="COSMIC_ID"),
        columns=[f"Drug_{drug}_IC50" for drug in drugs],
    )
    _write(path, table.to_csv(lineterminator="\n"))


def _write_lines(root: Path, block: Mapping[str, Any], names: Sequence[str]) -> None:
    """Write numbers of the lines, and the CCLE's annotation of those that it has."""
    header = [*LINES_HEADER, "SEQUENCING", "CNA", "GENE_EXPRESSION", "METHYLATION", "SCREENING"]
    rows = [",".join([*header, "TISSUE"])]
    rows += [f"{name},{COSMIC + at},1,1,1,1,1,made up" for at, name in enumerate(names)]
    _write(root / block["lines"], "\n".join(rows) + "\n")
    known = [(at, name) for at, name in enumerate(names) if name.startswith("Syn")]
    rows = ["\t".join(ANNOTATION_HEADER)]
    rows += [
        f"SYN{at + 1:04d}_{uno_ccle.TISSUES[at % len(uno_ccle.TISSUES)]}\tACH-{at + 1:06d}\t{name}"
        for at, name in known
    ]
    _write(root / block["annotation"], "\n".join(rows) + "\n")


def _write_drugs(
    root: Path, block: Mapping[str, Any], random: np.random.Generator, drugs: Sequence[int]
) -> None:
    """Write names and CIDs of drugs, and SMILES: by CID, or by name for those of `drug_names`."""
    table = (root / block["ccle_smiles"]).read_text(encoding="utf-8").splitlines()
    of_ccle = dict(line.split(",", 1) for line in table[1:])
    rows, smiles, listed = [",".join(DRUGS_HEADER)], [], [",".join(LIST_HEADER)]
    made_up = made_up_smiles(random, len(drugs))
    for drug, other in zip(drugs, made_up, strict=True):
        text = of_ccle.get(SHARED.get(drug, ""), other)
        named = block["drug_names"].get(str(drug))
        if named:
            listed.append(f"{named},CIDs{DRUGS[drug]:0>8},{named.lower()},0,{text}")
        else:
            rows.append(f"{drug},Made-up {drug},,MADEUP,made up,{DRUGS[drug]},1,1")
            smiles.append(f"{DRUGS[drug]}\t{text}")
    for part, lines in (("drugs", rows), ("smiles", smiles), ("drug_list", listed)):
        _write(root / block[part], "".join(f"{line}\n" for line in lines))


def _write(path: Path, text: str) -> None:
    """Write a file of text, compressed where its name ends with .gz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = text.encode()
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
