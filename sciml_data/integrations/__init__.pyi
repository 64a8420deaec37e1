from . import datalad, intake, invenio
from .pooch import DatasetPooch
from .pooch_registry import to_pooch_registry
from .tensorflow import as_tf_dataset

__all__ = ["DatasetPooch", "as_tf_dataset", "datalad", "intake", "invenio", "to_pooch_registry"]
