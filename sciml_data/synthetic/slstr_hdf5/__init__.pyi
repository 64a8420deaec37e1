from .granules import DEFAULTS, write_sample

__all__ = ["DEFAULTS", "write_sample"]
