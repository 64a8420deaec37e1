from .choose import AcceptedListing, list_files
from .expected import deviations
from .listing import ListedFile, Listing, read_listing

__all__ = [
    "AcceptedListing",
    "ListedFile",
    "Listing",
    "deviations",
    "list_files",
    "read_listing",
]
