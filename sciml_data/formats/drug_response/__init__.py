"""The ready form of drug responses: rows of indices, and one table for each kind of entity.

A row says which cell line, which drug or drugs, and what was measured. The features of cells and
drugs stand once in tables of their own, and the indices point into them: all sources of Uno joined
are 1,577 GB, as indices and tables 1.6 GB (25,303,046 rows times 15,580 columns times 4 bytes
against 19 bytes a row). A reader makes `Rows` by id and `Entities` of each kind, and joins them:

    joined, counts = join(rows, cells, drugs)
    dataset = merged(responses_dataset(joined, counts), cells_dataset(cells), drugs_dataset(drugs))

Of a split in many files each part is one of the three datasets. Features are as measured: filling
what is missing and scaling belong to whoever trains, from the training part alone.

Text is bytes of one length (NetCDF characters); `text_of` gives strings.

    rows      what was measured, by id and by index; the join, and its counts
    pairs     rows of two drugs, in the other order
    tables    cells, drugs and rows as variables, with units, attributes and encoding
    delimited, molecules, synthetic    what readers of responses have in common
"""

from sciml_data.formats.drug_response.pairs import swapped as swapped
from sciml_data.formats.drug_response.rows import NO_DRUG as NO_DRUG
from sciml_data.formats.drug_response.rows import REASONS as REASONS
from sciml_data.formats.drug_response.rows import Counts as Counts
from sciml_data.formats.drug_response.rows import Entities as Entities
from sciml_data.formats.drug_response.rows import Features as Features
from sciml_data.formats.drug_response.rows import Joined as Joined
from sciml_data.formats.drug_response.rows import Rows as Rows
from sciml_data.formats.drug_response.rows import join as join
from sciml_data.formats.drug_response.tables import cells_dataset as cells_dataset
from sciml_data.formats.drug_response.tables import drugs_dataset as drugs_dataset
from sciml_data.formats.drug_response.tables import merged as merged
from sciml_data.formats.drug_response.tables import responses_dataset as responses_dataset
from sciml_data.formats.drug_response.tables import text_of as text_of
