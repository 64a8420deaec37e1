"""The benchmark engine: a task, a split and a model in; a run and its record out."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
