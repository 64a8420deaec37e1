"""Bridges to other tools: Intake, Pooch, DataLad."""
