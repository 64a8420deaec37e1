"""DataLad mirrors of a registry: names, sizes, hashes and addresses of all files, but no file.

annex        keys and addresses of files in git-annex
repository   ordinary files of a DataLad dataset, and commits that need no work tree
mirror       superdataset with a subdataset for each dataset: create and update
publishing   static files for a web server, or a RIA store
clone        check of a clone against the manifest of the registry
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
