"""Patches of ready scenes for training, and windows on whole scenes for inference.

scenes     ready files of a split, with the positions of their chunks
cache      facts about files, kept beside them
grid       the list of patches
reading    pixels of a window, read without HDF5
batches    values, labels and weights of patches
streams    epochs in a seeded order, read ahead; statistics of channels
windows    whole scenes in overlapping windows, and back
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
