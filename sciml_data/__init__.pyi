from . import errors
from .api.benchmarks import LoadedBenchmark, benchmarks, load_benchmark
from .api.datasets import (
    adopt_dataset,
    convert_dataset,
    datasets,
    describe,
    get_dataset,
    load,
    plan_dataset,
    pooch,
    verify_dataset,
    versions,
)
from .api.exports import export_parquet
from .ready.open import open_dataset

__version__: str
__all__ = [
    "LoadedBenchmark",
    "__version__",
    "adopt_dataset",
    "benchmarks",
    "convert_dataset",
    "datasets",
    "describe",
    "errors",
    "export_parquet",
    "get_dataset",
    "load",
    "load_benchmark",
    "open_dataset",
    "plan_dataset",
    "pooch",
    "verify_dataset",
    "versions",
]
