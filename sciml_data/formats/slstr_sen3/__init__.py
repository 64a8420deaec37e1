"""SLSTR level-1 granules as ESA and EUMETSAT publish them: `.SEN3` folders of NetCDF files."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
