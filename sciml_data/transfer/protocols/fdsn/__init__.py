"""Fetch earthquakes of any period from an FDSN event service (USGS ComCat and its replays)."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
