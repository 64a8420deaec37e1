"""CANDLE's tables of drug responses: single drugs, ALMANAC's pairs, features of cells and drugs."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
