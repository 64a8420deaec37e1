"""Pages of results: the records behind published numbers, and Markdown pages written from them.

`add_runs` copies the records of finished runs into a folder `results/`, `build_pages` writes the
tables and numbers of pages from them, and `page_problems` says where a page differs from them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
