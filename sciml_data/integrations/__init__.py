"""Other people's tools: DataLad mirrors, Intake catalogues, `pooch.Pooch` and `tf.data.Dataset`."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
