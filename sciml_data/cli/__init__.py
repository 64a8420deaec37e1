"""The command `sciml-data`: one module for each verb, imported only when the verb is typed."""

import os
import signal
import sys

import lazy_loader

if os.path.basename(sys.argv[0]) in {"sciml-data", "-m", "__main__.py"}:  # noqa: PTH119 - quick
    # Ctrl-C during the imports that follow; `program.main` has its own answer later.
    def _stop(_number: int, _frame: object) -> None:
        os.write(2, b"\nstopped before anything was begun\n")
        os._exit(130)

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _stop)

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
