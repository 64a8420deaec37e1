"""Random Parquet files with the declared columns; settings in `block["sample"]`: rows per file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sciml_data.formats.parquet_table import require_pyarrow
from sciml_data.synthetic.declared import missing_places, random_values, sample_paths

DEFAULTS: Mapping[str, Any] = {"rows": 200}


def write_sample(
    root: Path, block: Mapping[str, Any], seed: int, *, described: Mapping[str, Any]
) -> None:
    """Write a file or two for each split.

    Args:
        root: folder of the native files.
        block: `sciml.native`.
        seed: the same seed, settings and software give the same bytes.
        described: `sciml` of the descriptor, with splits and variables.

    Raises:
        CallError: pyarrow is not installed.
    """
    require_pyarrow()
    import pyarrow as pa
    from pyarrow import parquet

    count = {**DEFAULTS, **block.get("sample", {})}["rows"]
    for number, path in enumerate(sample_paths(described["splits"], ".parquet")):
        rng = np.random.default_rng([seed, number])
        columns, fields = [], []
        for name, label in block["columns"].items():
            about = described["variables"][name]
            values = random_values(rng, about["dtype"], (count,))
            mask = missing_places(rng, about["dtype"], count)
            columns.append(pa.array(values, mask=mask))
            units = {"units": about["units"]} if about.get("units") else None
            fields.append(pa.field(label, columns[-1].type, metadata=units))
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(pa.table(columns, schema=pa.schema(fields)), target)
