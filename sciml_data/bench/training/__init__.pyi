from . import backend
from .backend import check_strategy, is_first_worker
from .loop import Trained, Training, train
from .slurm import check_nodes, join_cluster

__all__ = [
    "Trained",
    "Training",
    "backend",
    "check_nodes",
    "check_strategy",
    "is_first_worker",
    "join_cluster",
    "train",
]
