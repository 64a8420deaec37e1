from .figure import monitor_figure
from .machine import code, hardware, import_tensorflow_quietly, runner_digest, software
from .page_cache import CacheClear, clear_cached
from .sampler import Monitor

__all__ = [
    "CacheClear",
    "Monitor",
    "clear_cached",
    "code",
    "hardware",
    "import_tensorflow_quietly",
    "monitor_figure",
    "runner_digest",
    "software",
]
