from .batches import CHANNELS, Batch, BatchContent, Packing, packing, read_batch, read_patch
from .grid import Patches, PatchGrid, list_patches
from .scenes import Scenes, find_scenes
from .streams import (
    ChannelStatistics,
    batch_indices,
    channel_statistics,
    epoch_order,
    read_ahead,
    stream,
    stream_scenes,
)
from .windows import (
    WindowGrid,
    blend,
    centre_weights,
    extract_windows,
    smooth_weights,
    window_grid,
)

__all__ = [
    "CHANNELS",
    "Batch",
    "BatchContent",
    "ChannelStatistics",
    "Packing",
    "PatchGrid",
    "Patches",
    "Scenes",
    "WindowGrid",
    "batch_indices",
    "blend",
    "centre_weights",
    "channel_statistics",
    "epoch_order",
    "extract_windows",
    "find_scenes",
    "list_patches",
    "packing",
    "read_ahead",
    "read_batch",
    "read_patch",
    "smooth_weights",
    "stream",
    "stream_scenes",
    "window_grid",
]
