"""Small real scenes of SLSTR and its predecessor AATSR, with the variables of CloudMask's."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
