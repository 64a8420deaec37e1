from .derive import derived_files, drift, write_derived
from .diff import Difference, FileChanges, ValueChange, diff_versions
from .history import changed_since
from .inventory import propose_arrays, take_inventory
from .links import ask_links, links_of, new_report, read_latest, write_report
from .new import start_dataset
from .pin import Pin, check_pinnable, pin_fetched, pin_listing, pull_request, write_pin

__all__ = [
    "Difference",
    "FileChanges",
    "Pin",
    "ValueChange",
    "ask_links",
    "changed_since",
    "check_pinnable",
    "derived_files",
    "diff_versions",
    "drift",
    "links_of",
    "new_report",
    "pin_fetched",
    "pin_listing",
    "propose_arrays",
    "pull_request",
    "read_latest",
    "start_dataset",
    "take_inventory",
    "write_derived",
    "write_pin",
    "write_report",
]
