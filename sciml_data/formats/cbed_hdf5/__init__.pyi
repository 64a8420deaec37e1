from .format import Options, read, shards, stacked, texts
from .stacks import SHAPE_ATTRIBUTE, SPACE_GROUPS, STACK, stack_problem

__all__ = [
    "SHAPE_ATTRIBUTE",
    "SPACE_GROUPS",
    "STACK",
    "Options",
    "read",
    "shards",
    "stack_problem",
    "stacked",
    "texts",
]
