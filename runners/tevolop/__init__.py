"""The TEvolOp benchmark: forecasts of earthquake activity in southern California."""
