"""Keeping a registry: new versions, derived files, differences, pins, and a guard for history.

new         the folder of a new version, with the places to fill in
inventory   the hashes of native files, and a proposal of how to read their arrays
derive      the files that follow from the registry: checksums, catalogues, tables of pages
diff        what differs between two versions
pin         the manifest of an unpinned version, for everybody
history     changes of pinned versions since a commit
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
