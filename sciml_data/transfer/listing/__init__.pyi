from .choose import AcceptedListing, list_files
from .listing import ListedFile, Listing, deviations, read_listing

__all__ = [
    "AcceptedListing",
    "ListedFile",
    "Listing",
    "deviations",
    "list_files",
    "read_listing",
]
