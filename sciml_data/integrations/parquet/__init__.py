"""A ready dataset as a folder of Parquet files, for Hugging Face `datasets`, polars and DuckDB.

tables   variables of a dataset -> Arrow tables, one for each dimension of rows
plan     which tables of which splits become which files
croissant  croissant.json with the files and their records
card     README.md with the header that Hugging Face reads
export   writes the files, and resumes
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
