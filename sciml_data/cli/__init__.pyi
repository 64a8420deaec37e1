from .program import GROUPS, VERBS, group, main

__all__ = ["GROUPS", "VERBS", "group", "main"]
