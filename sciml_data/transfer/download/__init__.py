"""Bring planned files to this computer: parallel, resumed, hashed as they arrive.

A file lies in `native/` only when its size and hash are right; until then it is a `.part` in
`partial/`, and goes on after any cut, be it of the network or of the process: a small file from its
last byte, a large one, which several workers bring in ranges, from what is noted beside it.

pool        one call of `fetch`: what is there, what is missing, the workers
crew        who takes which file, and who helps with a large one
transfer    one file from its mirrors in order
attempt     one file from one address until its hash is right
requests    single requests, held against size, tag and range
gate        how much a mirror is asked at once, and when not at all
part        the bytes on their way and their hash; `ranges` has the notes of them
publish     whole files to their places, and onto the disk
"""

from sciml_data.progress import Log as Log
from sciml_data.progress import Progress as Progress
from sciml_data.transfer.download.asked import asked_paths as asked_paths
from sciml_data.transfer.download.place import quarantine as quarantine
from sciml_data.transfer.download.pool import fetch as fetch
from sciml_data.transfer.download.receipt import Receipt as Receipt
from sciml_data.transfer.protocols.retry import RetryPolicy as RetryPolicy
