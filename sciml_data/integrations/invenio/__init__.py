"""Publish a dataset in a repository that runs InvenioRDM, such as Zenodo.

`metadata.py` says what the repository stores about a version, `client.py` sends requests, and
`publishing.py` is the way from a folder of verified files to a draft with a DOI.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
