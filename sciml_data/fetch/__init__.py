"""Bring planned files to this computer: parallel, resumed, hashed as they arrive.

A file lies in `native/` only when its size and hash are right; until then it is a `.part` in
`partial/`, and goes on from its last byte after any cut, be it of the network or of the process.
"""

from sciml_data.fetch.asked import asked_paths as asked_paths
from sciml_data.fetch.meter import Notice as Notice
from sciml_data.fetch.meter import Progress as Progress
from sciml_data.fetch.place import quarantine as quarantine
from sciml_data.fetch.pool import fetch as fetch
from sciml_data.fetch.receipt import Receipt as Receipt
from sciml_data.sources.patience import Patience as Patience
