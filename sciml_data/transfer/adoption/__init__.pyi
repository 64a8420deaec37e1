from .importing import adopt

__all__ = ["adopt"]
