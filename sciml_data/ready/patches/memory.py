"""Memory that is used again when no array lies in it any more.

A batch of 32 patches has 75 MB. Asked of the system anew each time, it costs as much CPU time as
reading and unpacking do: pages are cleared, and put together to large ones.
"""

from __future__ import annotations

import weakref
from collections import defaultdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

# TensorFlow takes an array that is aligned so as it is, and copies any other
# (EIGEN_MAX_ALIGN_BYTES, tensorflow/python/lib/core/py_func.cc).
ALIGNMENT = 64


class _Lease:
    """What an array in lent memory keeps alive; when it goes, the memory may be lent again."""

    def __init__(self, address: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.__array_interface__ = {
            "shape": shape,
            "typestr": dtype.str,
            "data": (address, False),
            "version": 3,
        }


class Pool:
    """Lends memory to arrays, to any number of threads at once."""

    def __init__(self) -> None:
        self._free: defaultdict[int, list[NDArray[np.uint8]]] = defaultdict(list)

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return an array of whatever the memory has, aligned.

        It goes back when neither this array nor a view of it is left.
        """
        free = self._free[int(np.prod(shape)) * dtype.itemsize]
        try:
            block = free.pop()
        except IndexError:
            size = int(np.prod(shape)) * dtype.itemsize
            block = np.empty(size + ALIGNMENT, np.uint8)
        address = block.ctypes.data
        lease = _Lease(address + -address % ALIGNMENT, shape, dtype)
        weakref.finalize(lease, free.append, block).atexit = False
        return np.asarray(lease)
