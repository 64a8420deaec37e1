"""Scores: stored predictions, metrics by kind of prediction, baselines."""
