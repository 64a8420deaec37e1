"""Keeping a registry: start a dataset, list its files, derive, compare, pin."""
