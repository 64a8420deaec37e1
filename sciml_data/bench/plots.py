"""What the figures of every benchmark share: the mark of synthetic data, losses, colours.

The mark is the engine's: no runner decides how visible it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

DOTS_PER_INCH = 130
GREY = "#777777"
# Paul Tol's bright scheme, told apart by the colour-blind as well.
PART_COLOURS = {"train": "#4477aa", "validation": "#ee6677", "test": "#228833", "fresh": "#aa3377"}


def save_figure(figure: Any, path: Path, record: Mapping[str, Any]) -> Path:
    """Write a figure of a run and close it; one of synthetic data says so across the picture."""
    from matplotlib import pyplot as plt

    if record["synthetic"]:
        figure.text(
            0.5, 0.5, "SYNTHETIC", rotation=30, fontsize=60, color="red", alpha=0.22,
            ha="center", va="center", weight="bold", zorder=10,
        )  # fmt: skip
    # No time and no version of the drawing library, so that equal runs give equal files.
    figure.savefig(path, dpi=DOTS_PER_INCH, metadata={"Software": None})
    plt.close(figure)
    return path


def plot_losses(axes: Any, record: Mapping[str, Any]) -> None:
    """Draw training and validation loss by epoch, and which epoch was chosen."""
    epochs = [row["epoch"] for row in record["curve"]]
    for part in ("train", "validation"):
        values = [row[f"{part}_loss"] for row in record["curve"]]
        axes.plot(epochs, values, "o-", ms=3, color=PART_COLOURS[part], label=part)
    best = record["model"]["best_epoch"]
    axes.axvline(best, color=GREY, lw=1, ls=":", label=f"best epoch, {best}")
    axes.set(xlabel="epoch")
