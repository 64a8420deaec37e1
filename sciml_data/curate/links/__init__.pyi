from .ask import LinkState, Outcome, ask_links
from .collect import Link, links_of
from .report import LinkReport, new_report, read_latest, write_report

__all__ = [
    "Link",
    "LinkReport",
    "LinkState",
    "Outcome",
    "ask_links",
    "links_of",
    "new_report",
    "read_latest",
    "write_report",
]
