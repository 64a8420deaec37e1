from .models import write_sample

__all__ = ["write_sample"]
