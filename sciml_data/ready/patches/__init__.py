"""Patches of ready scenes for training, and windows on whole scenes for inference.

heads         what a file says without its pixels, and where these lie
store         heads kept beside the files
scenes        the ready files of a split
memory        what batches lie in, used again
reading       windows of a scene, read without HDF5
grid          which patches there are
batches       values, labels and weights of patches
streams       epochs in a seeded order, read ahead
tiles         whole scenes in overlapping windows, and back
statistics    mean and standard deviation of channels
"""

from sciml_data.ready.patches.batches import CHANNELS as CHANNELS
from sciml_data.ready.patches.batches import Batch as Batch
from sciml_data.ready.patches.batches import Packing as Packing
from sciml_data.ready.patches.batches import Wanted as Wanted
from sciml_data.ready.patches.batches import packing as packing
from sciml_data.ready.patches.batches import read_batch as read_batch
from sciml_data.ready.patches.batches import read_patch as read_patch
from sciml_data.ready.patches.grid import Patches as Patches
from sciml_data.ready.patches.grid import PatchGrid as PatchGrid
from sciml_data.ready.patches.grid import list_patches as list_patches
from sciml_data.ready.patches.scenes import Scenes as Scenes
from sciml_data.ready.patches.scenes import find_scenes as find_scenes
from sciml_data.ready.patches.statistics import ChannelStatistics as ChannelStatistics
from sciml_data.ready.patches.statistics import channel_statistics as channel_statistics
from sciml_data.ready.patches.streams import batch_indices as batch_indices
from sciml_data.ready.patches.streams import order as order
from sciml_data.ready.patches.streams import stream as stream
from sciml_data.ready.patches.streams import stream_scenes as stream_scenes
from sciml_data.ready.patches.tiles import Windows as Windows
from sciml_data.ready.patches.tiles import blend as blend
from sciml_data.ready.patches.tiles import centre_weights as centre_weights
from sciml_data.ready.patches.tiles import cut as cut
from sciml_data.ready.patches.tiles import smooth_weights as smooth_weights
from sciml_data.ready.patches.tiles import windows as windows
