from .forms import RUN_FORMS, RunForm, as_text, export_run, installed_exports, load_export
from .request import ExportRequest

__all__ = [
    "RUN_FORMS",
    "ExportRequest",
    "RunForm",
    "as_text",
    "export_run",
    "installed_exports",
    "load_export",
]
