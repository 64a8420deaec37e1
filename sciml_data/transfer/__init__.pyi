from .adoption import adopt
from .download import existing_paths, fetch
from .listing import deviations, list_files
from .plan import amounts_left, make_plan
from .protocols import RetryPolicy, Source, configuration_path, user_mirrors
from .protocols.fdsn import fetch_live
from .verification import load_fetched, repair, verify

__all__ = [
    "RetryPolicy",
    "Source",
    "adopt",
    "amounts_left",
    "configuration_path",
    "deviations",
    "existing_paths",
    "fetch",
    "fetch_live",
    "list_files",
    "load_fetched",
    "make_plan",
    "repair",
    "user_mirrors",
    "verify",
]
