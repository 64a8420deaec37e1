from . import errors
from .api.benchmarks import LoadedBenchmark, benchmarks, load_benchmark, run
from .api.datasets import (
    adopt_dataset,
    convert_dataset,
    datasets,
    describe,
    get_dataset,
    plan_dataset,
    pooch,
    verify_dataset,
    versions,
)
from .api.exports import export_parquet, kerchunk_references
from .api.loading import get_ready, load
from .api.results import Board, Run, board, cite, export, load_run, rescore, score
from .api.sample_report import compare_sample
from .api.shares import convert_share, finish_conversion
from .ready.open import open_dataset
from .registry.layout import trusting

__version__: str
__all__ = [
    "Board",
    "LoadedBenchmark",
    "Run",
    "__version__",
    "adopt_dataset",
    "benchmarks",
    "board",
    "cite",
    "compare_sample",
    "convert_dataset",
    "convert_share",
    "datasets",
    "describe",
    "errors",
    "export",
    "export_parquet",
    "finish_conversion",
    "get_dataset",
    "get_ready",
    "kerchunk_references",
    "load",
    "load_benchmark",
    "load_run",
    "open_dataset",
    "plan_dataset",
    "pooch",
    "rescore",
    "run",
    "score",
    "trusting",
    "verify_dataset",
    "versions",
]
