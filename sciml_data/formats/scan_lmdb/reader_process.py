"""A program that reads an LMDB database for another process: a damaged page ends only this one.

It runs as a file, `reader_process.py PATH` with PATH the data file, and so imports nothing of this
package. A line on stdin is a key in hexadecimal; an empty line asks for all keys. Each answer on
stdout:

    1 byte   v value, k a key (as many as there are, then an empty one), - no such key, ! error
    uint64   size in bytes of the text that follows
    text     the value, the key, or what is wrong

Keys are listed without the lengths of their values: the package lmdb reads a whole value, from
disk if need be, before it gives the length.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from typing import Any

HEADER = struct.Struct("<cQ")


def main(path: Path) -> None:
    """Answer until stdin ends."""
    import lmdb

    write = sys.stdout.buffer.write
    try:
        environment: Any = lmdb.open(
            str(path), subdir=False, readonly=True, lock=False, create=False, readahead=False
        )
    except lmdb.Error as error:
        write(_frame(b"!", str(error).encode()))
        return
    with environment, environment.begin(buffers=True) as transaction:
        for line in sys.stdin:
            try:
                if line == "\n":
                    _keys(transaction, environment.stat()["entries"])
                else:
                    _value(transaction, bytes.fromhex(line))
            except lmdb.Error as error:
                write(_frame(b"!", str(error).encode()))
            sys.stdout.buffer.flush()


def _keys(transaction: Any, limit: int) -> None:
    """Write every key; of a value no more than the first page is read."""
    write = sys.stdout.buffer.write
    for number, key in enumerate(transaction.cursor().iternext(keys=True, values=False)):
        if number == limit:  # a damaged tree may lead in circles
            write(_frame(b"!", f"more keys than the {limit} that its head counts".encode()))
            return
        write(_frame(b"k", bytes(key)))
    write(_frame(b"k", b""))


def _value(transaction: Any, key: bytes) -> None:
    value = transaction.get(key)
    if value is None:
        sys.stdout.buffer.write(_frame(b"-", b""))
        return
    sys.stdout.buffer.write(HEADER.pack(b"v", len(value)))
    sys.stdout.buffer.write(value)


def _frame(kind: bytes, text: bytes) -> bytes:
    return HEADER.pack(kind, len(text)) + text


if __name__ == "__main__":
    main(Path(sys.argv[1]))
