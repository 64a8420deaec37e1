"""Folders of the checkout that tests read from."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOY_REGISTRY = Path(__file__).parent / "toy_registry"
