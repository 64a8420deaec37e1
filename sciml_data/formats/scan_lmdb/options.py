"""Options of the conversion of databases of scans."""

from __future__ import annotations

from dataclasses import dataclass

from sciml_data.registry.options import option


@dataclass(frozen=True)
class Options:
    """Options of the conversion of databases of scans."""

    strict: bool = option(
        False, "a sample that cannot be used stops its ready file; else it is left out"
    )
    samples_per_shard: int = option(
        0, "samples in a ready file; 0 takes as many as make up 256 MiB", minimum=0
    )
    databases: str = option("**", "glob of native paths; databases that do not match are left out")
    # gzip: zeros, and the 13 bits that float16 does not have, cost nothing.
    compression: str = option("gzip", "of the ready files", choices=("none", "gzip"))
    noise: str = option(
        "refuse",
        "samples that look like the random numbers that an upstream repair wrote",
        choices=("refuse", "keep"),
    )
