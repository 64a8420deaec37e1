"""STEMDL: the space group of a crystal from three electron diffraction patterns of it."""
