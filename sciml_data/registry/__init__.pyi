from .descriptor import Descriptor, check_descriptor, load_descriptor
from .layout import Registry, find_registry
from .manifest import Manifest, read_manifest
from .stages import Converted, Fetched, Plan, Verified

__all__ = [
    "Converted",
    "Descriptor",
    "Fetched",
    "Manifest",
    "Plan",
    "Registry",
    "Verified",
    "check_descriptor",
    "find_registry",
    "load_descriptor",
    "read_manifest",
]
