"""Ready files that stay on a mirror: chunks are read by range requests, checked and cached.

cache      folder of chunks with a bound, which several processes share
reader     bytes of remote files: every block is checked against the chunk index
streamed   a published ready form as a stage of the data path
published  ready forms that the registry lists: fetch them, or open them to stream
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
