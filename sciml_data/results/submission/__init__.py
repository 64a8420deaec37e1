"""Submissions: pack runs for the working group's repository, and check what others submitted.

`pack_runs` writes a submission's folder, `check_submission` gives the verdict on one,
`rescore_packed` computes its scores again, and `make_pull_request` prepares a pull request.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
