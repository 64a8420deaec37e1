from .checks import METRICS, Finding, Metric
from .evidence import Evidence, evidence_of
from .report import Assessment, Report, assess, markdown_table

__all__ = [
    "METRICS",
    "Assessment",
    "Evidence",
    "Finding",
    "Metric",
    "Report",
    "assess",
    "evidence_of",
    "markdown_table",
]
