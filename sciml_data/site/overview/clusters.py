"""Overview of molecules and clusters: atoms and bonds of three, and energy by size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sciml_data.site.overview.panels import BLUE, plain, title

if TYPE_CHECKING:
    from sciml_data.site.overview.drawing import Parts

ELEMENTS = {  # atomic number: symbol, colour, covalent radius in Å (Cordero et al. 2008)
    1: ("H", "#f2f2f2", 0.31), 6: ("C", "#555555", 0.76), 7: ("N", "#3f62d6", 0.71),
    8: ("O", "#d62f2f", 0.66), 9: ("F", "#56b356", 0.57),
}  # fmt: skip
BOND_FACTOR = 1.25  # of the sum of two radii: nearer atoms are bonded
MAX_SAMPLES = 20_000  # in the chart of energies


def draw(figure: Any, parts: Parts) -> None:
    """Draw a small, a middle and the largest cluster, and the energies of all."""
    import numpy as np

    with parts.open() as dataset:
        few = dataset.isel(sample=slice(0, MAX_SAMPLES))
        counts, energies = few["atom_count"].to_numpy(), few["energy"].to_numpy()
        order = np.argsort(counts, kind="stable")
        chosen = order[[len(order) // 10, len(order) // 2, -1]]
        clusters = [few.isel(sample=int(number)).load() for number in chosen]
    charts = figure.subplots(1, 4, width_ratios=(1, 1, 1, 1.1))
    for chart, cluster in zip(charts, clusters, strict=False):
        count = int(cluster["atom_count"])
        numbers = cluster["atomic_number"].to_numpy()[:count]
        _draw_atoms(chart, cluster["position"].to_numpy()[:count], numbers)
        title(chart, _formula(numbers))
    charts[3].plot(counts, energies, ".", ms=3, color=BLUE)
    title(charts[3], f"energy of {len(energies):,} samples")
    plain(charts[3], "atoms", "energy (unit: see the card)")
    charts[3].grid(alpha=0.3)


def _draw_atoms(chart: Any, position: Any, numbers: Any) -> None:
    """Draw atoms from the front, far ones first, with their bonds, in Å."""
    import numpy as np
    from matplotlib.patches import Circle

    radii = np.array([ELEMENTS.get(int(number), ("", "", 0.7))[2] for number in numbers])
    distance = np.linalg.norm(position[:, None] - position[None], axis=-1)
    bonded = (distance < BOND_FACTOR * (radii[:, None] + radii)) & (distance > 0)
    depth = np.argsort(position[:, 2], kind="stable")
    for rank, atom in enumerate(depth):
        _, colour, radius = ELEMENTS.get(int(numbers[atom]), ("?", "#cc66cc", 0.7))
        for other in np.flatnonzero(bonded[atom]):
            ends = position[[atom, other], :2].mean(axis=0)
            line = np.stack([position[atom, :2], ends])
            chart.plot(*line.T, color="#888888", lw=2.0, zorder=2 * rank)
        circle = Circle(position[atom, :2], 0.85 * radius, fc=colour, ec="black", lw=0.5)
        circle.set_zorder(2 * rank + 1)
        chart.add_patch(circle)
    chart.set_aspect("equal")
    chart.margins(0.12)
    plain(chart, "x, Å", "y, Å")


def _formula(numbers: Any) -> str:
    """Return the atoms of a molecule; of a cluster of water, how many molecules."""
    counts = {symbol: int((numbers == number).sum()) for number, (symbol, *_) in ELEMENTS.items()}
    if counts["O"] and counts["H"] == 2 * counts["O"] == len(numbers) - counts["O"]:
        return f"{counts['O']} molecules of water" if counts["O"] > 1 else "water"
    return " ".join(f"{symbol}{count}" for symbol, count in counts.items() if count)
