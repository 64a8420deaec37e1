from . import datalad, intake
from .pooch import DatasetPooch
from .pooch_registry import to_pooch_registry
from .tensorflow import as_tf_dataset

__all__ = ["DatasetPooch", "as_tf_dataset", "datalad", "intake", "to_pooch_registry"]
