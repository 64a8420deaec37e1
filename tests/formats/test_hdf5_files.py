"""A file of a stranger cannot make HDF5 open another file, load a program, or fill the memory."""

from __future__ import annotations

import ast
import os
import re
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

from sciml_data.bench.scoring.predictions import Predictions, load_predictions, save_predictions
from sciml_data.curate.inventory import propose_arrays
from sciml_data.errors import ConversionError, NativeFormatError, RecordError, SciMLDataError
from sciml_data.formats import hdf5_files, open_hdf5, open_netcdf, open_netcdf_files
from sciml_data.formats.hdf5_files import MAX_DEPTH
from sciml_data.formats.interface import FREE_BYTES, MAX_EXPANSION
from sciml_data.ready.patches.scenes import read_header
from sciml_data.registry.manifest import manifest_of
from tests.support.paths import ROOT
from tests.support.problems import kinds_and_places
from tests.support.small_formats import read_small, small_native, write_small

SECRET = b"-----BEGIN OPENSSH PRIVATE KEY-----"
LENGTH = 1000
Spoil = Callable[[h5py.File, Path], None]


def external_storage(file: h5py.File, secret: Path) -> None:
    file.create_dataset("leak", (LENGTH,), "u1", external=[(str(secret), 0, LENGTH)])


def external_storage_without_end(file: h5py.File, secret: Path) -> None:
    file.create_dataset("leak", (1,), "u1", external=[(str(secret), 0, h5py.h5f.UNLIMITED)])


def external_link(file: h5py.File, secret: Path) -> None:
    file["leak"] = h5py.ExternalLink(f"{secret}.h5", "/key")


def external_link_in_a_group(file: h5py.File, secret: Path) -> None:
    file["deep/leak"] = h5py.ExternalLink(f"{secret}.h5", "/key")


def soft_link_out_of_the_file(file: h5py.File, secret: Path) -> None:
    file["leak"] = h5py.SoftLink(str(secret))


def soft_links_in_circles(file: h5py.File, secret: Path) -> None:
    file["leak"], file["other"] = h5py.SoftLink("/other"), h5py.SoftLink("/leak")


def virtual_dataset(file: h5py.File, secret: Path) -> None:
    layout = h5py.VirtualLayout((LENGTH,), "u1")
    layout[:] = h5py.VirtualSource(f"{secret}.h5", "key", (LENGTH,))
    file.create_virtual_dataset("leak", layout)


def virtual_dataset_without_a_source(file: h5py.File, secret: Path) -> None:
    file.create_virtual_dataset("leak", h5py.VirtualLayout((LENGTH,), "u1"), fillvalue=1)


def plug_in(file: h5py.File, secret: Path) -> None:
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((10,))
    properties.set_filter(40_000, h5py.h5z.FLAG_OPTIONAL, ())
    space = h5py.h5s.create_simple((10,))
    h5py.h5d.create(file.id, b"leak", h5py.h5t.NATIVE_INT32, space, properties)


def never_written(file: h5py.File, secret: Path) -> None:
    file.create_dataset("leak", (2**40,), "f8", chunks=(2**16,), fillvalue=1.0)


def never_written_in_many_arrays(file: h5py.File, secret: Path) -> None:
    for number in range(40):
        file.create_dataset(f"leak/{number}", (2**23,), "f8")


def beyond_64_bits(file: h5py.File, secret: Path) -> None:
    file.create_dataset("leak", (2**31, 2**31, 2), "f8", chunks=(1, 1, 2))


def deflated_to_nothing(file: h5py.File, secret: Path) -> None:
    shape, chunk = (2000, 2**20), zlib.compress(bytes(2**20))
    array = file.create_dataset("leak", shape, "u1", chunks=(1, shape[1]), compression="gzip")
    for number in range(len(array)):
        array.id.write_direct_chunk((number, 0), chunk)


def deflated_chunk_that_is_too_large(file: h5py.File, secret: Path) -> None:
    array = file.create_dataset("leak", (10, 10), "u1", chunks=(5, 10), compression="gzip")
    array.id.write_direct_chunk((5, 0), zlib.compress(bytes(20 * 2**20)))


def deflated_twice(file: h5py.File, secret: Path) -> None:
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((10,))
    properties.set_deflate(4)
    properties.set_deflate(4)
    space = h5py.h5s.create_simple((10,))
    h5py.h5d.create(file.id, b"leak", h5py.h5t.NATIVE_INT32, space, properties)


def deep_groups(file: h5py.File, secret: Path) -> None:
    file.create_group("/".join(["leak"] * (MAX_DEPTH + 2)))


LEAKS: dict[str, tuple[Spoil, ...]] = {
    "link": (
        external_storage, external_storage_without_end, external_link, external_link_in_a_group,
        soft_link_out_of_the_file, soft_links_in_circles, virtual_dataset,
        virtual_dataset_without_a_source,
    ),
    "filter": (plug_in, deflated_twice),
    "size": (
        never_written, never_written_in_many_arrays, beyond_64_bits, deflated_to_nothing,
        deflated_chunk_that_is_too_large,
    ),
    "objects": (deep_groups,),
}  # fmt: skip
CASES = [
    pytest.param(kind, leak, id=leak.__name__) for kind, leaks in LEAKS.items() for leak in leaks
]


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """Return a private file; beside it, an HDF5 file with the same content."""
    path = tmp_path / "victim" / "id_rsa"
    path.parent.mkdir()
    path.write_bytes(SECRET * (LENGTH // len(SECRET) + 1))
    with h5py.File(f"{path}.h5", "w") as file:
        file["key"] = np.frombuffer(path.read_bytes(), np.uint8)[:LENGTH]
    return path


def spoilt(path: Path, leak: Spoil, secret: Path) -> Path:
    """Return the path of a file to which a leak is added; a missing one is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "a") as file:
        leak(file, secret)
    return path


def kinds(error: SciMLDataError) -> set[str]:
    return {problem.kind for problem in error.problems}


@pytest.mark.parametrize(("kind", "leak"), CASES)
def test_a_file_that_is_not_complete_in_itself_is_refused_by_name(
    tmp_path: Path, secret: Path, kind: str, leak: Spoil
) -> None:
    path = spoilt(tmp_path / "strange.h5", leak, secret)

    for opener in (open_hdf5, open_netcdf):
        with (
            pytest.raises(RecordError, match=r"strange\.h5") as error,
            opener(path, error=RecordError),
        ):
            pass
        assert kinds(error.value) == {kind}
        assert all("leak" in problem.place or "other" in problem.place
                   for problem in error.value.problems)  # fmt: skip
    with pytest.raises(ConversionError):
        open_netcdf_files([path], error=ConversionError)


HDF5_FORMATS = ("candle_joined", "cbed_hdf5", "hdf5_arrays", "slstr_hdf5", "slstr_sen3")


@pytest.fixture(scope="module", params=HDF5_FORMATS)
def small(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return the name of a native format, and a folder with small files of it."""
    root = tmp_path_factory.mktemp(request.param)
    write_small(request.param, root)
    return request.param, root


@pytest.mark.parametrize(("kind", "leak"), CASES)
def test_every_native_format_refuses_it_by_name(
    small: tuple[str, Path], tmp_path: Path, secret: Path, kind: str, leak: Spoil
) -> None:
    name, sound = small
    root = Path(shutil.copytree(sound, tmp_path / "native"))
    path = next(path for path in sorted(root.rglob("*")) if path.is_file())
    spoilt(path, leak, secret)

    with pytest.raises(NativeFormatError, match=path.name) as error:
        list(read_small(name, root))

    assert kind in kinds(error.value)


def test_an_array_of_the_descriptor_cannot_be_a_private_file(tmp_path: Path, secret: Path) -> None:
    write_small("hdf5_arrays", tmp_path / "native")
    native = small_native("hdf5_arrays", tmp_path / "native")
    array = native.block["arrays"]["min_data"]["energy"]
    with h5py.File(native.root / array["file"], "r+") as file:
        shape, dtype = file[array["key"]].shape, file[array["key"]].dtype
        del file[array["key"]]
        size = int(np.prod(shape)) * dtype.itemsize
        file.create_dataset(array["key"], shape, dtype, external=[(str(secret), 0, size)])

    with pytest.raises(NativeFormatError) as error:
        list(read_small("hdf5_arrays", native.root))

    assert str(secret) in str(error.value)


@pytest.mark.parametrize(("kind", "leak"), CASES)
def test_a_new_dataset_is_not_proposed_of_it(
    tmp_path: Path, secret: Path, kind: str, leak: Spoil
) -> None:
    spoilt(tmp_path / "raw" / "strange.h5", leak, secret)

    with pytest.raises(NativeFormatError) as error:
        propose_arrays(tmp_path / "raw", manifest_of(tmp_path / "raw"))

    assert kinds(error.value) == {kind}


@pytest.mark.parametrize(("kind", "leak"), CASES)
def test_predictions_and_ready_scenes_are_not_read_of_it(
    tmp_path: Path, secret: Path, kind: str, leak: Spoil
) -> None:
    path = tmp_path / "predictions.nc"
    values = np.zeros(3, np.float32)
    parts = {"test": Predictions(values, values, {"sample": np.arange(3)})}
    save_predictions(path, parts, synthetic=True)
    spoilt(path, leak, secret)

    with pytest.raises(RecordError, match=r"predictions\.nc") as error:
        load_predictions(path)
    header, problems = read_header(path)

    assert kinds(error.value) == {"predictions"}
    assert header is None
    assert {problem.kind for problem in problems} == {kind}


# --- what is accepted ----------------------------------------------------------------------------


def test_links_inside_a_file_and_references_are_harmless(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["group/values"] = np.arange(3)
        file["group/circle"] = file["group"]
        file["soft"] = h5py.SoftLink("/group/circle/circle/values")
        file["reference"] = file["group/values"].ref
        file["region"] = file["group/values"].regionref[:2]
        file["type"] = np.dtype("f8")
        file["none"] = h5py.Empty("f4")
        file["caf\xe9"] = "text"

    with open_hdf5(tmp_path / "a.h5") as file:
        assert file["soft"][:].tolist() == [0, 1, 2]
        assert file[file["reference"][()]].name == "/group/values"


def test_a_file_may_be_smaller_than_its_arrays_by_the_factor_of_the_rule(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("stored", data=np.ones(2**20, np.uint8))
        file.create_dataset(
            "empty", (FREE_BYTES + (MAX_EXPANSION - 1) * 2**20,), "u1", chunks=(2**20,)
        )
    with open_hdf5(tmp_path / "a.h5"):
        pass

    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file.create_dataset("more", (MAX_EXPANSION * 2**17,), "u1", chunks=(2**20,))
    with pytest.raises(NativeFormatError, match="at most"), open_hdf5(tmp_path / "a.h5"):
        pass


def test_a_list_of_objects_without_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for number in range(12):
            file.create_group(f"{number % 3}/{number}")
    monkeypatch.setattr("sciml_data.formats.hdf5_files.MAX_OBJECTS", 15)
    with open_hdf5(tmp_path / "a.h5"):
        pass

    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file.create_group("another")
    with (
        pytest.raises(NativeFormatError, match="more than 15 objects"),
        open_hdf5(tmp_path / "a.h5"),
    ):
        pass


def with_heap(path: Path) -> int:
    """Write a file with a text in a global heap, and return the heap's offset."""
    with h5py.File(path, "w") as file:
        file.create_dataset("texts", data=["one", "two"], dtype=h5py.string_dtype())
    return path.read_bytes().index(b"GCOL\x01")


def overwrite(path: Path, offset: int, content: bytes) -> None:
    with path.open("r+b") as stream:
        stream.seek(offset)
        stream.write(content)


@pytest.mark.parametrize(
    ("offset", "content"),
    [
        (16, bytes(16)),
        (16 + 8, (2**64 - 16).to_bytes(8, "little")),
        (40, bytes(16)),
    ],
    ids=["free space without a size", "a size that becomes zero", "the second object"],
)
def test_a_heap_that_hdf5_would_read_without_end_is_refused(
    offset: int, content: bytes, tmp_path: Path
) -> None:
    """Found by `nox -s attack`: HDF5 1.14 does not return, and Ctrl-C does not end it."""
    path = tmp_path / "file.h5"
    overwrite(path, with_heap(path) + offset, content)

    with pytest.raises(NativeFormatError) as error, open_hdf5(path):
        pass  # a value is not read: that would not end

    assert kinds_and_places(error) == [("heap", "file.h5")]


def test_predictions_with_such_a_heap_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "predictions.nc"
    values = np.zeros((2, 1), "float32")
    axes = {"row": np.array(["a", "b"], dtype=object), "output": np.array(["x"], dtype=object)}
    save_predictions(path, {"test": Predictions(values, values, axes)}, synthetic=False)
    content = path.read_bytes()
    for match in re.finditer(re.escape(b"GCOL\x01"), content):
        overwrite(path, match.start() + 16, bytes(16))

    with pytest.raises(RecordError, match="global heap"):
        load_predictions(path)


@pytest.mark.parametrize("block_bytes", [7, 4096, 1 << 24])
def test_a_heap_is_found_wherever_it_begins(
    block_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hdf5_files, "SCAN_BYTES", block_bytes)
    path = tmp_path / "file.h5"
    start = with_heap(path)

    assert list(hdf5_files._heap_starts(path)) == [start]


def test_heaps_that_overlap_are_refused_soon(tmp_path: Path) -> None:
    path = tmp_path / "file.h5"
    with h5py.File(path, "w") as file:
        file["values"] = np.frombuffer(
            (b"GCOL\x01\0\0\0" + (10**6).to_bytes(8, "little")) * 10**5, "u1"
        )

    with pytest.raises(NativeFormatError) as error, open_hdf5(path):
        pass

    assert kinds_and_places(error) == [("heap", "file.h5")]


def test_values_that_look_like_a_heap_are_read(tmp_path: Path) -> None:
    path = tmp_path / "file.h5"
    values = np.frombuffer(b"GCOL\x01 is a signature", "u1")
    with h5py.File(path, "w") as file:
        file["values"] = values
        file.create_dataset("texts", data=["x" * 5000, ""], dtype=h5py.string_dtype())

    with open_hdf5(path) as file:
        assert file["values"][()].tobytes() == values.tobytes()
        assert file["texts"].asstr()[()].tolist() == ["x" * 5000, ""]


def test_a_verified_file_is_not_searched_and_a_search_is_made_later(tmp_path: Path) -> None:
    path = tmp_path / "file.h5"
    overwrite(path, with_heap(path) + 16, bytes(16))

    with open_hdf5(path, is_verified=True):
        pass
    with pytest.raises(NativeFormatError), open_hdf5(path):
        pass


def test_a_file_that_was_accepted_and_changed_is_checked_again(
    tmp_path: Path, secret: Path
) -> None:
    path = spoilt(tmp_path / "a.h5", lambda file, _: file.create_group("sound"), secret)
    before = path.stat()
    with open_hdf5(path):
        pass

    spoilt(path, external_storage, secret)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    with pytest.raises(NativeFormatError), open_hdf5(path):
        pass


# --- nobody opens files otherwise ----------------------------------------------------------------

# The only module that opens HDF5 or NetCDF files for reading. Writing is allowed where the mode is
# the literal "w": what a program has just made itself names no other file.
OPENER = ROOT / "sciml_data" / "formats" / "hdf5_files.py"
OPENERS = {
    "h5py.File", "h5netcdf.File", "h5netcdf.legacyapi.Dataset", "h5py.h5f.open", "h5f.open",
    "xr.open_dataset", "xr.open_mfdataset", "xr.open_dataarray", "xr.open_datatree",
    "xr.open_groups", "xr.load_dataset", "xr.load_dataarray", "xr.open_zarr",
    "pd.HDFStore", "pd.read_hdf", "netCDF4.Dataset", "tables.open_file",
    "scipy.io.netcdf_file", "scipy.io.loadmat", "netcdf_file", "HDFStore", "read_hdf",
}  # fmt: skip
LIBRARIES = {"xarray": "xr", "pandas": "pd"}
SOURCES = [
    path
    for folder in ("sciml_data", "runners")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path != OPENER
]


def opened_in(source: str) -> Iterator[str]:
    """Yield each mention of a function that opens a file of arrays, with its line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                name = f"{LIBRARIES.get(node.module, node.module)}.{alias.name}"
                if name in OPENERS:
                    yield f"{node.lineno}: {name}"
        is_new = (
            isinstance(node, ast.Call)
            and len(node.args) > 1
            and isinstance(node.args[1], ast.Constant)
            and node.args[1].value in {"w", "x"}
        )
        if isinstance(node, ast.Call) and not is_new:
            name = ast.unparse(node.func)
            first, _, rest = name.partition(".")
            if f"{LIBRARIES.get(first, first)}.{rest}".rstrip(".") in OPENERS:
                yield f"{node.lineno}: {name}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_of_arrays_are_opened_in_one_module_only(path: Path) -> None:
    assert list(opened_in(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        "import h5py\nh5py.File(path)",
        'h5py.File(path, "r")',
        'h5py.File(path, "a")',
        "h5py.File(path, mode)",
        "from h5py import File",
        "from xarray import open_dataset",
        "import xarray\nxarray.open_dataset(path)",
        "xr.open_mfdataset(paths)",
        "pandas.HDFStore(path)",
    ],
)
def test_an_opening_elsewhere_is_recognised(source: str) -> None:
    assert len(list(opened_in(source))) == 1


def test_writing_a_new_file_is_not_an_opening() -> None:
    assert list(opened_in('h5py.File(path, "w")')) == []


def test_netcdf_is_written_by_one_function() -> None:
    """It sees to it that a full disk is a sentence, and leaves times out."""
    writers = [
        str(path.relative_to(ROOT))
        for path in SOURCES
        if re.search(r"\.to_netcdf\(|dump_to_store\(|save_mfdataset\(", path.read_text("utf-8"))
    ]

    assert writers == ["sciml_data/ready/shards.py"]


def test_a_list_of_scales_that_is_too_long_is_refused(tmp_path: Path) -> None:
    """HDF5 would write beyond its memory, and the process would end by a signal."""
    path = tmp_path / "scales.nc"
    values = xr.Dataset({"x": (("row", "column"), np.zeros((6, 4)))})
    values.to_netcdf(path, engine="h5netcdf")
    with h5py.File(path, "r+") as file:
        scales = file["x"].attrs["DIMENSION_LIST"]
        del file["x"]
        file["x"] = np.zeros(24)
        file["x"].attrs["DIMENSION_LIST"] = scales

    with pytest.raises(NativeFormatError, match=r"scales\.nc") as error:
        open_netcdf(path)

    assert kinds(error.value) == {"dimensions"}
