"""Links of a registry: which there are, whether they answer today, and a dated report of it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
