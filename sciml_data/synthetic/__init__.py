"""Synthetic samples of native formats, made offline from a seed.

`make` makes a sample of a dataset. The other modules are generators, one for each native format,
and what they share: `hill` (dose-response curves) and `diffraction` (electrons through crystals).
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
