"""Intake: the drivers of a registry's catalogues, and a catalogue for users without sciml-data."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
