"""The samples of ready files are numbered, read in any order, and cached up to a budget."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from sciml_data.errors import CallError, ConversionError
from sciml_data.ready import (
    IndexSamples,
    SampleCache,
    SampleIndex,
    index_samples,
    numpy_batches,
)
from sciml_data.ready.folder import write_record
from sciml_data.ready.sample_places import find_places
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.registry.manifest import Manifest
from sciml_data.registry.stages import Converted

COLUMNS = {"label": None, "energy": np.nan, "material": "", "native_file": "", "native_sample": ""}
FILES = {"train": {"b.nc": (3, 10), "a.nc": (2, 0)}, "validation": {"c.nc": (4, 20)}}


def content(count: int, first: int, *, side: int = 4, scaling: str = "none") -> xr.Dataset:
    """Return the content of a file: sample n is filled with the number `first` + n."""
    values = np.arange(first, first + count, dtype=np.float32)[:, None, None]
    plane = ("sample", "y", "x")
    texts = {
        "material": [f"m{first + n}" for n in range(count)],
        "native_file": [f"file{first}"] * count,
        "native_sample": [str(n) for n in range(count)],
    }
    return xr.Dataset(
        {
            "image": (plane, np.broadcast_to(values, (count, side, side)), {"scaling": scaling}),
            "label": ("sample", np.arange(first, first + count, dtype=np.int16)),
            "energy": ((), np.float32(first)),
            **{name: ("sample", np.array(values, "S")) for name, values in texts.items()},
        },
        attrs={"title": f"from {first}"},
    )


def write(root: Path, files: Mapping[str, Mapping[str, xr.Dataset]]) -> Converted:
    root.mkdir(parents=True, exist_ok=True)
    for datasets in files.values():
        for name, dataset in datasets.items():
            dataset.to_netcdf(root / name, engine="h5netcdf")
    write_record(root, {"splits": {folder: list(names) for folder, names in files.items()}})
    descriptor = load_descriptor(find_registry(), "stemdl_cbed", "1.0")
    return Converted(descriptor, root, Manifest(()), "0" * 64, is_synthetic=True)


def samples() -> dict[str, dict[str, xr.Dataset]]:
    return {
        folder: {name: content(*ends) for name, ends in names.items()}
        for folder, names in FILES.items()
    }


def index_of(converted: Converted, **options: Any) -> SampleIndex:
    return index_samples(converted, ["image"], COLUMNS, **{"same": ["scaling"], **options})


@pytest.fixture
def index(tmp_path: Path) -> SampleIndex:
    return index_of(write(tmp_path, samples()))


def test_samples_are_in_the_order_of_folders_and_file_names(index: SampleIndex) -> None:
    assert [path.name for path in index.paths] == ["a.nc", "b.nc", "c.nc"]
    assert index["label"].tolist() == [0, 1, 10, 11, 12, 20, 21, 22, 23]
    assert index["folder"].tolist() == ["train"] * 5 + ["validation"] * 4
    assert index["name"].tolist()[:3] == ["file0:0", "file0:1", "file10:0"]
    assert index["energy"].tolist() == [0.0] * 2 + [10.0] * 3 + [20.0] * 4
    assert [str(index[name].dtype) for name in ("label", "energy")] == ["int64", "float64"]
    assert (len(index), dict(index.shapes)) == (9, {"image": (4, 4)})
    assert (index.attributes["scaling"], index.attributes["title"]) == ("none", "from 0")


def test_samples_are_read_in_the_order_of_their_numbers(index: SampleIndex) -> None:
    read = index.read("image", [5, 0, 4, 0])

    assert read[:, 0, 0].tolist() == [20, 0, 12, 0]
    assert (str(read.dtype), read.shape) == ("float32", (4, 4, 4))


@pytest.mark.parametrize(
    ("encoding", "is_plain"),
    [
        ({}, True),
        ({"chunksizes": (1, 4, 4)}, True),
        ({"chunksizes": (2, 4, 4)}, False),
        ({"chunksizes": (1, 4, 4), "zlib": True}, False),
        ({"dtype": "f8"}, False),
        ({"dtype": ">f4"}, False),
    ],
)
def test_samples_are_read_however_they_are_stored(
    tmp_path: Path, encoding: dict[str, Any], *, is_plain: bool
) -> None:
    dataset = content(5, 10)
    dataset["image"].encoding = encoding
    index = index_of(write(tmp_path, {"train": {"a.nc": dataset}}))

    assert index.read("image", [4, 0, 4, 2])[:, 3, 3].tolist() == [14, 10, 14, 12]
    offsets = find_places(index.paths[0], "image", np.float32).offsets
    assert (offsets is not None) == is_plain


def test_a_file_that_was_made_again_is_looked_at_again(tmp_path: Path) -> None:
    index = index_of(write(tmp_path, {"train": {"a.nc": content(3, 10)}}))
    assert index.read("image", [2])[0, 0, 0] == 12
    again = content(3, 20).assign_attrs(more="x" * 5000)  # values are at another place
    again.to_netcdf(tmp_path / "new.nc", engine="h5netcdf")
    (tmp_path / "new.nc").replace(index.paths[0])

    assert index.read("image", [0, 2])[:, 0, 0].tolist() == [20, 22]


def test_blocks_go_from_file_to_file(index: SampleIndex) -> None:
    numbers = np.array([8, 0, 3])
    blocks = list(index.blocks("image", numbers))

    assert [places.tolist() for places, _ in blocks] == [[1, 2, 0]]
    assert blocks[0][1][:, 0, 0].tolist() == [0, 11, 23]


@pytest.mark.parametrize("absent", [["material"], ["native_sample"], ["energy"]])
def test_columns_that_some_files_lack_are_unknown(tmp_path: Path, absent: list[str]) -> None:
    files = samples()
    files["validation"]["c.nc"] = files["validation"]["c.nc"].drop_vars(absent)
    index = index_of(write(tmp_path, files))

    assert index.is_known("material") is ("material" not in absent)
    assert index["material"][0] == "m0"
    assert np.isnan(index["energy"][-1]) == ("energy" in absent)
    assert index["name"][0] == ("a:0" if "native_sample" in absent else "file0:0")
    assert len(set(index["name"])) == len(index)


def test_text_is_read_from_letters_and_from_strings(tmp_path: Path) -> None:
    files = samples()
    texts = {"a.nc": np.array(["x", "yy"], object), "b.nc": np.array(["å", "", "z"], object)}
    for name, values in texts.items():
        files["train"][name]["material"] = ("sample", values)
    letters = np.array([b"na", b"c", b"de", b"fg"], "S2")  # stored with an axis of letters
    files["validation"]["c.nc"]["material"] = ("sample", letters)
    index = index_of(write(tmp_path, files))

    assert index["material"].tolist() == ["x", "yy", "å", "", "z", "na", "c", "de", "fg"]
    assert not index.is_known("material")


def test_arrays_that_some_files_lack_have_no_shape(tmp_path: Path) -> None:
    files = samples()
    files["train"]["a.nc"]["mask"] = files["train"]["a.nc"]["image"] > 0
    index = index_of(write(tmp_path, files), optional=["mask"])

    assert set(index.shapes) == {"image"}


def test_every_damaged_or_differing_file_is_named(tmp_path: Path) -> None:
    files = samples()
    files["train"]["b.nc"] = content(3, 10, side=2)
    files["validation"] |= {"d.nc": content(2, 30, scaling="log"), "e.nc": content(2, 40)}
    files["validation"]["f.nc"] = content(2, 50).drop_vars("label")
    files["validation"]["g.nc"] = content(2, 60)
    converted = write(tmp_path, files)
    (tmp_path / "c.nc").write_bytes((tmp_path / "c.nc").read_bytes()[:500])
    (tmp_path / "e.nc").unlink()

    with pytest.raises(ConversionError, match="6 problems") as error:
        index_of(converted, ranges={"label": (0, 60)})

    places = {problem.place: problem.kind for problem in error.value.problems}
    assert set(places) == {"b.nc", "c.nc", "d.nc", "e.nc", "f.nc", "g.nc"}
    assert [places[f"{name}.nc"] for name in "bdg"] == ["image", "scaling", "label"]
    assert "sciml-data convert stemdl_cbed --again" in str(error.value.hint)


def test_a_file_that_is_damaged_later_is_named(index: SampleIndex) -> None:
    index.paths[1].write_bytes(b"\x89HDF")

    assert index.read("image", [0, 8])[:, 0, 0].tolist() == [0, 23]
    with pytest.raises(ConversionError) as error:
        index.read("image", [0, 3])
    assert [problem.place for problem in error.value.problems] == ["b.nc"]
    assert "sciml-data convert stemdl_cbed --again" in str(error.value.hint)


@pytest.mark.parametrize("files", [{}, {"train": {"a.nc": content(0, 0)}}])
def test_files_without_a_sample_are_refused(
    tmp_path: Path, files: Mapping[str, Mapping[str, xr.Dataset]]
) -> None:
    with pytest.raises(CallError, match="stemdl_cbed has no ready samples"):
        index_of(write(tmp_path, files))


def test_a_cache_without_room_returns_the_same(index: SampleIndex) -> None:
    requests: list[list[int]] = []

    def prepare(numbers: Any) -> Any:
        requests.append(numbers.tolist())
        return index.read("image", numbers), numbers * 2

    room, none = (SampleCache(prepare, budget_bytes=size) for size in (1 << 20, 0))
    first = room.take([5, 1, 5]), none.take([5, 1, 5])
    again = room.take([1, 7]), none.take([1, 7])

    for pair in (*zip(*first, strict=True), *zip(*again, strict=True)):
        assert np.array_equal(*pair)
    assert first[0][1].tolist() == [10, 2, 10]
    assert (len(room), len(none)) == (3, 0)
    assert requests == [[5, 1], [5, 1], [7], [1, 7]]


def test_a_cache_stays_within_its_budget_when_threads_fill_it() -> None:
    def prepare(numbers: Any) -> Any:
        return (np.repeat(numbers[:, None], 100, axis=1),)

    cache = SampleCache(prepare, budget_bytes=50 * 800)
    threads = [threading.Thread(target=cache.take, args=(range(200),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(cache) == 50
    assert cache.take([199, 0])[0][:, 7].tolist() == [199, 0]


def test_an_index_is_read_in_batches(index: SampleIndex) -> None:
    samples = pickle.loads(pickle.dumps(IndexSamples(index, x="image", y="label")))  # noqa: S301 - ours
    batches = list(numpy_batches(samples, batch_size=4, seed=0))
    labels = np.concatenate([y for _, y in batches])

    assert [len(y) for _, y in batches] == [4, 4, 1]
    assert sorted(labels.tolist()) == index["label"].tolist()
    for x, y in batches:
        assert (x == y[:, None, None]).all()
    (empty,) = IndexSamples(index, x="image").read(np.arange(0))
    assert empty.shape == (0, 4, 4)


@pytest.mark.parametrize(("x", "y"), [("imag", "label"), ("image", "labl"), ("image", "material")])
def test_arrays_and_columns_that_cannot_be_read_are_refused(
    index: SampleIndex, x: str, y: str
) -> None:
    with pytest.raises(CallError, match="the index has no"):
        IndexSamples(index, x=x, y=y)
