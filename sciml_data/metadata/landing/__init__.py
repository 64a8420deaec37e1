"""The landing page of a version, and the files beside it.

page   the page and its folder; templates are in `metadata/templates/`
card   a card's Markdown as HTML
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
