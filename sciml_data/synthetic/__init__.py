"""Synthetic samples of every native format, made offline from a seed; one module per format."""
