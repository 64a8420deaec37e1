"""The ready form of drug responses: rows of indices, and one table for each kind of entity.

A row says which cell line, which drug or drugs, and what was measured. The features of cells and
drugs are stored once, in tables of their own, and indices point into them: all sources of Uno
joined are 1,577 GB, as indices and tables 1.6 GB (25,303,046 rows times 15,580 columns times 4
bytes, against 19 bytes a row). A format makes `Rows` by id and `Entities` of each kind, and joins
them:

    joined, counts = join(rows, cells, drugs)
    dataset = merged(responses_dataset(joined, counts), cells_dataset(cells), drugs_dataset(drugs))

In a split of many files each file is one of the three datasets. Features are as measured: to fill
missing values and to scale is up to the training, which may look at its own part only.

Text is bytes of one length (NetCDF characters); `text_of` returns strings.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
