from .forms import (
    BENCHMARK_FORMS,
    RUN_FORMS,
    RunForm,
    as_text,
    export_benchmark,
    export_run,
    installed_exports,
    load_export,
)
from .request import BenchmarkRequest, ExportRequest

__all__ = [
    "BENCHMARK_FORMS",
    "RUN_FORMS",
    "BenchmarkRequest",
    "ExportRequest",
    "RunForm",
    "as_text",
    "export_benchmark",
    "export_run",
    "installed_exports",
    "load_export",
]
