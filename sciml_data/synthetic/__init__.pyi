from .make import (
    Generator,
    existing_sample,
    load_generator,
    make_sample,
    progress_lines,
    sample_overrides,
    sample_settings,
)

__all__ = [
    "Generator",
    "existing_sample",
    "load_generator",
    "make_sample",
    "progress_lines",
    "sample_overrides",
    "sample_settings",
]
