from .forms import RUN_FORMS, RunForm, export_run
from .request import ExportRequest

__all__ = ["RUN_FORMS", "ExportRequest", "RunForm", "export_run"]
