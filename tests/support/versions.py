"""Every version of the built-in registry, to run a test on each of them."""

from __future__ import annotations

import pytest

from sciml_data.registry.layout import find_registry

REGISTRY = find_registry()
VERSIONS = [
    (dataset, version) for dataset in REGISTRY.datasets() for version in REGISTRY.versions(dataset)
]
every_version = pytest.mark.parametrize("of", VERSIONS, ids=lambda of: f"{of[0]}-{of[1]}")
# rdflib's parser of JSON-LD uses a deprecated graph of its own.
rdflib_warns = pytest.mark.filterwarnings(
    "ignore:ConjunctiveGraph is deprecated:DeprecationWarning"
)
