"""The system monitor: what a run takes of its computer, sampled beside it by a thread.

    with Monitor(folder / "monitor.csv") as monitor:
        ...
    monitor.summary()  # groups `resources`, `monitor` and `energy` of the record

Nothing here raises into the run: what cannot be read stays empty, and the record says why.
"""

from sciml_data.bench.monitoring.figure import monitor_figure
from sciml_data.bench.monitoring.sampler import Monitor

__all__ = ["Monitor", "monitor_figure"]
