"""What is described: the registry's layout, descriptors, manifests, options, stage types."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
