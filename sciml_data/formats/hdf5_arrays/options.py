"""Options of the conversion of arrays."""

from __future__ import annotations

from dataclasses import dataclass

from sciml_data.registry.options import option


@dataclass(frozen=True)
class Options:
    """Options of the conversion of arrays."""

    samples_per_shard: int = option(
        0, "samples in a ready file; 0 takes as many as make up 128 MiB", minimum=0
    )
    # Images with counting noise hardly shrink.
    compression: str = option(
        "none", "of the ready files; gzip reads slower", choices=("none", "gzip")
    )
