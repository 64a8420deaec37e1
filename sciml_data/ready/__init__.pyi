from .conversion import convert
from .folder import find_all_converted, find_converted, ready_folder, shards_of_split
from .job_array import convert_share, finish_conversion
from .loaders import (
    IndexSamples,
    PatchSamples,
    RowSamples,
    Samples,
    numpy_batches,
    select_samples,
    torch_dataset,
)
from .open import files_by_dimension, find_ready, open_dataset, open_ready
from .own_rows import read_own
from .samples import SampleCache, SampleIndex, index_samples
from .shards import write_netcdf
from .storage import StoredPart, remove_parts, stored_parts, stored_version
from .verification import (
    ready_problems,
    repair_ready,
    require_unchanged,
    verify_with_ready,
)

__all__ = [
    "IndexSamples",
    "PatchSamples",
    "RowSamples",
    "SampleCache",
    "SampleIndex",
    "Samples",
    "StoredPart",
    "convert",
    "convert_share",
    "files_by_dimension",
    "find_all_converted",
    "find_converted",
    "find_ready",
    "finish_conversion",
    "index_samples",
    "numpy_batches",
    "open_dataset",
    "open_ready",
    "read_own",
    "ready_folder",
    "ready_problems",
    "remove_parts",
    "repair_ready",
    "require_unchanged",
    "select_samples",
    "shards_of_split",
    "stored_parts",
    "stored_version",
    "torch_dataset",
    "verify_with_ready",
    "write_netcdf",
]
