"""The command `sciml-data`: one module for each verb, imported only when the verb is typed."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
