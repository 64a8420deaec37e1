from . import backend
from .backend import check_strategy, is_first_worker
from .loop import Trained, Training, train
from .own_model import own_model_of
from .slurm import check_nodes, join_cluster

__all__ = [
    "Trained",
    "Training",
    "backend",
    "check_nodes",
    "check_strategy",
    "is_first_worker",
    "join_cluster",
    "own_model_of",
    "train",
]
