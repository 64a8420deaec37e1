"""Measure files, bytes and seconds of all synthetic samples, for what `--sample` announces.

    python -m tests.support.sample_costs           # takes some minutes, prints the file

The output belongs into `sciml_data/synthetic/sample_costs.toml`. A test compares files and bytes of
small samples; seconds are processor time of one machine and only say whether a sample takes long.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

from sciml_data.errors import SciMLDataError
from sciml_data.home import Home, find_home
from sciml_data.registry.descriptor import Descriptor, load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.synthetic import make_sample

HEAD = """\
# The samples that `--sample` makes with their usual settings: files, bytes, and seconds of
# processor time where they were measured. Written by `python -m tests.support.sample_costs`.
"""


def described() -> Iterator[Descriptor]:
    """Yield the descriptors of all versions in this registry."""
    registry = find_registry()
    for dataset in registry.datasets():
        for version in registry.versions(dataset):
            yield load_descriptor(registry, dataset, version)


def measured(descriptor: Descriptor, home: Home) -> dict[str, float]:
    """Return files, bytes and seconds of a new sample."""
    began = sum(os.times()[:4])  # of this process and of those that it has started
    fetched = make_sample(descriptor, home)
    seconds = sum(os.times()[:4]) - began
    sizes = [entry.size_bytes for entry in fetched.manifest.entries]
    return {"files": len(sizes), "bytes": sum(sizes), "cpu_s": round(seconds, 1)}


def main() -> None:
    """Print the file."""
    sys.stdout.write(HEAD)
    for descriptor in described():
        with tempfile.TemporaryDirectory() as folder, contextlib.suppress(SciMLDataError):
            cost = measured(descriptor, find_home(folder))
            values = ", ".join(f"{name} = {value}" for name, value in cost.items())
            name = f"{descriptor.dataset}/{descriptor.version}"
            sys.stdout.write(f'"{name}" = {{ {values} }}\n')
            sys.stdout.flush()


if __name__ == "__main__":
    main()
