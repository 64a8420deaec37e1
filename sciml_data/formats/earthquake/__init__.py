"""Earthquake catalogues: SCEDC, SCSN, ComCat and ANSS lists as one table and a grid."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
