"""Overview of drug responses: curves or areas, a table of cells and drugs, and gene expression."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sciml_data.formats.drug_response import text_of
from sciml_data.site.overview.panels import LABEL_SIZE, histogram, matrix, plain, title

if TYPE_CHECKING:
    import xarray as xr

    from sciml_data.site.overview.drawing import Parts

MAX_ROWS = 400_000  # responses that are read of a long table
MAX_CURVES, MIN_DOSES, MAX_PAIRS = 6, 4, 200
MAX_CELLS, MAX_DRUGS, MAX_GENES = 40, 24, 60  # of the matrices
NO_DRUG = 65535
COLOURS = ("#332288", "#cc6677", "#117733", "#ddaa33", "#44aa99", "#aa4499")
DRUG_NAMES = ("compound", "drug_name", "drug_canonical", "drug_id")
CELL_NAMES = ("cell_name", "cell_canonical", "cell_id")
AREA_LABEL = "AUC: 1 no effect, 0 all killed"


def draw(figure: Any, parts: Parts) -> None:
    """Draw the panels of responses: curves and areas if there are both, and expression."""
    charts = iter(figure.subplots(1, 3, width_ratios=(1.0, 1.15, 1.0)))
    splits = parts.splits
    doses = next((split for split in splits if _has(parts, split, "growth")), None)
    areas = next((split for split in splits if _has(parts, split, "auc")), None)
    if doses is not None:
        with parts.open(doses) as dataset:
            rows = dataset.isel(response=slice(0, MAX_ROWS))
            _curves(next(charts), rows)
            if areas is None:
                _doses(next(charts), rows)
    if areas is not None:
        with parts.open(areas) as dataset:
            rows = dataset.isel(response=slice(0, MAX_ROWS))
            if doses is None:
                text, values = "area under the curve", rows["auc"].to_numpy()
                histogram(next(charts), values, text, AREA_LABEL, counts="rows")
            _areas(next(charts), rows)
    with parts.open(areas or doses or splits[0]) as dataset:
        _expression(next(charts), dataset)


def _has(parts: Parts, split: str, name: str) -> bool:
    with parts.open(split) as dataset:
        return name in dataset


def _names(dataset: xr.Dataset, variables: tuple[str, ...]) -> list[str]:
    """Return names for people of all cells or drugs; the first that is known of each."""
    columns = [text_of(dataset[name]) for name in variables if name in dataset]
    return [next(filter(None, names), "") for names in zip(*columns, strict=True)]


def _singles(rows: xr.Dataset) -> Any:
    """Return (row,) bool: whether a response is to one drug alone."""
    import numpy as np

    if "drug2_index" not in rows:
        return np.ones(rows.sizes["response"], bool)
    return rows["drug2_index"].to_numpy() == NO_DRUG


def _curves(chart: Any, rows: xr.Dataset) -> None:
    """Draw curves of one cell line under several drugs: the line with the most measured doses."""
    import numpy as np

    single = _singles(rows)
    cell, drug = (rows[f"{name}_index"].to_numpy()[single] for name in ("cell", "drug1"))
    dose, growth = (rows[name].to_numpy()[single] for name in ("dose1", "growth"))
    pairs, counts = np.unique(
        np.stack([cell, drug], axis=-1)[np.isfinite(dose)], axis=0, return_counts=True
    )
    rich = pairs[counts >= min(MIN_DOSES, counts.max())]
    chosen = int(np.bincount(rich[:, 0]).argmax())
    drugs = rich[rich[:, 0] == chosen, 1]
    names = _names(rows, DRUG_NAMES)
    ranges = {
        int(one): np.ptp(growth[(cell == chosen) & (drug == one) & np.isfinite(dose)])
        for one in drugs
    }
    shown = sorted(ranges, key=lambda one: -ranges[one])[:: max(1, len(ranges) // MAX_CURVES)]
    for one, colour in zip(shown, COLOURS, strict=False):
        is_row = (cell == chosen) & (drug == one) & np.isfinite(dose)
        levels = np.unique(dose[is_row])
        means = [growth[is_row & (dose == level)].mean() for level in levels]
        chart.plot(dose[is_row], growth[is_row], ".", ms=3, color=colour, alpha=0.5)
        chart.plot(levels, means, "-", lw=1.3, color=colour, label=names[one][:16])
    chart.invert_xaxis()
    chart.axhline(0, color="black", lw=0.5)
    title(chart, f"growth of {_names(rows, CELL_NAMES)[chosen]}")
    plain(chart, "dose, -log10(mol/L); stronger to the right", "growth: 1 untreated")
    chart.xaxis.get_major_locator().set_params(nbins=5)
    chart.legend(fontsize=6, loc="lower left")
    chart.grid(alpha=0.3)


def _areas(chart: Any, rows: xr.Dataset) -> None:
    """Draw the areas of cells and drugs as a matrix, those with the most rows first."""
    import numpy as np

    cell, drug = (rows[f"{name}_index"].to_numpy() for name in ("cell", "drug1"))
    area = rows["auc"].to_numpy()
    cells = np.argsort(-np.bincount(cell), kind="stable")[:MAX_CELLS]
    drugs = np.argsort(-np.bincount(drug), kind="stable")[:MAX_DRUGS]
    drugs = drugs[np.bincount(drug)[drugs] > 0]
    values = np.full((len(cells), len(drugs)), np.nan)
    places = {int(one): place for place, one in enumerate(cells)}
    columns = {int(one): place for place, one in enumerate(drugs)}
    is_shown = np.isin(cell, cells) & np.isin(drug, drugs)
    for one, other, number in zip(cell[is_shown], drug[is_shown], area[is_shown], strict=True):
        values[places[int(one)], columns[int(other)]] = number
    with np.errstate(invalid="ignore"):
        order = np.argsort(np.nan_to_num(np.nanmean(values, axis=0), nan=2.0), kind="stable")
    names = [_names(rows, DRUG_NAMES)[int(drugs[place])][:14] for place in order]
    text = f"area under the curve of {len(cells)} cell lines"
    matrix(chart, values[:, order], text, unit=AREA_LABEL, x="", y="cell line", columns=names)


def _doses(chart: Any, rows: xr.Dataset) -> None:
    """Draw the growth under two drugs by both doses, of the pair with the most rows."""
    import numpy as np

    paired = np.flatnonzero(~_singles(rows))
    names = ("cell_index", "drug1_index", "drug2_index", "dose1", "dose2", "growth")
    cell, first, second, dose1, dose2, growth = (rows[name].to_numpy()[paired] for name in names)
    keys, place, counts = np.unique(
        np.stack([cell, first, second], axis=-1), axis=0, return_inverse=True, return_counts=True
    )
    place = place.ravel()
    ranges = [
        np.ptp(growth[place == number])
        for number in np.flatnonzero(counts == counts.max(initial=0))[:MAX_PAIRS]
    ]
    if not ranges or counts.max() < MIN_DOSES:
        histogram(chart, rows["growth"].to_numpy(), "growth", "growth: 1 untreated", counts="rows")
        return
    rank = int(np.argsort(ranges, kind="stable")[3 * len(ranges) // 4])  # an effect is seen
    best = np.flatnonzero(counts == counts.max())[rank]
    is_row = place == best
    levels = [np.unique(dose[is_row]) for dose in (dose1, dose2)]
    values = np.full((len(levels[0]), len(levels[1])), np.nan)
    for one, other, number in zip(dose1[is_row], dose2[is_row], growth[is_row], strict=True):
        values[np.searchsorted(levels[0], one), np.searchsorted(levels[1], other)] = number
    drugs, cells = _names(rows, DRUG_NAMES), _names(rows, CELL_NAMES)
    text = f"two drugs on {cells[int(keys[best][0])]}"
    x, y = (f"{drugs[int(keys[best][k])][:22]}, -log10(mol/L)" for k in (2, 1))
    matrix(chart, values, text, unit="growth: 1 untreated", x=x, y=y)
    chart.set_xticks(range(len(levels[1])), [f"{dose:.1f}" for dose in levels[1]])
    chart.set_yticks(range(len(levels[0])), [f"{dose:.1f}" for dose in levels[0]])


def _expression(chart: Any, dataset: xr.Dataset) -> None:
    part = dataset["expression"].isel(cell=slice(0, MAX_CELLS), gene=slice(0, MAX_GENES))
    text = f"expression: {part.sizes['cell']} of {dataset.sizes['cell']:,} cell lines"
    x = f"gene ({part.sizes['gene']} of {dataset.sizes['gene']:,})"
    matrix(chart, part.to_numpy(), text, unit="as published", x=x, y="cell line", cmap="magma")
    chart.tick_params(labelsize=LABEL_SIZE)
