from . import datalad, intake
from .pooch import DatasetPooch
from .pooch_registry import to_pooch_registry

__all__ = ["DatasetPooch", "datalad", "intake", "to_pooch_registry"]
