"""A subset of NCI-ALMANAC: one drug or two at a dose, with expression of the NCI-60 lines."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
