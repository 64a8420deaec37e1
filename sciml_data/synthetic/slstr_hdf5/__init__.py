"""Synthetic sample of CloudMask's SLSTR granules: simulated ocean scenes in the native layout.

granules   native files, and the times and places of the scenes
orbit      position and angles of satellite and sun
scene      sea, clouds, and the measurements of nine channels
fields     correlated random fields
radiance   radiative transfer, channel by channel
label      cloud masks from the measurements
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
