"""Ready files that stay on a mirror, as a stage of the data path."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sciml_data.registry.stages import Converted

if TYPE_CHECKING:
    from sciml_data.ready.streaming.reader import ChunkReader


@dataclass(frozen=True)
class Streamed(Converted):
    """Ready files that stay on a mirror. `root` has their record and chunk index only.

    Attributes:
        reader: reads them.
    """

    reader: ChunkReader = field(kw_only=True, repr=False, compare=False)
