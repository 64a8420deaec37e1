"""Open HDF5 and NetCDF files of strangers: nothing outside the file is read, nothing is inflated.

An HDF5 file can name other files: as raw storage of an array (external storage), as the source of a
virtual dataset, or as the target of a link. HDF5 opens these without a question, so a downloaded
file could have a private file of this computer copied into a ready file. It can also ask for a
filter that HDF5 then loads as a program from a folder of plug-ins, and declare arrays of terabytes
in a kilobyte, as chunks that were never written or that deflate to nothing.

So each file is walked before a value is read, and refused by name if an object has any of that:

    link     external storage, virtual dataset, external or user-defined link, or a soft link that
             leads to no object of the file
    filter   a filter that neither HDF5, h5py nor hdf5plugin has
    size     arrays that are much larger than the file: see `max_content_bytes`
    objects  more objects, or deeper groups, than a file of arrays has
    heap     a global heap (texts and lists of any length) that HDF5 would read without end

The walk follows hard links, each object once, so links in circles end. Soft links lead to objects
that have a hard link as well. Object and region references are harmless: they lead to objects of
the same file. Attributes cannot be stored outside of the file.

These functions are the only place where HDF5 and NetCDF files are opened for reading; a test
compares the sources. NetCDF-3 files are not read at all.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
from h5py import h5a, h5d, h5g, h5l, h5o, h5t, h5z

from sciml_data.errors import CallError, ConversionError, NativeFormatError, Problem, SciMLDataError
from sciml_data.formats.interface import max_content_bytes
from sciml_data.progress import format_bytes

if TYPE_CHECKING:
    import xarray as xr
    from xarray.backends import BackendEntrypoint

DIMENSION_LIST = b"DIMENSION_LIST"  # attribute of an array: its dimension scales (HDF5)
LOCKS_HINT = "export HDF5_USE_FILE_LOCKING=FALSE, or import sciml_data before h5py"
# Compression makes a chunk larger by 0.1 % at most; plug-ins have a header of some bytes.
MAX_GROWTH, CHUNK_HEAD_BYTES = 1.01, 4096
MAX_OBJECTS = 100_000  # files of STEMDL have 320; a walk of this many takes 10 seconds
MAX_DEPTH = 64  # of groups
UNTOUCHED = "nothing of it was used"
# A global heap: signature and version, then its size (HDF5 File Format Specification 3.0, III.E).
HEAP, HEAP_HEAD_BYTES, MIN_HEAP_BYTES = b"GCOL\x01", 16, 4096
SCAN_BYTES = 1 << 24  # of a file at a time; 1.7 to 2.4 GB are searched in a second
MAX_NAMED = 20  # problems of one file; more are not searched for
# Filters that HDF5 and h5py have without a plug-in. `h5z.filter_avail` is not asked about others,
# because HDF5 would load plug-ins to answer.
BUILT_IN_FILTERS = frozenset(
    {
        h5z.FILTER_DEFLATE,
        h5z.FILTER_SHUFFLE,
        h5z.FILTER_FLETCHER32,
        h5z.FILTER_SZIP,
        h5z.FILTER_NBIT,
        h5z.FILTER_SCALEOFFSET,
        h5z.FILTER_LZF,
    }
)
# What h5py raises of damaged files. A TypeError comes of types that NumPy does not have, a
# SystemError of a failed call in Cython, a MemoryError of a length that cannot be true.
DAMAGED = (
    OSError,
    RuntimeError,
    LookupError,
    ValueError,
    TypeError,
    ArithmeticError,
    MemoryError,
    SystemError,
)

# Files without a problem. A run opens its ready files again and again, and a walk costs as much as
# reading a few variables. The time of the last change of the inode cannot be set by a program.
_checked: set[tuple[int, ...]] = set()


@contextmanager
def open_hdf5(
    path: Path,
    place: str = "",
    *,
    error: type[SciMLDataError] = NativeFormatError,
    is_verified: bool = False,
) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading, after a check that it is complete in itself.

    The file is closed at the end of the context. What h5py raises of damage inside the context
    becomes the given error, too.

    Args:
        path: of the file.
        place: its name in messages; the default is the file's name.
        error: class of the error.
        is_verified: whether the file was written by this program and its bytes were verified, as
            those of ready files are. Other files are read once more, to search for damaged heaps.

    Raises:
        SciMLDataError: of the given class; `.problems` names each object that is refused, or says
            why the file cannot be read.
        CallError: a filter comes with hdf5plugin, which is not installed.
    """
    place = place or path.name
    with report_damage(place, error), h5py.File(path, "r") as file:
        _require_complete(file, path, place, error, is_verified=is_verified)
        yield file


def open_netcdf(
    path: Path,
    *,
    group: str | None = None,
    chunks: Any = None,
    engine: str | type[BackendEntrypoint] = "h5netcdf",
    error: type[SciMLDataError] = NativeFormatError,
    is_verified: bool = False,
) -> xr.Dataset:
    """Open a NetCDF-4 file lazily, after the check of `open_hdf5`.

    Args:
        path: of the file.
        group: of the file; None is the root.
        chunks: as in `xarray.open_dataset`; None does not use dask.
        engine: that reads the file, a name or class of xarray.
        error: class of the error.
        is_verified: as in `open_hdf5`.

    Raises:
        SciMLDataError: of the given class, as `open_hdf5`.
    """
    import xarray as xr

    # Held open: xarray opens it again.
    with open_hdf5(path, error=error, is_verified=is_verified):
        return xr.open_dataset(path, engine=engine, group=group, chunks=chunks)


@contextmanager
def open_remote(file: Any, place: str) -> Iterator[h5py.File]:
    """Open a ready file on a mirror, of which every byte is checked when it is read.

    Values may be used after the context: its end raises an error if some could not be read.

    Args:
        file: binary stream with positions; its `require_complete` raises the error of a read.
        place: name of the file in messages.

    Raises:
        SciMLDataError: a read failed.
        ConversionError: the file cannot be read as HDF5.
    """
    try:
        with report_damage(place, ConversionError), h5py.File(file, "r") as opened:
            yield opened
    except ConversionError:
        file.require_complete()
        raise
    file.require_complete()


def open_remote_netcdf(
    file: Any, place: str, *, engine: type[BackendEntrypoint], chunks: Any = None
) -> xr.Dataset:
    """Open a ready file on a mirror lazily.

    Args:
        file: as in `open_remote`.
        place: name of the file in messages.
        engine: that reads the file and checks each value.
        chunks: as in `xarray.open_dataset`.

    Raises:
        SciMLDataError: as in `open_remote`.
    """
    import xarray as xr

    try:
        with report_damage(place, ConversionError):
            dataset = xr.open_dataset(file, engine=engine, chunks=chunks)
            file.require_complete()
            return dataset
    except ConversionError:
        file.require_complete()
        raise
    raise AssertionError  # `report_damage` ends nothing silently


def open_stored(path: Path, *, is_netcdf3: bool = False) -> xr.Dataset:
    """Open a native NetCDF file lazily with its stored numbers; packing and times stay attributes.

    Args:
        path: of the file.
        is_netcdf3: whether SciPy reads it, which has no check: NetCDF-3 can neither name other
            files nor be compressed.

    Raises:
        NativeFormatError: as `open_hdf5`.
    """
    import xarray as xr

    def opened(engine: Any) -> xr.Dataset:
        return xr.open_dataset(
            path,
            engine=engine,
            mask_and_scale=False,
            decode_times=False,
            decode_timedelta=False,
            decode_coords=False,
        )

    if is_netcdf3:
        return opened("scipy")
    with open_hdf5(path):  # held open: xarray opens it again
        return opened("h5netcdf")


def open_netcdf_files(
    paths: Sequence[Path],
    *,
    engine: str | type[BackendEntrypoint] = "h5netcdf",
    error: type[SciMLDataError] = NativeFormatError,
    is_verified: bool = False,
    **options: Any,
) -> xr.Dataset:
    """Open NetCDF-4 files as one dataset by `xarray.open_mfdataset`, each after the check.

    Args:
        paths: of the files.
        engine: that reads the files, a name or class of xarray.
        error: class of the error.
        is_verified: as in `open_hdf5`.
        **options: keywords of `xarray.open_mfdataset`.

    Raises:
        SciMLDataError: of the given class, as `open_hdf5`.
    """
    import xarray as xr

    for path in paths:
        with open_hdf5(path, error=error, is_verified=is_verified):
            pass
    with report_damage(str(paths[0].parent), error):
        return xr.open_mfdataset(paths, engine=engine, **options)
    raise AssertionError  # `report_damage` ends nothing silently


@contextmanager
def report_damage(place: str, error: type[SciMLDataError] = NativeFormatError) -> Iterator[None]:
    """Raise what h5py and xarray raise of damaged files as an error that names the file.

    Args:
        place: name of the file in messages.
        error: class of the error.

    Raises:
        SciMLDataError: of the given class.
    """
    try:
        yield
    except DAMAGED as damage:
        # HDF5's own trace, on further lines, helps nobody.
        reason = f"{type(damage).__name__}: {damage}".partition("\n")[0]
        problem = Problem("unreadable", place, f"cannot be read as HDF5: {reason}")
        message = f"{place} cannot be used"
        # h5py was imported before this package, which switches the locks of HDF5 off.
        hint = "" if "lock file" not in reason else LOCKS_HINT
        raise error(message, problems=[problem], untouched=UNTOUCHED, hint=hint) from damage


def _require_complete(
    file: h5py.File, path: Path, place: str, error: type[SciMLDataError], *, is_verified: bool
) -> None:
    """Raise an error unless a file is complete in itself; an unchanged file is walked once."""
    state = path.stat()
    key = (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
    if (*key, False) in _checked or (*key, is_verified) in _checked:
        return
    if not is_verified:  # before the walk, which may read heaps
        _, length_bytes = file.id.get_create_plist().get_sizes()
        if wrong := _damaged_heap(path, length_bytes):
            problems = [Problem("heap", place, wrong)]
            raise error(f"{place} cannot be used", problems=problems, untouched=UNTOUCHED)
    if problems := _Walk(place, state.st_size).problems_of(file):
        raise error(f"{place} cannot be used", problems=problems, untouched=UNTOUCHED)
    _checked.add((*key, is_verified))


def _damaged_heap(path: Path, length_bytes: int) -> str:
    """Return why HDF5 must not read the global heaps of a file; an empty text if it may.

    HDF5 1.14 steps through a heap by the size that each object states. A size of zero is a step of
    zero: the call never returns, and holds the interpreter's lock, so that Ctrl-C does not end it.
    A larger size, beyond the heap, is an error that HDF5 reports itself.
    """
    size_bytes = left_bytes = path.stat().st_size
    with path.open("rb") as stream:
        for number, start in enumerate(_heap_starts(path)):
            stream.seek(start)
            head = stream.read(HEAP_HEAD_BYTES)
            heap_bytes = int.from_bytes(head[8 : 8 + length_bytes], "little")
            # A search of heaps that overlap would take as long as their sum.
            if number > size_bytes // MIN_HEAP_BYTES or left_bytes < 0:
                return f"has more global heaps than fit into it, up to byte {start}"
            if start + heap_bytes > size_bytes:
                continue  # HDF5 refuses it; or these bytes are values that look like a heap
            left_bytes -= heap_bytes
            step = _endless_step(stream.read(heap_bytes - len(head)), length_bytes)
            if step is not None:
                at = start + HEAP_HEAD_BYTES + step
                return f"an object in the global heap at byte {start} has no size (byte {at})"
    return ""


def _heap_starts(path: Path) -> Iterator[int]:
    """Yield the offset of everything in a file that begins like a global heap."""
    keep = len(HEAP) - 1  # a signature may begin in one block and end in the next
    offset, block = 0, b""
    with path.open("rb") as stream:
        while more := stream.read(SCAN_BYTES):
            block = block[-keep:] + more
            at = block.find(HEAP)
            while at >= 0:
                yield offset + at
                at = block.find(HEAP, at + 1)
            offset += len(block) - keep


def _endless_step(heap: bytes, length_bytes: int) -> int | None:
    """Return where a step from object to object of a heap is zero; None if it ends."""
    at = 0
    while at + HEAP_HEAD_BYTES <= len(heap):
        size = int.from_bytes(heap[at + 8 : at + 8 + length_bytes], "little")
        if any(heap[at : at + 2]):  # an object: its head, and content in multiples of 8 bytes
            size = (HEAP_HEAD_BYTES + (size + 7) // 8 * 8) % (1 << 64)
        if size == 0:  # free space, with its head; or a sum beyond 64 bits
            return at
        at += size
    return None


@dataclass
class _Walk:
    """A walk through all objects of a file.

    Attributes:
        place: name of the file in messages.
        size_bytes: of the file.
        found: problems so far.
        declared: name and declared bytes of the largest array, and the sum of all.
    """

    place: str
    size_bytes: int
    found: list[Problem] = field(default_factory=list)
    largest: tuple[int, str] = (0, "")
    declared_bytes: int = 0

    def problems_of(self, file: h5py.File) -> list[Problem]:
        """Return everything for which the file is refused."""
        soft = self._hard_links(file.id)
        # Only now: to resolve a soft link could lead through an external link into another file.
        if not self.found:
            for name in soft:
                self._soft_link(file.id, name)
        allowed = max_content_bytes(self.size_bytes)
        if self.declared_bytes > allowed:
            message = (
                f"the arrays have {format_bytes(self.declared_bytes)} by their shapes, the file "
                f"has {format_bytes(self.size_bytes)}; at most {format_bytes(allowed)} are accepted"
            )
            self._add("size", self.largest[1], message)
        return self.found

    def _hard_links(self, root: h5g.GroupID) -> list[bytes]:
        """Visit every object, by its hard links, and return the paths of soft links."""
        soft: list[bytes] = []
        visited: set[int] = set()
        pending = [(root, b"", 0)]
        while pending and len(self.found) < MAX_NAMED:
            group, path, depth = pending.pop()
            if depth > MAX_DEPTH:
                self._add("objects", path, f"groups are more than {MAX_DEPTH} deep")
                break
            links = _links(group, MAX_OBJECTS - len(visited))
            if links is None:
                self._add("objects", path, f"the file has more than {MAX_OBJECTS} objects")
                break
            for name, kind, address in links:
                at = path + b"/" + name if path else name
                if kind == h5l.TYPE_SOFT:
                    soft.append(at)
                elif kind != h5l.TYPE_HARD:
                    self._add("link", at, "is an external link, which is not followed")
                elif address not in visited:
                    visited.add(address)
                    below = self._object(h5o.open(group, name), at)
                    pending += [(below, at, depth + 1)] if below is not None else []
        return soft

    def _object(self, item: Any, path: bytes) -> h5g.GroupID | None:
        """Check an array; return a group, which is to be visited."""
        if isinstance(item, h5d.DatasetID):
            self._dataset(item, path)
        return item if isinstance(item, h5g.GroupID) else None

    def _dataset(self, dataset: h5d.DatasetID, path: bytes) -> None:
        properties = dataset.get_create_plist()
        if properties.get_layout() == h5d.VIRTUAL:
            self._add("link", path, "is a virtual dataset: its values are in other files")
            return
        if properties.get_external_count():
            name = properties.get_external(0)[0].decode(errors="replace")
            self._add("link", path, f"its values are in another file, {name!r}, which is not read")
            return
        filters = [properties.get_filter(number) for number in range(properties.get_nfilters())]
        for code, _, _, name in filters:
            if code not in BUILT_IN_FILTERS:
                self._plugin(code, name.decode(errors="replace"), path)
        value_bytes = int(dataset.get_type().get_size())
        if filters and properties.get_layout() == h5d.CHUNKED:
            chunk_bytes = math.prod(properties.get_chunk()) * value_bytes
            self._chunks(dataset, [code for code, *_ in filters], chunk_bytes, path)
        shape = dataset.get_space().get_simple_extent_dims() or ()  # None of an empty dataspace
        self._dimension_list(dataset, len(shape), path)
        declared = math.prod(shape) * value_bytes
        self.declared_bytes += declared
        self.largest = max(self.largest, (declared, _text(path)))

    def _dimension_list(self, dataset: h5d.DatasetID, rank: int, path: bytes) -> None:
        """Refuse a list of dimension scales that is not as long as there are dimensions.

        HDF5 1.14 reads the whole list into room for one entry per dimension, and so writes beyond
        it: the process ends without a word.
        """
        if not h5a.exists(dataset, DIMENSION_LIST):
            return
        attribute = h5a.open(dataset, DIMENSION_LIST)
        entries = attribute.shape
        is_list = isinstance(attribute.get_type(), h5t.TypeVlenID)
        if entries != (rank,) or not is_list:
            message = f"its list of dimension scales has {entries} entries for {rank} dimensions"
            self._add("dimensions", path, message)

    def _chunks(
        self, dataset: h5d.DatasetID, codes: list[int], chunk_bytes: int, path: bytes
    ) -> None:
        """Refuse chunks that inflate to much more than the array has: HDF5 does not limit them."""
        if len(set(codes)) < len(codes):
            self._add("filter", path, f"has a filter twice: {codes}")
        limit = int(MAX_GROWTH * chunk_bytes) + CHUNK_HEAD_BYTES

        def larger(info: Any) -> int | None:
            return int(info.size) if info.size > limit else None  # anything but None ends the list

        if (stored := dataset.chunk_iter(larger)) is not None:
            message = f"a chunk of {chunk_bytes} bytes is stored in {stored} bytes"
            self._add("size", path, message)

    def _plugin(self, code: int, name: str, path: bytes) -> None:
        """Refuse a filter that hdf5plugin does not have; the others it registers when imported."""
        try:
            import hdf5plugin
        except ImportError as error:
            raise CallError(
                f"{self.place}:{_text(path)} is compressed with {name} ({code}), which HDF5 alone "
                "cannot read",
                untouched=UNTOUCHED,
                hint="pip install 'sciml-data[uno]'",
            ) from error
        if code not in hdf5plugin.FILTERS.values():
            message = f"needs the filter {name!r} ({code}): no plug-in is loaded for a data file"
            self._add("filter", path, message)

    def _soft_link(self, root: h5g.GroupID, path: bytes) -> None:
        try:
            h5o.open(root, path)
        except DAMAGED:
            self._add("link", path, "is a soft link that leads to no object of the file")

    def _add(self, kind: str, path: bytes | str, message: str) -> None:
        text = path if isinstance(path, str) else _text(path)
        self.found.append(Problem(kind, f"{self.place}:{text}", message))


def _links(group: h5g.GroupID, limit: int) -> list[tuple[bytes, int, Any]] | None:
    """Return name, kind and address of each link of a group; None if there are more than a limit.

    The number that the group states is not asked for: it may be wrong, and a damaged list endless.
    """
    found: list[tuple[bytes, int, Any]] = []

    def add(name: bytes, info: Any) -> bool | None:
        found.append((name, info.type, info.u))  # `info` is used again for the next link
        return True if len(found) > limit else None  # anything but None ends the list

    group.links.iterate(add, info=True)
    return found if len(found) <= limit else None


def _text(path: bytes) -> str:
    return path.decode(errors="replace")
