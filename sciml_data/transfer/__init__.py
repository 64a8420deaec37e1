"""Bytes to this computer: plan, download, verify, adopt."""
