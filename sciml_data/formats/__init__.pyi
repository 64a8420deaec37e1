from .hdf5_files import open_hdf5, open_netcdf, open_netcdf_files, report_damage
from .interface import (
    NOTICES,
    Format,
    Native,
    Shard,
    find_format,
    load_format,
    one_to_one,
    require_format,
    views_of,
)

__all__ = [
    "NOTICES",
    "Format",
    "Native",
    "Shard",
    "find_format",
    "load_format",
    "one_to_one",
    "open_hdf5",
    "open_netcdf",
    "open_netcdf_files",
    "report_damage",
    "require_format",
    "views_of",
]
