"""Download planned files: in parallel, resumed after any interruption, hashed as they arrive.

A file is in `native/` only when its size and hash are right. Until then it is a `.part` file in
`partial/`, which survives a lost connection and a killed process. A small file resumes from its
last byte. A large one, which several workers download in ranges, resumes from the journal beside
it. Read in this order:

engine        one call of `fetch`: all files of a plan, each from its mirrors in order
requests      requests to a mirror: how many at once, and checks of each answer
workers       which worker downloads what, and who helps with a large file
partial_file  the bytes so far and their hash
disk_flush    bytes that reach the disk: many files together
local_files   what is on this computer already, and how new files are published
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
