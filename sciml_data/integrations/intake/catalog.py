"""What `intake.cat.sciml_data` is: the catalogue of the registry that the command line finds.

Intake loads it by the entry point `intake.catalogs`. It is read anew each time it is asked for,
so that `SCIML_DATA_REGISTRY` may be set after Intake was imported.
"""

from __future__ import annotations

from typing import Any

from sciml_data.errors import CallError
from sciml_data.registry.layout import find_registry

CATALOG = "catalog/sciml.yaml"


def open_registry_catalog() -> Any:
    """Return the Intake catalogue (V1) of the registry that the environment names.

    Raises:
        CallError: the registry has none.
    """
    import intake

    path = find_registry().root / CATALOG
    if not path.is_file():
        raise CallError(
            f"the registry {path.parent.parent} has no {CATALOG}",
            untouched="nothing was read",
            hint="sciml-data derive --registry DIR",
        )
    return intake.open_catalog(str(path))


def __getattr__(name: str) -> Any:
    """Make `catalog` when it is asked for: importing this module opens nothing."""
    if name != "catalog":
        raise AttributeError(name)
    return open_registry_catalog()
