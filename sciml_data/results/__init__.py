"""What records become: boards, submissions, MLPerf logs, and exports in the forms of others.

Each is a subpackage; the names here are the ones that most users need.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
