"""Patches of ready scenes: values of the files, each patch once an epoch, threads that end."""

from __future__ import annotations

import errno
import gc
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

from sciml_data.errors import CallError, ConversionError
from sciml_data.home import find_home
from sciml_data.ready import convert
from sciml_data.ready.own_rows import STRIDE, Comparison, OwnRows, batches_with
from sciml_data.ready.patches import (
    BatchContent,
    Patches,
    PatchGrid,
    Scenes,
    batch_indices,
    channel_statistics,
    find_scenes,
    list_patches,
    packing,
    read_batch,
    read_patch,
    stream,
    stream_scenes,
)
from sciml_data.ready.patches import batches as batches_module
from sciml_data.ready.patches import scenes as scenes_module
from sciml_data.ready.patches.reading import Window, expect_window, read_window
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.registry.stages import Converted, Verified
from sciml_data.synthetic.make import make_sample

SHAPE = (300, 320)  # two chunks of 256 along each axis, the second of each cut
SMALL = PatchGrid(size=64, stride=64)  # 4 x 5 on each scene
PIXELS = ("reflectance", "brightness_temperature", "cloud", "valid")


def converted_sample(home: Path, options: dict[str, Any], shape: tuple[int, int]) -> Converted:
    descriptor = load_descriptor(find_registry(), "cloud_slstr_ds1")
    sample = {"count": {"training": 2, "inference": 1}, "shape": list(shape)}
    descriptor = replace(descriptor, native={**descriptor.native, "sample": sample})
    made = make_sample(descriptor, find_home(home))
    verified = Verified(descriptor, made.folder, made.manifest, is_synthetic=True)
    return convert(verified, options=options)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module", params=["none", "gzip"])
def packed(request: pytest.FixtureRequest, home: Path) -> Converted:
    return converted_sample(home, {"compression": request.param}, SHAPE)


@pytest.fixture(scope="module")
def converted(home: Path) -> Converted:
    return converted_sample(home, {"compression": "none"}, SHAPE)


@pytest.fixture
def patches(converted: Converted) -> Patches:
    return list_patches(find_scenes(converted), SMALL)


@pytest.fixture
def copied(converted: Converted, tmp_path: Path) -> list[Path]:
    """Return copies of the ready files, to damage."""
    paths = []
    for path in sorted(converted.root.glob("*.nc")):
        paths.append(tmp_path / path.name)
        paths[-1].write_bytes(path.read_bytes())
    return paths


def opened(path: Path) -> xr.Dataset:
    with xr.open_dataset(path, engine="h5netcdf") as dataset:
        return dataset[list(PIXELS)].isel(scene=0).load()


def in_order(patches: Patches, **options: Any) -> list[int]:
    return [int(n) for batch in stream(patches, **options) for n in batch.index]


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def reading_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("patches")]


@pytest.mark.parametrize(
    "grid",
    [
        PatchGrid(edges="pad"),  # whole chunks and cut ones
        PatchGrid(size=100, stride=90, origin=(-7, 13), edges="pad"),  # across chunks and beyond
        PatchGrid(size=128, stride=128, origin="centre"),
    ],
)
def test_patches_hold_what_xarray_decodes(packed: Converted, grid: PatchGrid) -> None:
    scenes = find_scenes(packed)
    patches = list_patches(scenes, grid)
    expected = [opened(path) for path in scenes.paths]
    chosen = np.random.default_rng(1).permutation(len(patches))[:12]
    valid_pixels = 0
    for number, patch in zip(chosen, read_each(patches, chosen), strict=True):
        rows, columns, inside = placed(patches, int(number))
        window = expected[patches.scene[number]].isel(row=rows, column=columns)
        channels = np.concatenate([window[name].values for name in PIXELS[:2]], axis=-1)
        weight = (window["valid"].values == 1) & (window["cloud"].values != 255)

        assert (np.nan_to_num(channels, nan=0.0) == patch.inputs[0][inside]).all()
        assert (weight == patch.weights[0][inside]).all()
        assert (np.where(weight, window["cloud"].values, 0) == patch.labels[0][inside]).all()
        assert patch.weights[0].sum() == weight.sum()  # nothing counts beyond the scene
        valid_pixels += int(weight.sum())
    assert valid_pixels > 0


def read_each(patches: Patches, numbers: Any) -> Iterator[Any]:
    return (read_patch(patches, int(number)) for number in numbers)


def placed(patches: Patches, number: int) -> tuple[slice, slice, tuple[slice, slice]]:
    """Return rows and columns of a patch on its scene, and where they are in the patch."""
    along = []
    for start, length in zip((patches.row[number], patches.column[number]), SHAPE, strict=True):
        low, high = max(int(start), 0), min(int(start) + patches.size, length)
        along.append((slice(low, high), slice(low - int(start), high - int(start))))
    (rows, in_rows), (columns, in_columns) = along
    return rows, columns, (in_rows, in_columns)


def test_raw_channels_become_values_by_the_packing(patches: Patches) -> None:
    values = read_batch(patches, [0, 25], BatchContent(missing=np.nan)).inputs
    raw = read_batch(patches, [0, 25], BatchContent(raw=True)).inputs
    unpack = packing(patches.scenes)
    decoded = np.where(raw == unpack.fill, np.nan, raw * unpack.scale + unpack.offset)

    assert [str(raw.dtype), str(values.dtype)] == ["int16", "float32"]
    np.testing.assert_array_equal(decoded.astype(np.float32), values)
    assert np.isnan(values).any()


def test_missing_channels_get_the_given_value(patches: Patches) -> None:
    means = np.arange(9, dtype=np.float32)
    plain = read_batch(patches, [0], BatchContent(missing=np.nan)).inputs
    filled = read_batch(patches, [0], BatchContent(missing=tuple(means.tolist()))).inputs

    np.testing.assert_array_equal(np.where(np.isnan(plain), means, plain), filled)


def test_each_patch_is_read_once_an_epoch_in_an_order_of_seed_and_epoch(patches: Patches) -> None:
    first, again, next_epoch, other_seed = (
        in_order(patches, batch_size=7, seed=seed, epoch=epoch)
        for seed, epoch in ((3, 0), (3, 0), (3, 1), (4, 0))
    )
    whole = list(range(60))

    assert whole == sorted(first) == sorted(next_epoch) == sorted(other_seed)
    assert first == again
    assert len({tuple(first), tuple(next_epoch), tuple(other_seed), tuple(whole)}) == 4
    assert whole == in_order(patches, batch_size=7, seed=None)


def test_a_batch_is_of_the_whole_split(patches: Patches) -> None:
    batch = next(stream(patches, batch_size=16, seed=0))

    assert {0, 1, 2} == set(patches.scene[batch.index].tolist())


@pytest.mark.parametrize("threads", [1, 3])
def test_the_number_of_threads_changes_nothing(patches: Patches, threads: int) -> None:
    expected = list(stream(patches, batch_size=8, seed=0, threads=2))
    batches = list(stream(patches, batch_size=8, seed=0, threads=threads, prefetch=2))

    for batch, other in zip(expected, batches, strict=True):
        np.testing.assert_array_equal(batch.index, other.index)
        np.testing.assert_array_equal(batch.inputs, other.inputs)
        np.testing.assert_array_equal(batch.labels, other.labels)


def test_a_batch_in_use_is_not_overwritten(patches: Patches) -> None:
    corners = [
        (int(batch.index[-1]), batch.inputs[-1, :3, :3], batch.labels[-1, :3])
        for batch in stream(patches, batch_size=4, seed=0, prefetch=1)
    ]

    assert len(corners) == 15
    for number, inputs, labels in corners:
        expected = read_patch(patches, number)
        np.testing.assert_array_equal(expected.inputs[0, :3, :3], inputs)
        np.testing.assert_array_equal(expected.labels[0, :3], labels)


def test_memory_of_released_batches_is_used_again(patches: Patches) -> None:
    shape, dtype = (2, 64, 64, 9), np.dtype(np.float32)
    first = patches.pool.empty(shape, dtype)
    address, part = first.ctypes.data, first[0, 0]
    del first
    while_kept = patches.pool.empty(shape, dtype).ctypes.data
    del part
    afterwards = {patches.pool.empty(shape, dtype).ctypes.data for _ in range(2)}

    assert while_kept != address
    assert address in afterwards
    assert address % 64 == 0


def test_ranks_share_an_epoch_without_repetition(patches: Patches) -> None:
    alone = in_order(patches, batch_size=12, seed=5, epoch=2)
    shared = [
        [b.index for b in stream(patches, batch_size=4, seed=5, epoch=2, rank=rank, ranks=3)]
        for rank in range(3)
    ]

    assert sorted(alone) == sorted(np.concatenate([n for rank in shared for n in rank]).tolist())
    for step in range(5):
        together = np.concatenate([rank[step] for rank in shared])
        assert sorted(alone[12 * step : 12 * (step + 1)]) == sorted(together.tolist())


@pytest.mark.parametrize("ranks", [1, 2, 5])
def test_ranks_have_equal_batches_if_the_remainder_is_dropped(ranks: int) -> None:
    of_ranks = [
        batch_indices(61, batch_size=4, seed=0, ranks=(rank, ranks), drop_remainder=True)
        for rank in range(ranks)
    ]
    used = 61 - 61 % (4 * ranks)

    assert {used // (4 * ranks)} == {len(batches) for batches in of_ranks}
    assert {4} == {len(batch) for batches in of_ranks for batch in batches}


def test_the_last_batch_has_the_remainder(patches: Patches) -> None:
    sizes = [len(batch) for batch in stream(patches, batch_size=25, seed=0)]
    dropped = [len(batch) for batch in stream(patches, batch_size=25, seed=0, drop_remainder=True)]

    assert (sizes, dropped) == ([25, 25, 10], [25, 25])


def test_an_epoch_is_resumed_from_any_batch(patches: Patches) -> None:
    whole = in_order(patches, batch_size=9, seed=1, epoch=4)

    assert whole[27:] == in_order(patches, batch_size=9, seed=1, epoch=4, start_batch=3)
    assert in_order(patches, batch_size=9, seed=1, epoch=4, start_batch=99) == []


def test_no_file_stays_open_and_the_threads_end(patches: Patches) -> None:
    gc.collect()  # files of earlier tests
    before = open_files()
    batches = stream(patches, batch_size=4, seed=0, threads=3)
    opened_now = [open_files() - before for _ in range(8) if next(batches)]

    assert max(opened_now) <= 3
    assert len(reading_threads()) == 3
    del batches
    gc.collect()
    assert reading_threads() == []
    assert before == open_files()


def test_threads_end_when_an_epoch_does_or_is_closed(patches: Patches) -> None:
    in_order(patches, batch_size=30, seed=0)
    closed = stream(patches, batch_size=4, seed=0)
    next(closed)
    closed.close()  # type: ignore[attr-defined]

    assert reading_threads() == []


def test_scenes_have_the_values_of_their_files(converted: Converted) -> None:
    scenes = find_scenes(converted, splits="training")
    expected = [opened_scene(path) for path in scenes.paths]

    assert (len(scenes), scenes.shape) == (2, SHAPE)
    assert {"training"} == set(scenes.split.tolist())
    for name in ("orbit", "platform", "illumination", "native_rows", "valid_fraction"):
        values = getattr(scenes, name)
        assert [scene[name].values[0] for scene in expected] == values.tolist()
    assert (np.concatenate([scene["time"].values for scene in expected]) == scenes.time).all()
    assert [scene["granule"].values[0].decode() for scene in expected] == scenes.granule.tolist()


def opened_scene(path: Path) -> xr.Dataset:
    with xr.open_dataset(path, engine="h5netcdf") as dataset:
        return dataset[[n for n, v in dataset.variables.items() if v.dims == ("scene",)]].load()


def test_selected_scenes_are_read_under_their_new_numbers(converted: Converted) -> None:
    scenes = find_scenes(converted)
    expected = read_patch(list_patches(scenes, SMALL), 40)
    chosen = list_patches(scenes.select([2, 0]), SMALL)

    np.testing.assert_array_equal(expected.inputs, read_patch(chosen, 0).inputs)
    assert len(chosen) == 40
    assert len(scenes.select(scenes.split == "inference")) == 1


def test_headers_are_read_once(
    copied: list[Path], converted: Converted, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = find_scenes(copied[0].parent)
    read: list[str] = []

    def counted(path: Path) -> Any:
        read.append(path.name)
        return real(path)

    real = scenes_module.read_header
    monkeypatch.setattr(scenes_module, "read_header", counted)
    again, part = find_scenes(copied), find_scenes(copied[1:])
    assert read == []
    os.utime(copied[1], ns=(0, 1))
    third = find_scenes(copied)

    assert [copied[1].name] == read
    assert_same(first, again)
    assert_same(first.select([1, 2]), part)
    assert third.mtimes[1] == 1


def assert_same(scenes: Scenes, other: Scenes) -> None:
    assert scenes.layouts == other.layouts
    for name, chunks in scenes.chunks.items():
        np.testing.assert_array_equal(chunks, other.chunks[name])
    for name, values in scenes.values.items():
        np.testing.assert_array_equal(values, other.values[name])


def test_a_damaged_cache_is_replaced(copied: list[Path]) -> None:
    first = find_scenes(copied)
    for store in copied[0].parent.glob(".scenes-*"):
        store.write_bytes(store.read_bytes()[:100])

    assert_same(first, find_scenes(copied))


def test_all_unusable_files_are_named(copied: list[Path]) -> None:
    copied[0].write_bytes(copied[0].read_bytes()[:5000])
    copied[2].write_bytes(b"no HDF5")

    with pytest.raises(ConversionError) as caught:
        find_scenes(copied)
    assert [copied[0].name, copied[2].name] == [p.place for p in caught.value.problems]


def test_a_truncated_or_changed_file_is_named_when_it_is_read(copied: list[Path]) -> None:
    patches = list_patches(find_scenes(copied), SMALL)
    state = copied[1].stat()
    with copied[1].open("r+b") as file:
        file.truncate(state.st_size // 10)
    with pytest.raises(ConversionError, match=copied[1].name):
        in_order(patches, batch_size=4, seed=0)
    copied[1].unlink()
    with pytest.raises(ConversionError, match=copied[1].name) as caught:
        in_order(patches, batch_size=4, seed=0)

    assert [str(copied[1])] == [problem.place for problem in caught.value.problems]
    assert reading_threads() == []


def test_a_damaged_chunk_is_named(home: Path, tmp_path: Path) -> None:
    packed = converted_sample(home, {"compression": "gzip"}, SHAPE)
    path = tmp_path / "damaged.nc"
    path.write_bytes(next(packed.root.glob("*.nc")).read_bytes())
    scenes = find_scenes([path])
    offset = int(scenes.chunks["reflectance"][0, 0, 0])
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\0" * 64)
    os.utime(path, ns=(0, int(scenes.mtimes[0])))

    with pytest.raises(ConversionError, match=r"damaged\.nc"):
        read_patch(list_patches(scenes, SMALL), 0)


def test_scenes_of_several_shapes_are_refused(copied: list[Path], tmp_path: Path) -> None:
    other = converted_sample(tmp_path / "other", {}, (96, 112))
    odd = next(other.root.glob("*.nc"))

    with pytest.raises(ConversionError) as caught:
        find_scenes([*copied, odd])
    assert [odd.name] == [problem.place for problem in caught.value.problems]


def test_a_chunk_with_a_skipped_filter_is_read(copied: list[Path]) -> None:
    path = copied[0]
    with h5py.File(path, "r+") as file:
        stored = file["cloud"][...]
        attributes = dict(file["cloud"].attrs)
        del file["cloud"]
        shape = {"chunks": (1, 256, 256), "compression": "gzip", "shuffle": True}
        made = file.create_dataset("cloud", shape=stored.shape, dtype=np.uint8, **shape)
        for row in (0, 256):
            for column in (0, 256):
                chunk = np.zeros((256, 256), np.uint8)
                part = stored[0, row : row + 256, column : column + 256]
                chunk[: part.shape[0], : part.shape[1]] = part
                made.id.write_direct_chunk((0, row, column), chunk.tobytes(), filter_mask=3)
        made.attrs["long_name"] = attributes["long_name"]
    patch = next(stream_scenes(find_scenes([path])))

    assert (np.where(patch.weights[0], stored[0], 0) == patch.labels[0]).all()
    assert patch.weights.any()


@pytest.mark.parametrize("step", [3, 4])
@pytest.mark.parametrize("raw", [False, True])
def test_every_step_th_pixel_of_a_patch_is_that_of_the_whole_patch(
    packed: Converted, step: int, *, raw: bool
) -> None:
    grid = PatchGrid(size=100, stride=90, origin=(-7, 13), edges="pad")  # across chunks and beyond
    patches = list_patches(find_scenes(packed), grid)
    numbers = np.arange(len(patches))

    whole = read_batch(patches, numbers, BatchContent(raw=raw, missing=float("nan")))
    thinned = read_batch(patches, numbers, BatchContent(raw=raw, missing=float("nan"), step=step))

    for name in ("inputs", "labels", "weights"):
        expected = getattr(whole, name)[:, ::step, ::step]
        np.testing.assert_array_equal(getattr(thinned, name), expected)


def test_patches_with_too_few_valid_pixels_are_left_out(copied: list[Path]) -> None:
    grid = PatchGrid(size=64, stride=50, origin=(0, 3), edges="pad")
    scenes = find_scenes(copied)
    whole = list_patches(scenes, grid)
    share = np.concatenate([read_mask_share(whole, number) for number in range(len(whole))])
    min_valid = float(np.median(share))
    for _ in range(2):  # computed, then from the store
        selected = list_patches(scenes, grid, min_valid=min_valid)
        assert selected.valid_fraction is not None
        np.testing.assert_allclose(share[share >= np.float32(min_valid)], selected.valid_fraction)
        assert 0 < len(selected) < len(whole)
    assert list(copied[0].parent.glob(".valid-*.npz"))


def test_a_window_is_announced_to_the_disk_unless_it_is_in_memory(
    patches: Patches, monkeypatch: pytest.MonkeyPatch
) -> None:
    announced: list[int] = []
    monkeypatch.setattr(
        "os.posix_fadvise", lambda _file, offset, _size, _advice: announced.append(offset)
    )
    window = Window(0, 0, 64, 64)
    patches.scenes.paths[0].read_bytes()
    expect_window(patches.scenes, 0, window, PIXELS)
    while_cached = list(announced)
    monkeypatch.setattr("os.preadv", refuse_to_wait)
    expect_window(patches.scenes, 0, window, PIXELS)

    assert while_cached == []
    assert len(announced) >= len(PIXELS)


def refuse_to_wait(_file: int, _buffers: Any, _offset: int, flags: int) -> int:
    """Answer as Linux does for a byte that is not in the page cache."""
    assert flags == os.RWF_NOWAIT
    raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))


def read_mask_share(patches: Patches, number: int) -> Any:
    weights = read_patch(patches, number).weights
    return weights.mean(axis=(1, 2), dtype=np.float64).astype(np.float32)


def test_the_references_crop_is_the_published_one() -> None:
    rows, columns = PatchGrid(origin="centre").starts((1200, 1500))

    assert (rows.tolist(), columns.tolist()) == ([88, 344, 600, 856], [110, 366, 622, 878, 1134])


@pytest.mark.parametrize(("edges", "expected"), [("drop", 20), ("pad", 30)])
def test_edges_are_left_out_or_padded(edges: Any, expected: int) -> None:
    rows, columns = PatchGrid(edges=edges).starts((1200, 1500))

    assert expected == len(rows) * len(columns)


def test_statistics_are_those_of_valid_pixels(patches: Patches) -> None:
    batch = read_batch(patches, range(len(patches)), BatchContent(missing=np.nan))
    valid = batch.inputs[batch.weights == 1].astype(np.float64)
    statistics = channel_statistics(patches, threads=1)
    again = channel_statistics(patches, threads=3)

    assert (~np.isnan(valid)).sum(0).tolist() == statistics.count.tolist()
    np.testing.assert_allclose(np.nanmean(valid, axis=0), statistics.mean, rtol=1e-5)
    np.testing.assert_allclose(np.nanstd(valid, axis=0), statistics.std, rtol=1e-5)
    np.testing.assert_array_equal(statistics.mean, again.mean)
    assert statistics.patches == 60


def test_statistics_of_a_subset_are_seeded(patches: Patches) -> None:
    means = [
        channel_statistics(patches, max_patches=5, seed=seed).mean.tolist() for seed in (0, 0, 1)
    ]

    assert means[0] == means[1] != means[2]


def test_whole_scenes_come_one_by_one(converted: Converted) -> None:
    scenes = find_scenes(converted)
    batches = list(stream_scenes(scenes))

    assert [batch.index.tolist() for batch in batches] == [[0], [1], [2]]
    for batch, path in zip(batches, scenes.paths, strict=True):
        expected = opened(path)["brightness_temperature"].values
        np.testing.assert_array_equal(np.nan_to_num(expected, nan=0.0), batch.inputs[0, ..., 6:])


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch_size": 0},
        {"rank": 2, "ranks": 2},
        {"threads": 0},
        {"variables": ("reflectence",)},
        {"label": "flags"},
    ],
)
def test_invalid_numbers_are_refused(patches: Patches, wrong: dict[str, Any]) -> None:
    with pytest.raises(CallError):
        next(stream(patches, **{"batch_size": 4, "seed": 0, **wrong}))


def test_unknown_splits_are_refused(converted: Converted) -> None:
    with pytest.raises(CallError, match="did you mean 'training'"):
        find_scenes(converted, splits=["trainin"])
    with pytest.raises(CallError):
        find_scenes([])
    with pytest.raises(ConversionError, match="cannot read"):
        find_scenes([Path("nowhere.nc")])
    with pytest.raises(CallError):
        list_patches(find_scenes(converted), PatchGrid(size=512))


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_processes_that_share_batches_read_each_patch_once(
    patches: Patches, monkeypatch: pytest.MonkeyPatch, processes: int
) -> None:
    bytes_read = [0] * processes

    def counted(process: int, *arguments: Any) -> None:
        bytes_read[process] += sum(array.nbytes for array in arguments[-1].values())
        read_window(*arguments)

    whole = list(stream(patches, batch_size=8, seed=1))
    parts: list[list[Any]] = []
    for process in range(processes):
        monkeypatch.setattr(batches_module, "read_window", partial(counted, process))
        rows = OwnRows(process, process + 1, processes)
        parts.append(list(batches_with(rows, stream(patches, batch_size=8, seed=1))))

    assert len(set(bytes_read)) == 1
    assert sum(bytes_read) == len(patches) * SMALL.size**2 * (9 * 2 + 2)
    for number, batch in enumerate(whole):
        for process, made in enumerate(parts):
            own = OwnRows(process, process + 1, processes).of(len(batch))
            for name in ("inputs", "labels", "weights", "index"):
                expected = getattr(batch, name)
                assert getattr(made[number], name).shape == expected.shape
                np.testing.assert_array_equal(
                    getattr(made[number], name)[own], expected[own], strict=True
                )


def test_statistics_are_of_all_patches_also_in_batches_that_are_not_whole(
    patches: Patches,
) -> None:
    def batches() -> Any:
        yield from (None, channel_statistics(patches))

    _, made = batches_with(Comparison(offset=2), batches())

    assert made.count.tolist() == channel_statistics(patches).count.tolist()


def test_a_comparison_reads_some_batches_whole_and_a_patch_of_the_others(
    patches: Patches,
) -> None:
    comparison = Comparison(offset=2)

    def batches() -> Any:
        return stream(patches, batch_size=7, seed=1)  # by threads, ahead

    wholes = list(batches())
    made = list(batches_with(comparison, batches()))

    chosen = {0, *range(2, len(wholes), STRIDE), len(wholes) - 1}  # the last is smaller
    assert len(made) == len(wholes) > STRIDE
    assert len(wholes[-1]) < len(wholes[0])
    for number, (batch, whole) in enumerate(zip(made, wholes, strict=True)):
        assert comparison.is_whole(number) == (number in chosen)
        assert np.array_equal(batch.inputs, whole.inputs) == (number in chosen)
        np.testing.assert_array_equal(batch.inputs[0], whole.inputs[0])
