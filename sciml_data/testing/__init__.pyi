from . import faults
from .contracts import ExportContract, FormatContract, ProtocolContract, RegistryContract
from .datasets import change_descriptor, write_dataset, write_files, write_unpinned
from .fdsn_events import EventTable, from_frame, read_events
from .fdsn_server import FdsnServer
from .problem_contract import ProblemContract
from .s3_server import S3Server
from .server import FileServer, Request

__all__ = [
    "EventTable",
    "ExportContract",
    "FdsnServer",
    "FileServer",
    "FormatContract",
    "ProblemContract",
    "ProtocolContract",
    "RegistryContract",
    "Request",
    "S3Server",
    "change_descriptor",
    "faults",
    "from_frame",
    "read_events",
    "write_dataset",
    "write_files",
    "write_unpinned",
]
