"""Earthquakes of any period, asked of an FDSN event service (USGS ComCat and its replays)."""

from sciml_data.transfer.protocols.fdsn.live import fetch_live as fetch_live
from sciml_data.transfer.protocols.fdsn.service import Clock as Clock
from sciml_data.transfer.protocols.fdsn.table import merge_windows as merge_windows
