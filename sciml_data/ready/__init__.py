"""The analysis-ready form of a dataset: NetCDF-4 files, made from native files and opened lazily.

conversion   native files -> ready files
folder       folder of the ready files, its record, journal and manifest
shards       making of ready files, by processes, threads or a cluster
cluster      workers of a Dask cluster
open         ready files -> xarray.Dataset
verification ready files against the hashes of their manifest
lazy_values  values that fail by name if their file changed after it was opened
loaders      samples as NumPy batches and as PyTorch datasets
patches      patches and windows of ready scenes
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
