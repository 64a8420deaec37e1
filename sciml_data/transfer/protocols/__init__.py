"""Read bytes from a mirror: one module for each protocol, found by the scheme of a URL."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
