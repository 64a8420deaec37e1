"""Lazy values of ready files: a file that changes after it was checked is named when it is read.

`open_dataset` returns before values are read, and a program may read them hours later. Meanwhile
the file can be truncated or written again. HDF5 would return wrong numbers, or raise an error that
does not name the file. So the status of the file is compared after each read.
"""

from __future__ import annotations

import os
import weakref
from pathlib import Path
from typing import Any

from xarray import Dataset, Variable
from xarray.backends import H5NetCDFStore, StoreBackendEntrypoint
from xarray.backends.h5netcdf_ import H5NetCDFArrayWrapper
from xarray.core.indexing import LazilyIndexedArray

from sciml_data.errors import Problem, VerificationError


class ReadyEngine(StoreBackendEntrypoint):
    """The engine `h5netcdf` of xarray, for ready files that must not change."""

    def open_dataset(self, filename_or_obj: Any, *, group: None = None, **decoding: Any) -> Dataset:
        """Open a ready file.

        Args:
            filename_or_obj: path of the file.
            group: None; ready files have no groups.
            **decoding: keywords of `xarray.open_dataset`.
        """
        store = _ReadyStore.open(os.fspath(filename_or_obj), group=group)
        store.state = _state(store.path)
        try:
            return super().open_dataset(store, **decoding)
        except BaseException:
            store.close()
            raise


class _ReadyStore(H5NetCDFStore):
    """A ready file; its values are instances of `_CheckedArray`."""

    state: tuple[int, ...]  # of the file when it was opened

    @property
    def path(self) -> str:
        """Return the path of the file."""
        return str(self._filename)

    def open_store_variable(self, name: str, var: Any) -> Variable:
        """Return a variable whose values are read on access."""
        variable = super().open_store_variable(name, var)  # type: ignore[no-untyped-call]
        values = LazilyIndexedArray(_CheckedArray(name, self))  # type: ignore[no-untyped-call]
        return Variable(variable.dims, values, variable.attrs, variable.encoding)


class _CheckedArray(H5NetCDFArrayWrapper):
    """Values of a variable in a ready file."""

    __slots__ = ()

    def _getitem(self, key: Any) -> Any:
        store = self.datastore
        try:
            values = super()._getitem(key)  # type: ignore[no-untyped-call]
        except (OSError, RuntimeError) as error:  # of HDF5; a wrong index is another error
            reason = f"{self.variable_name} cannot be read: {error}".partition("\n")[0]
            raise _changed(store, reason) from error
        if _state(store.path) != store.state:  # afterwards: these values are those of the check
            raise _changed(store, "it was written to or removed after it was opened")
        return values


class RemoteEngine(StoreBackendEntrypoint):
    """The engine `h5netcdf` of xarray, for ready files on a mirror."""

    def open_dataset(self, filename_or_obj: Any, *, group: None = None, **decoding: Any) -> Dataset:
        """Open a remote ready file.

        Args:
            filename_or_obj: a `RemoteFile`.
            group: None; ready files have no groups.
            **decoding: keywords of `xarray.open_dataset`.
        """
        store = _RemoteStore.open(filename_or_obj, group=group)
        store.remote = filename_or_obj
        # Also at the end of the process: HDF5 would read by a stream that does not exist any more,
        # and end it by a segmentation fault. The traceback of an error may hold a file until then.
        weakref.finalize(store, store._manager.close)  # noqa: SLF001
        try:
            return super().open_dataset(store, **decoding)
        except BaseException:
            store.close()
            raise


class _RemoteStore(H5NetCDFStore):
    """A ready file on a mirror; its values are instances of `_RemoteArray`."""

    remote: Any  # the stream that HDF5 reads; its `error` is why bytes are missing

    def open_store_variable(self, name: str, var: Any) -> Variable:
        """Return a variable whose values are read on access."""
        variable = super().open_store_variable(name, var)  # type: ignore[no-untyped-call]
        values = LazilyIndexedArray(_RemoteArray(name, self))  # type: ignore[no-untyped-call]
        return Variable(variable.dims, values, variable.attrs, variable.encoding)


class _RemoteArray(H5NetCDFArrayWrapper):
    """Values of a variable in a ready file on a mirror."""

    __slots__ = ()

    def _getitem(self, key: Any) -> Any:
        remote = self.datastore.remote
        try:
            values = super()._getitem(key)  # type: ignore[no-untyped-call]
        except (OSError, RuntimeError):
            remote.require_complete()
            raise
        remote.require_complete()
        return values


def _state(path: str) -> tuple[int, ...]:
    try:
        state = os.lstat(path)
    except OSError:
        return ()
    return state.st_size, state.st_mtime_ns, state.st_ino


def _changed(store: Any, reason: str) -> VerificationError:
    path = store.path
    return VerificationError(
        f"the ready file {path} was changed while it was in use",
        problems=[Problem("changed", Path(path).name, reason)],
        untouched="nothing was changed",
        hint="open the dataset again: the files are checked, and the command is named that makes "
        "changed files again",
    )
