"""Synthetic sample of CloudMask's SLSTR granules: simulated scenes in the native layout.

granules   native files, and the times and places of the scenes
orbit      position and angles of satellite and sun
surface    sea, land and the clear air above
clouds     three layers of cloud
radiance   radiative transfer, channel by channel
scene      the measurements of nine channels
label      cloud masks from the measurements
fields     correlated random fields
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
