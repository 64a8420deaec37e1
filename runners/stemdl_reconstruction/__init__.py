"""The STEMDL reconstruction benchmark: potential and electron density from a scan of patterns."""
