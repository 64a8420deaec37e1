from .derive import derived_files, drift, write_derived
from .diff import Difference, FileChanges, ValueChange, diff_versions
from .history import changed_since
from .inventory import propose_arrays, take_inventory
from .new import start_dataset
from .pin import Pin, check_pinnable, pin_fetched, pin_listing, pull_request, write_pin

__all__ = [
    "Difference",
    "FileChanges",
    "Pin",
    "ValueChange",
    "changed_since",
    "check_pinnable",
    "derived_files",
    "diff_versions",
    "drift",
    "pin_fetched",
    "pin_listing",
    "propose_arrays",
    "pull_request",
    "start_dataset",
    "take_inventory",
    "write_derived",
    "write_pin",
]
