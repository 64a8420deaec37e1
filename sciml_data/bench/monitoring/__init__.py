"""The system monitor: a thread samples what a run uses of its computer.

    with Monitor(folder / "monitor.csv") as monitor:
        ...
    monitor.summary()  # groups `resources`, `monitor` and `energy` of the record

Nothing here raises into the run: a value that cannot be read stays empty, and the record says why.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
