"""Intake: the driver, the catalogue of a registry, and a catalogue for users without sciml-data."""
