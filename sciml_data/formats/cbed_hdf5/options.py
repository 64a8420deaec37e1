"""Options of the conversion of diffraction patterns, from HDF5 and from npz files."""

from __future__ import annotations

from dataclasses import dataclass

from sciml_data.registry.options import option

COMPRESSIONS = ("none", "gzip")
SAMPLES_PER_SHARD = 1024  # 201 MB of npz files: held in memory once, and made again in seconds


@dataclass(frozen=True)
class Options:
    """Options of stacks in HDF5 files."""

    strict: bool = option(False, "a sample that cannot be used stops its file; else it is left out")
    compression: str = option(
        "none", "of the ready files; gzip halves them and reads slower", choices=COMPRESSIONS
    )


@dataclass(frozen=True)
class NpzOptions(Options):
    """Options of npz files, which have one sample each."""

    samples_per_shard: int = option(
        0, "running numbers that share a ready file; 0 takes 1,024", minimum=0
    )

    @property
    def samples_each(self) -> int:
        """Return how many running numbers go into a ready file."""
        return self.samples_per_shard or SAMPLES_PER_SHARD
