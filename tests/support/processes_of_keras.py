"""Processes of their own for tests of a Keras backend, which is chosen once in a process."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.support.paths import ROOT

needs_jax = pytest.mark.skipif(
    importlib.util.find_spec("jax") is None, reason="pip install 'sciml-data[jax]'"
)

# Run in a process of its own, before anything else: TensorFlow cannot be imported.
WITHOUT_TENSORFLOW = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] == 'tensorflow':
            raise ImportError('no TensorFlow on this machine')
sys.meta_path.insert(0, Refuse())
"""


def output_of(code: str, **variables: str) -> Any:
    """Return what a process prints last, as JSON."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **variables}
    environment["PYTHONPATH"] = str(ROOT)
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=False, timeout=500, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])
