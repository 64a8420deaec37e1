"""The board: combine repeats of runs, rank comparable ones, show published figures beside them.

`aggregate` combines runs into a summary, `board_rows` makes ranked rows of records, and the
functions `to_...` write a board as Markdown, CSV, JSON or HTML.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
