"""Turn verified native files into analysis-ready NetCDF-4, the same bytes each time.

A dataset is converted shard by shard. A shard is a pure function of its own native files and of
the options, so any `concurrent.futures` executor may make it, here or on a Dask cluster that sees
the same folders. Each is written under a temporary name and renamed when whole: what was made
before a cut, or before more was fetched, is not made again.

    conversion  which shards are to be made, and what is said of it
    shard       one ready file
    folder      the folder of the ready files and its notes
    work        shards given out to processes, threads or a cluster
    cluster     the way to Dask
"""

from sciml_data.ready.convert.conversion import convert as convert
from sciml_data.ready.convert.folder import find_converted as find_converted
from sciml_data.ready.convert.folder import ready_folder as ready_folder
from sciml_data.ready.convert.folder import shards_of_split as shards_of_split
