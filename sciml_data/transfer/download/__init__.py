"""Bring planned files to this computer: parallel, resumed, hashed as they arrive."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
