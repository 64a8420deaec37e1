"""Rate a benchmark by the rubric of the MLCommons Science working group.

questions   the 27 questions, and the check that answers each from the registry
report      points by category, as text, JSON and the ratings of a catalogue entry
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
