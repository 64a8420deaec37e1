from .drawing import OVERVIEW_NAME, Overview, draw_overview, find_ready_parts, read_overview

__all__ = ["OVERVIEW_NAME", "Overview", "draw_overview", "find_ready_parts", "read_overview"]
