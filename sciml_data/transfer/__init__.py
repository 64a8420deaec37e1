"""Bring files to this computer: plan, download, verify, import a local folder."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
