"""A static site of a registry and of runs: pages of datasets, benchmarks and runs.

`gather` reads the content, `site_files` renders it, `write_site` writes the files into a folder.
Pages are plain files with relative links. They need no server and load nothing from other hosts.

content                          what gets a page
build                            all files of the site, and how they are written into a folder
index_pages, dataset_pages, benchmark_pages, run_pages   one kind of page each
frame                            the frame that all pages share, and where each page is
tables, record_tables, charts, pictures                  what pages are made of
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
