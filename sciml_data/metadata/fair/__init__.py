"""How FAIR a version is: the FAIRsFAIR metrics, each with its evidence.

evidence   what is known about a version, its landing page read back as a program reads it
checks     the 17 metrics, each a function from evidence to a finding
report     the report on a version: text, JSON, and a row of the README's table
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
