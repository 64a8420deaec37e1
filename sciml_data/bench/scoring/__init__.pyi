from . import baselines, classification, forecast, images, segmentation
from .compute import compute_metrics, write_group_table, write_table
from .external import require_predictions_file
from .metrics import Metric, metric, registered_metrics, row_key
from .predictions import Predictions, load_predictions, save_predictions
from .scores import Score, metric_definition, metric_rows, score_parts, target_rows

__all__ = [
    "Metric",
    "Predictions",
    "Score",
    "baselines",
    "classification",
    "compute_metrics",
    "forecast",
    "images",
    "load_predictions",
    "metric",
    "metric_definition",
    "metric_rows",
    "registered_metrics",
    "require_predictions_file",
    "row_key",
    "save_predictions",
    "score_parts",
    "segmentation",
    "target_rows",
    "write_group_table",
    "write_table",
]
