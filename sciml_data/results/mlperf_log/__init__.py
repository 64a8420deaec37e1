"""MLPerf logs: write the log of a run from its record, and check a log.

`log_text` writes a log. `check_lines` checks one line by line and against a record;
`check_official` runs MLCommons' own checker.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
