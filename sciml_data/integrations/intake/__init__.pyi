from .catalog import READY_CATALOG, open_registry_catalog, ready_catalog, special_in
from .driver import SciMLReader, SciMLSource

__all__ = [
    "READY_CATALOG",
    "SciMLReader",
    "SciMLSource",
    "open_registry_catalog",
    "ready_catalog",
    "special_in",
]
