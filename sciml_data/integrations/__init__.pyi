from . import datalad, intake
from .pooch import DatasetPooch

__all__ = ["DatasetPooch", "datalad", "intake"]
