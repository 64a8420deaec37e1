from .conversion import convert
from .folder import find_converted, ready_folder, shards_of_split
from .open import files_by_dimension, open_dataset, open_ready

__all__ = [
    "convert",
    "files_by_dimension",
    "find_converted",
    "open_dataset",
    "open_ready",
    "ready_folder",
    "shards_of_split",
]
