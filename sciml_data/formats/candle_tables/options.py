"""Options of the conversion of tables."""

from __future__ import annotations

from dataclasses import dataclass

from sciml_data.registry.options import option

SHARD_BYTES = 64 * 2**20  # about 1.2 million rows of the single-drug table: seconds to make again


@dataclass(frozen=True)
class Options:
    """Options of the conversion of tables."""

    strict: bool = option(False, "a malformed row stops the conversion; else it is left out")
    shard_bytes: int = option(
        0, "native bytes for each file of responses; 0 takes 64 MiB", minimum=0
    )

    @property
    def bytes_each(self) -> int:
        """Return the native bytes of a file of responses."""
        return self.shard_bytes or SHARD_BYTES
