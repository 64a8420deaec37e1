"""Patterns of several crystals in one picture, to look at: discs, symmetry, higher zones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sciml_data.synthetic.diffraction.cbed import cbed_stacks
from sciml_data.synthetic.diffraction.crystals import Crystal

FAINTEST = 1e-5  # of the brightest pixel; fainter ones are drawn alike


def picture(crystals: Sequence[Crystal], path: Path, *, energy: int = 100, size: int = 256) -> None:
    """Draw the three patterns of each crystal, two crystals a row, intensities on a log scale.

    Needs the extra `train` (matplotlib).

    Args:
        crystals: what to draw.
        path: of the picture; its ending is its format.
        energy: keV.
        size: pixels along a side of a pattern; `cbed.pixel_size_of` says what they cover.
    """
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt
    from matplotlib.colors import LogNorm

    rows = -(-len(crystals) // 2)
    figure, axes = plt.subplots(rows, 6, figsize=(13.2, 2.3 * rows), squeeze=False)
    for crystal, own in zip(crystals, axes.reshape(rows * 2, 3), strict=False):
        stack = next(cbed_stacks(crystal, [energy], size=size))
        for axis, pattern, plane in zip(own, stack.patterns, stack.planes, strict=True):
            brightest = float(pattern.max())
            norm = LogNorm(FAINTEST * brightest, brightest)
            axis.imshow(pattern.clip(norm.vmin), norm=norm, cmap="magma", origin="lower")
            axis.set_title("[{} {} {}]".format(*plane.z_dir), fontsize=8, pad=2)
        own[0].set_ylabel(f"{crystal.material}\n{crystal.formula}", fontsize=7, labelpad=2)
    for axis in axes.ravel():
        axis.set_xticks([])
        axis.set_yticks([])
    figure.tight_layout(pad=0.5)
    figure.savefig(path, dpi=100)
    plt.close(figure)
