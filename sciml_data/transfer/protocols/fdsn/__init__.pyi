from .live import fetch_live
from .service import Clock
from .windows import merge_windows

__all__ = ["Clock", "fetch_live", "merge_windows"]
