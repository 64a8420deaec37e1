"""Write R data files for samples: what rdata writes, and S4 objects, which it does not.

An S4 object is written as its slots in a linked list of attributes, as R does.
"""

from __future__ import annotations

import bz2
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

S4_BIT = 1 << 4  # of an object's `gp`, R_ints 1.1.2


@dataclass(frozen=True)
class S4:
    """An object of a class of R's S4 system: its slots by name."""

    slots: Mapping[str, Any]


def write_objects(path: Path, objects: Mapping[str, Any]) -> None:
    """Write objects by name into a file that R's `load` reads; the same objects, the same bytes.

    Args:
        path: .rda or .RData file.
        objects: pandas frames, NumPy arrays, mappings as named lists, or S4.
    """
    from rdata.conversion.to_r import (
        DEFAULT_CLASS_MAP,
        ConverterFromPythonToR,
        build_r_object,
    )
    from rdata.parser import RObjectType
    from rdata.unparser._unparser import pack_r_object_info
    from rdata.unparser._xdr import UnparserXDR

    def s4_object(value: S4, converter: Any) -> Any:
        slots = converter.convert_to_r_attributes(dict(value.slots))
        return build_r_object(RObjectType.S4, is_object=True, attributes=slots, gp=S4_BIT)

    def unparse(one: Any) -> None:
        if one.info.type is not RObjectType.S4:
            plain(one)
            return
        unparser.unparse_int(pack_r_object_info(one.info))
        unparse(one.attributes)

    known = MappingProxyType({**DEFAULT_CLASS_MAP, S4: s4_object})
    converter = ConverterFromPythonToR(constructor_dict=known)
    content = io.BytesIO()
    content.write(b"RDX3\n")
    unparser: Any = UnparserXDR(content)
    plain = unparser.unparse_r_object
    unparser.unparse_r_object = unparse  # it calls itself by this name for what is inside
    unparser.unparse_r_data(converter.convert_to_r_data(dict(objects), file_type="rda"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bz2.compress(content.getvalue()))
