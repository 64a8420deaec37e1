"""A library in C that replaces functions of the operating system in other processes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def compiled(folder: Path, function: str) -> str:
    """Return a shared library with one C function, to be loaded before all others."""
    if (compiler := shutil.which("gcc")) is None:
        pytest.skip("needs a C compiler")
    source, library = folder / "preload.c", folder / "preload.so"
    source.write_text(f"#include <errno.h>\n#include <sys/file.h>\n{function}\n")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    return str(library)
