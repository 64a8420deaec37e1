"""CloudMask's granules: HDF5 files with nine channels of SLSTR and two cloud masks."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
