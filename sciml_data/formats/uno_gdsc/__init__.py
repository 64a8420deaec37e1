"""Responses of Genomics of Drug Sensitivity in Cancer (GDSC): raw plates, and IC50."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
