from .derive import derived_files, drift, write_derived
from .diff import Difference, FileChanges, ValueChange, diff_versions
from .history import changed_since
from .inventory import propose_arrays, take_inventory
from .links import ask_links, links_of, new_report, read_latest, write_report
from .new import start_dataset
from .pin import Pin, check_pinnable, pin_fetched, pin_listing, pull_request, write_pin
from .pin_ready import ReadyPin, pin_ready, ready_pull_request

__all__ = [
    "Difference",
    "FileChanges",
    "Pin",
    "ReadyPin",
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
    "pin_ready",
    "propose_arrays",
    "pull_request",
    "read_latest",
    "ready_pull_request",
    "start_dataset",
    "take_inventory",
    "write_derived",
    "write_pin",
    "write_report",
]
