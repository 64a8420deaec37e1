"""Other people's tools: DataLad mirrors, Intake catalogues, and datasets as a `pooch.Pooch`."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
