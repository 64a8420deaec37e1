"""Shipped for those who add datasets: servers with faults, on loopback."""
