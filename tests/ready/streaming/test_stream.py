"""Streaming: what is read from a mirror equals the files; no wrong byte becomes a sample."""

from __future__ import annotations

import fcntl
import os
import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import sciml_data
from sciml_data.errors import CallError, FetchError, VerificationError
from sciml_data.home import find_home
from sciml_data.ready import open_ready
from sciml_data.ready.patches import (
    Batch,
    PatchGrid,
    Scenes,
    find_scenes,
    list_patches,
    stream,
    stream_scenes,
)
from sciml_data.ready.patches.reading import Window, read_window
from sciml_data.ready.streaming import Streamed, open_stream
from sciml_data.ready.streaming.cache import COUNTER_NAME
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.transfer import RetryPolicy
from tests.support.nginx import access_lines, needs_nginx, nginx
from tests.support.published_scenes import Published, publish_scenes
from tests.support.small_scenes import DATASET

pytestmark = needs_nginx
QUICK = RetryPolicy(tries=2, last_tries=3, first_wait_s=0.01)
GRID = PatchGrid(edges="pad")
LARGEST = 786_432  # bytes of a chunk of reflectance


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    return publish_scenes(tmp_path_factory.mktemp("published"))


@pytest.fixture
def copy(published: Published, tmp_path: Path) -> Published:
    """Return a published form of which a test may damage the files."""
    return replace(published, folder=Path(shutil.copytree(published.folder, tmp_path / "copy")))


@pytest.fixture
def mirror(published: Published, tmp_path: Path) -> Iterator[str]:
    with nginx(tmp_path / "nginx", published.folder) as url:
        yield url


def opened(
    published: Published, home: Path, *mirrors: str, cache_bytes: int | None = None
) -> Streamed:
    return open_stream(
        load_descriptor(published.registry, DATASET),
        find_home(home),
        mirrors=mirrors,
        cache_bytes=cache_bytes,
        retry=QUICK,
    )


def epoch(source: object) -> list[Batch]:
    patches = list_patches(find_scenes(source), GRID)  # type: ignore[arg-type]
    return list(stream(patches, batch_size=4, seed=1, threads=2, prefetch=2))


def assert_equal(actual: list[Batch], expected: list[Batch]) -> None:
    assert len(actual) == len(expected)
    for one, other in zip(actual, expected, strict=True):
        for name in ("inputs", "labels", "weights", "index"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def requests(scratch: Path) -> int:
    return len(access_lines(scratch / "nginx"))


def ranges(scratch: Path) -> int:
    """Return how many requests were answered by a part of a file."""
    return len([line for line in access_lines(scratch / "nginx") if '" 206 ' in line])


def damage(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 1]))


# --- what is read --------------------------------------------------------------------------------


def test_streamed_patches_are_those_of_the_files(
    published: Published, mirror: str, tmp_path: Path
) -> None:
    streamed = opened(published, tmp_path / "home", mirror)

    here, there = find_scenes(published.converted), find_scenes(streamed)

    assert there.layouts == here.layouts
    assert all((there.chunks[name] == here.chunks[name]).all() for name in here.layouts)
    assert all((there.values[name] == here.values[name]).all() for name in here.values)
    assert there.granule.tolist() == here.granule.tolist()
    assert_equal(epoch(streamed), epoch(published.converted))


def test_a_streamed_dataset_is_that_of_the_files(
    published: Published, mirror: str, tmp_path: Path
) -> None:
    streamed = sciml_data.open_dataset(
        DATASET,
        split="training",
        stream=True,
        mirrors=[mirror],
        registry=published.registry.root,
        home=tmp_path / "home",
    )

    xr.testing.assert_identical(
        streamed.compute(), open_ready(published.converted, split="training").compute()
    )


def test_whole_scenes_and_their_other_variables_are_streamed(
    published: Published, mirror: str, tmp_path: Path
) -> None:
    here, there = (
        find_scenes(source)
        for source in (published.converted, opened(published, tmp_path / "home", mirror))
    )

    assert_equal(list(stream_scenes(there)), list(stream_scenes(here)))
    with here.open(1) as file, there.open(1) as remote:
        assert all((file[name][...] == remote[name][...]).all() for name in file)


def test_the_second_epoch_asks_for_nothing(
    published: Published, mirror: str, tmp_path: Path
) -> None:
    streamed = opened(published, tmp_path / "home", mirror)
    first = epoch(streamed)
    asked = requests(tmp_path)

    assert_equal(epoch(opened(published, tmp_path / "home", mirror)), first)
    assert requests(tmp_path) == asked


def test_no_file_is_fetched_and_the_digests_are_those_of_the_files(
    published: Published, mirror: str, tmp_path: Path
) -> None:
    streamed = opened(published, tmp_path / "home", mirror)

    assert not list((tmp_path / "home").rglob("*.nc"))
    assert streamed.manifest.digest == published.converted.manifest.digest
    assert streamed.native_digest == published.converted.native_digest


def test_another_process_reads_by_connections_of_its_own(
    published: Published, mirror: str, tmp_path: Path
) -> None:
    streamed = opened(published, tmp_path / "home", mirror)

    again = pickle.loads(pickle.dumps(streamed))  # noqa: S301 (our own)

    assert_equal(epoch(again), epoch(published.converted))


def assert_equal_valid_fractions(published: Published, streamed: Any, grid: PatchGrid) -> None:
    here, there = (
        list_patches(find_scenes(source), grid, min_valid=0.3)
        for source in (published.converted, streamed)
    )

    assert there.valid_fraction is not None
    assert here.valid_fraction is not None
    assert there.valid_fraction.tolist() == here.valid_fraction.tolist()


def test_masks_of_scenes_are_in_the_index(
    published: Published, mirror: str, tmp_path: Path
) -> None:
    """A run reads the mask of every scene before its first batch."""
    streamed = opened(published, tmp_path / "home", mirror)

    assert_equal_valid_fractions(published, streamed, GRID)
    # Of 20 chunks of masks, one has too many edges for the index.
    assert ranges(tmp_path) <= 1


@pytest.mark.parametrize(
    "grid",
    [
        PatchGrid(size=100, stride=90, origin=(-7, 13), edges="pad"),  # across chunks and beyond
        PatchGrid(size=128, stride=128, origin="centre"),
    ],
)
def test_valid_pixels_of_streamed_patches_are_those_of_the_files(
    published: Published, mirror: str, tmp_path: Path, grid: PatchGrid
) -> None:
    streamed = opened(published, tmp_path / "home", mirror)

    assert_equal_valid_fractions(published, streamed, grid)


def test_equal_masks_of_several_scenes_are_counted_once(
    published: Published, mirror: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenes = find_scenes(opened(published, tmp_path / "home", mirror))
    windows: list[Window] = []

    def counting(scenes: Scenes, scene: int, window: Window, into: Mapping[str, Any]) -> None:
        windows.append(window)
        read_window(scenes, scene, window, into)

    monkeypatch.setattr("sciml_data.ready.patches.grid.read_window", counting)

    twice = list_patches(scenes.select([0, 0]), GRID, min_valid=0.01)

    assert twice.valid_fraction is not None
    first, second = np.split(twice.valid_fraction, 2)
    assert first.tolist() == second.tolist()
    assert len(windows) == 4  # chunks of the mask of one scene


def test_thinned_streamed_patches_are_those_of_the_files(
    published: Published, mirror: str, tmp_path: Path
) -> None:
    here, there = (
        list(stream(list_patches(find_scenes(source), GRID), batch_size=4, seed=1, step=4))
        for source in (published.converted, opened(published, tmp_path / "home", mirror))
    )

    assert_equal(there, here)


def test_neighbouring_chunks_are_one_request(
    published: Published, mirror: str, tmp_path: Path
) -> None:
    streamed = opened(published, tmp_path / "home", mirror)
    scenes = find_scenes(streamed).select([0])
    here = find_scenes(published.converted).select([0])

    assert_equal(list(stream_scenes(scenes)), list(stream_scenes(here)))

    # Reflectance, brightness temperature and cloud have four chunks each, of 3.1 MB at most.
    assert ranges(tmp_path) <= 3


# --- faults --------------------------------------------------------------------------------------


def test_a_wrong_chunk_is_refused_and_named(copy: Published, tmp_path: Path) -> None:
    path = next(copy.folder.glob("training*.nc"))
    with nginx(tmp_path / "nginx", copy.folder) as url:
        streamed = opened(copy, tmp_path / "home", url)
        damage(path, int(find_scenes(streamed).chunks["reflectance"][-1][0][0]) + 1000)
        damage(path, 20_000)
        batches = stream(list_patches(find_scenes(streamed), GRID), batch_size=1, seed=None)

        seen: list[Batch] = []
        with pytest.raises(FetchError) as error:
            seen.extend(batches)

    assert any(problem.kind == "wrong" for problem in error.value.problems)
    assert path.name in error.value.problems[0].place
    assert_equal(seen, epoch_in_order(copy, len(seen)))


def epoch_in_order(published: Published, count: int) -> list[Batch]:
    patches = list_patches(find_scenes(published.converted), GRID)
    return list(stream(patches, batch_size=1, seed=None))[:count]


def test_a_wrong_chunk_of_one_mirror_comes_from_the_next(
    copy: Published, mirror: str, tmp_path: Path
) -> None:
    for path in copy.folder.glob("*.nc"):
        damage(path, 20_000)
    with nginx(tmp_path / "other", copy.folder) as wrong:
        streamed = opened(copy, tmp_path / "home", wrong, mirror)

        assert_equal(epoch(streamed), epoch(copy.converted))


def test_a_gateway_that_is_gone_is_a_sentence_with_the_next_command(
    published: Published, tmp_path: Path
) -> None:
    with nginx(tmp_path / "nginx", published.folder) as url:
        streamed = opened(published, tmp_path / "home", url)
        batches = stream(
            list_patches(find_scenes(streamed), GRID), batch_size=1, seed=1, prefetch=1, threads=1
        )
        next(batches)
        lazy = open_ready(streamed, split="training")

    with pytest.raises(FetchError) as error:
        list(batches)
    assert "get cloud_slstr_ds1 --version 1.0 --ready" in error.value.hint
    with pytest.raises(FetchError):
        lazy["reflectance"].load()


LAZY = """
import sys
from pathlib import Path
from sciml_data.errors import FetchError
from sciml_data.home import find_home
from sciml_data.ready import open_ready
from sciml_data.ready.streaming import open_stream
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import Registry
from sciml_data.transfer import RetryPolicy
registry, home, mirror = sys.argv[1:]
streamed = open_stream(
    load_descriptor(Registry(Path(registry)), "cloud_slstr_ds1"), find_home(home),
    mirrors=[mirror], retry=RetryPolicy(tries=1, last_tries=1),
)
lazy = open_ready(streamed, split="training")
print("opened", flush=True)
sys.stdin.readline()
try:
    lazy["reflectance"].load()
except FetchError:
    print("refused")
"""


def test_a_process_whose_lazy_values_failed_ends_as_usual(
    published: Published, tmp_path: Path
) -> None:
    arguments = [str(published.registry.root), str(tmp_path / "home")]
    with nginx(tmp_path / "nginx", published.folder) as url:
        process = subprocess.Popen(
            [sys.executable, "-c", LAZY, *arguments, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )  # `communicate` closes its pipes
        assert process.stdout is not None
        assert process.stdout.readline() == "opened\n"

    output, _ = process.communicate("\n", timeout=300)
    assert (output, process.returncode) == ("refused\n", 0)


def test_a_gateway_that_comes_back_is_asked_again(published: Published, tmp_path: Path) -> None:
    up, waits = tmp_path / "up", []
    up.touch()

    def come_back(seconds: float) -> None:
        waits.append(seconds)
        up.touch()

    with nginx(
        tmp_path / "nginx", published.folder, f"location / {{ if (!-e {up}) {{ return 503; }} }}"
    ) as url:
        streamed = opened(published, tmp_path / "home", url)
        streamed.reader.ranges.retry = replace(QUICK, pause=come_back)
        up.unlink()

        assert_equal(epoch(streamed), epoch(published.converted))

    assert waits


def test_a_server_without_ranges_is_refused(published: Published, tmp_path: Path) -> None:
    with nginx(tmp_path / "nginx", published.folder, "max_ranges 0;") as url:
        streamed = opened(published, tmp_path / "home", url)

        with pytest.raises(FetchError) as error:
            epoch(streamed)

    assert any("range requests" in problem.message for problem in error.value.problems)


def test_a_damaged_index_is_not_used(copy: Published, tmp_path: Path) -> None:
    damage(copy.folder / "chunks.jsonl", 5000)
    with nginx(tmp_path / "nginx", copy.folder) as url, pytest.raises(FetchError):
        opened(copy, tmp_path / "home", url)


def test_an_index_whose_blocks_do_not_cover_the_file_is_named(published: Published) -> None:
    from sciml_data.ready.streaming.reader import parse_index

    line = (published.folder / "chunks.jsonl").read_bytes().splitlines()[0]

    with pytest.raises(VerificationError):
        parse_index(line.replace(b'"blocks":[[0,', b'"blocks":[[1,'))


# --- the cache -----------------------------------------------------------------------------------


def stored(home: Path) -> list[Path]:
    files = [path for path in (home / "chunks").rglob("*") if path.is_file()]
    return [path for path in files if path.name != COUNTER_NAME]


def stored_bytes(home: Path) -> int:
    """Return the size of the cache at one moment: its lock keeps others from adding files."""
    with (home / "chunks" / COUNTER_NAME).open("rb") as counter:
        fcntl.flock(counter, fcntl.LOCK_EX)
        while True:
            with suppress(FileNotFoundError):  # a file got its name after it was listed
                return sum(path.stat().st_size for path in stored(home))


def test_a_damaged_chunk_of_the_cache_is_fetched_again(
    published: Published, mirror: str, tmp_path: Path
) -> None:
    first = epoch(opened(published, tmp_path / "home", mirror))
    for path in stored(tmp_path / "home"):
        damage(path, 100)
    cut = stored(tmp_path / "home")[0]
    cut.write_bytes(cut.read_bytes()[:50])

    assert_equal(epoch(opened(published, tmp_path / "home", mirror)), first)


def test_a_full_cache_drops_chunks_and_stays_below_its_bound(
    published: Published, mirror: str, tmp_path: Path
) -> None:
    bound = 3 * LARGEST
    streamed = opened(published, tmp_path / "home", mirror, cache_bytes=bound)
    sizes = []
    patches = list_patches(find_scenes(streamed), GRID)
    batches = []
    for batch in stream(patches, batch_size=4, seed=1, threads=2, prefetch=2):
        batches.append(batch)
        sizes.append(stored_bytes(tmp_path / "home"))

    assert_equal(batches, epoch(published.converted))
    assert 0 < max(sizes) <= bound


def test_a_chunk_that_is_larger_than_the_cache_is_an_error_at_once(
    published: Published, mirror: str, tmp_path: Path
) -> None:
    with pytest.raises(CallError) as error:
        opened(published, tmp_path / "home", mirror, cache_bytes=LARGEST - 1)

    assert "--cache" in error.value.hint


def test_a_full_disk_keeps_no_chunk_and_loses_no_sample(
    published: Published, mirror: str, tmp_path: Path
) -> None:
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2M", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can mount a small disk")
    lines: list[str] = []
    try:
        streamed = opened(published, tmp_path / "home", mirror)
        streamed.reader.cache.folder = place
        streamed.reader.cache.log = lines.append

        assert_equal(epoch(streamed), epoch(published.converted))
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
    assert len([line for line in lines if "disk is full" in line]) == 1


READ = """
import sys
from sciml_data.home import find_home
from sciml_data.ready.patches import PatchGrid, find_scenes, list_patches, stream
from sciml_data.ready.streaming import open_stream
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import Registry
from pathlib import Path
import hashlib
registry, home, mirror, bound, rounds = sys.argv[1:]
descriptor = load_descriptor(Registry(Path(registry)), "cloud_slstr_ds1")
streamed = open_stream(descriptor, find_home(home), mirrors=[mirror], cache_bytes=int(bound))
patches = list_patches(find_scenes(streamed), PatchGrid(edges="pad"))
print("ready", flush=True)
for number in range(int(rounds)):
    content = hashlib.sha256()
    for batch in stream(patches, batch_size=4, seed=1):
        for array in (batch.inputs, batch.labels, batch.weights):
            content.update(array.tobytes())
    print(content.hexdigest(), flush=True)
"""


def reading(
    published: Published, home: Path, mirror: str, bound: int, rounds: int
) -> subprocess.Popen[str]:
    root = published.registry.root
    arguments = [str(root), str(home), mirror, str(bound), str(rounds)]
    return subprocess.Popen(
        [sys.executable, "-c", READ, *arguments], stdout=subprocess.PIPE, text=True
    )


def digest_of(batches: list[Batch]) -> str:
    import hashlib

    content = hashlib.sha256()
    for batch in batches:
        for array in (batch.inputs, batch.labels, batch.weights):
            content.update(array.tobytes())
    return content.hexdigest()


@pytest.mark.slow
def test_two_processes_share_a_cache_that_is_too_small_for_both(
    published: Published, mirror: str, tmp_path: Path
) -> None:
    bound = 3 * LARGEST
    expected = digest_of(epoch(published.converted))
    processes = [reading(published, tmp_path / "home", mirror, bound, 3) for _ in range(2)]
    outputs = [process.communicate(timeout=300)[0].split() for process in processes]

    assert outputs == [["ready", *[expected] * 3]] * 2
    assert sum(path.stat().st_size for path in stored(tmp_path / "home")) <= bound


@pytest.mark.slow
def test_after_a_kill_in_a_write_nothing_wrong_is_read(
    published: Published, mirror: str, tmp_path: Path
) -> None:
    bound = 3 * LARGEST  # so that chunks are written all the time
    expected = epoch(published.converted)
    for _ in range(3):
        with reading(published, tmp_path / "home", mirror, bound, 1000) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            process.stdout.readline()
            process.send_signal(signal.SIGKILL)

        streamed = opened(published, tmp_path / "home", mirror, cache_bytes=bound)
        assert_equal(epoch(streamed), expected)
        assert sum(path.stat().st_size for path in stored(tmp_path / "home")) <= bound


def test_what_a_kill_leaves_is_removed_for_new_chunks(
    published: Published, mirror: str, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    streamed = opened(published, home, mirror, cache_bytes=3 * LARGEST)
    leftover = home / "chunks" / ".0123.unfinished"
    leftover.write_bytes(bytes(LARGEST))
    os.utime(leftover, (0, 0))
    (home / "chunks" / COUNTER_NAME).write_bytes(b"not a number")

    assert_equal(epoch(streamed), epoch(published.converted))

    assert not leftover.exists()
