"""For people who extend sciml-data: contract suites, loopback servers with faults, small datasets.

from sciml_data.testing import FileServer, faults

with FileServer(folder) as server:
server.add(faults.truncated(3), path="*.h5")
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
