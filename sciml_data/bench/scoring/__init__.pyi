from . import baselines, classification, forecast, images, segmentation
from .predictions import Predictions, load_predictions, save_predictions
from .scores import Score, metric_definition, metric_rows, row_key, score_parts, target_rows

__all__ = [
    "Predictions",
    "Score",
    "baselines",
    "classification",
    "forecast",
    "images",
    "load_predictions",
    "metric_definition",
    "metric_rows",
    "row_key",
    "save_predictions",
    "score_parts",
    "segmentation",
    "target_rows",
]
