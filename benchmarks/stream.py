"""Streaming CloudMask's patches from a mirror, against reading the same files from the disk.

    python benchmarks/stream.py [--scenes 16] [--rounds 3] [--server nginx|ceph] [--train]
    python benchmarks/stream.py --train-only

Scenes of 1200 x 1500 pixels are made, converted and published: by nginx, or by a Ceph gateway that
this script starts and stops (`tests.support.ceph`), on loopback. Each measurement of reading is a
new process, contenders in turn: an epoch of patches of 256 x 256 in batches of 32 by `stream`, with
the files in no page cache; streamed with an empty cache of chunks; and streamed again. All read the
same patches in the same order. No cache is removed before the end: for minutes after that, ext4
takes longer to create files.

`first` is the time from the first call of this package until the first batch. The rate is that of
the batches after it.
`first of 1070` is the same of a form with 1,070 scenes (the files again under other names), for
which the index is fetched first; nginx only, because a gateway would store 45 GB for it. `run of
1070` is the time that `run cloudmask --stream` needs for it after all imports: index, headers,
masks of all scenes, 512 patches for the statistics of the channels, and a batch of 32 on the moving
grid. Scenes that are links have equal chunks, which are fetched once: with few `--scenes`, fewer
than 512 patches are. Memory is the peak of the process above that before the first call.

`--train` trains the published U-Net by the steps of the engine on some batches of 8, in one process
and in turn: files, and streamed with an empty cache of chunks. The goal is 0.9.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from goals import report
from page_cache import drop_from_page_cache

from sciml_data.bench.monitoring.machine import peak_memory_bytes
from sciml_data.bench.task.splits import TRAIN
from sciml_data.home import find_home
from sciml_data.ready import find_converted
from sciml_data.ready.patches import (
    Batch,
    Patches,
    PatchGrid,
    epoch_order,
    find_scenes,
    list_patches,
    stream,
)
from sciml_data.ready.streaming import open_stream
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import Registry, find_registry
from sciml_data.registry.manifest import Entry, Manifest, hash_file, read_manifest
from tests.support.published_scenes import Published, publish_scenes
from tests.support.small_scenes import DATASET, VERSION

SHAPE = (1200, 1500)
BATCH = 32
GOAL = 0.9
MAX_FIRST_S = 3.0
WHOLE = 1070  # files of the dataset
BUCKET = "ready"
TRAINED = 4  # batches of 8 in an epoch of the comparison; the first is not read ahead
Row = dict[str, float]


def main() -> None:
    """Publish the scenes, measure, and print."""
    arguments = _arguments()
    if arguments.worker:
        measure = _start_of_run if arguments.worker == "run" else _epoch
        print(json.dumps(measure(arguments)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        counts = {"training": arguments.scenes, "inference": max(arguments.scenes // 3, 1)}
        with _server(arguments.server, root) as (url, publish):
            published = publish_scenes(root, shape=SHAPE, counts=counts, url=f"{url}/served/")
            many = _whole(published, root / "many") if arguments.server == "nginx" else None
            publish()
            size = published.converted.manifest.total_bytes
            print(f"{sum(counts.values())} scenes, {size / 1e6:.0f} MB, {os.cpu_count()} cores")
            if not arguments.train_only:
                _read(published, many, root, arguments.rounds)
            if arguments.train or arguments.train_only:
                _train(published, root, arguments.rounds)


# --- reading -------------------------------------------------------------------------------------


def _read(published: Published, many: Registry | None, root: Path, rounds: int) -> None:
    """Measure the contenders of reading in turn, and print medians."""
    files = [published.converted.root / entry.path for entry in published.converted.manifest]
    curator = root / "curator"
    rows: dict[str, list[Row]] = {}
    for number in range(rounds):
        home, whole = root / f"home-{number}", root / f"whole-{number}"
        drop_from_page_cache(files)
        rows.setdefault("files, cold", []).append(_worker(published.registry, curator, "files"))
        rows.setdefault("files, warm", []).append(_worker(published.registry, curator, "files"))
        rows.setdefault("streamed, empty cache", []).append(
            _worker(published.registry, home, "stream")
        )
        rows.setdefault("streamed, full cache", []).append(
            _worker(published.registry, home, "stream")
        )
        if many is not None:
            rows.setdefault(f"first of {WHOLE}", []).append(_worker(many, whole, "first"))
            shutil.rmtree(whole)
            rows.setdefault(f"run of {WHOLE}", []).append(_worker(many, whole, "run"))
    print("                          patches/s   CPU ms   first s   memory MB")
    for name, of_name in rows.items():
        rate, cpu, first, memory = (
            statistics.median(row[key] for row in of_name)
            for key in ("rate", "cpu_ms", "first_s", "memory_mb")
        )
        print(f"{name:24} {rate:10.0f} {cpu:8.2f} {first:9.2f} {memory:11.0f}")
    for state, base in (("empty", "cold"), ("full", "warm")):
        pairs = zip(rows[f"streamed, {state} cache"], rows[f"files, {base}"], strict=True)
        ratios = [
            (one["rate"] / other["rate"], other["cpu_ms"] / one["cpu_ms"]) for one, other in pairs
        ]
        wall, cpu = (statistics.median(column) for column in zip(*ratios, strict=True))
        print(f"reading alone, {state} cache / files, {base}: {wall:.2f} (CPU {cpu:.2f}), no goal")
    if many is None:
        return
    for name, what in (("first", "first batch of a stream"), ("run", "first batch of a run")):
        first_s = statistics.median(row["first_s"] for row in rows[f"{name} of {WHOLE}"])
        report(f"{what} of {WHOLE:,} scenes", first_s, "s", at_most=MAX_FIRST_S)


def _worker(registry: Registry, home: Path, way: str) -> Row:
    """Run a measurement in a process of its own."""
    options = ["--worker", way, "--registry", str(registry.root), "--home", str(home)]
    result = subprocess.run(
        [sys.executable, __file__, *options], check=True, stdout=subprocess.PIPE, text=True
    )
    row: Row = json.loads(result.stdout.splitlines()[-1])
    return row


def _source(registry: Registry, home: Path, way: str) -> Any:
    descriptor = load_descriptor(registry, DATASET)
    place = find_home(home)
    if way == "files":
        return find_converted(descriptor, place.dataset(DATASET, VERSION))
    return open_stream(descriptor, place)


def _epoch(arguments: argparse.Namespace) -> Row:
    """Read an epoch, or the first batch only, and return how long it took."""
    before = peak_memory_bytes() or 0
    began, began_cpu = time.perf_counter(), time.process_time()
    source = _source(Registry(arguments.registry), arguments.home, arguments.worker)
    patches = list_patches(find_scenes(source, splits="training"), PatchGrid())
    order = epoch_order(len(patches), seed=0)
    count = sum(map(len, _batches(patches.select(order[:BATCH]))))
    first_s = time.perf_counter() - began
    if arguments.worker != "first":  # the rate is that of the others, without the start
        began, began_cpu = time.perf_counter(), time.process_time()
        count = sum(map(len, _batches(patches.select(order[BATCH:]))))
    return _costs(count, before, began, began_cpu) | {"first_s": first_s}


def _start_of_run(arguments: argparse.Namespace) -> Row:
    """Do what a run does until it has its first training batch, and return how long it took."""
    prepare, settings = _runner(find_registry(arguments.registry))
    before, began, began_cpu = peak_memory_bytes() or 0, time.perf_counter(), time.process_time()
    problem = prepare(_source(Registry(arguments.registry), arguments.home, "stream"))
    epoch = problem.batches(TRAIN, batch_size=settings["batch_size"], seed=0)
    count = len(next(iter(epoch))[0])
    costs = _costs(count, before, began, began_cpu)
    return costs | {"first_s": count / costs["rate"]}


def _costs(count: int, memory_before: int, began: float, began_cpu: float) -> Row:
    """Return rate, CPU time and memory of `count` patches since a start."""
    wall, cpu = time.perf_counter() - began, time.process_time() - began_cpu
    memory = (peak_memory_bytes() or 0) - memory_before
    return {"rate": count / wall, "cpu_ms": 1e3 * cpu / count, "memory_mb": memory / 1e6}


def _runner(
    registry: Registry, *overrides: str, model: str = ""
) -> tuple[Callable[[Any], Any], dict[str, Any]]:
    """Return what makes the problem of CloudMask's headline split from its data, and settings."""
    import sklearn.ensemble
    import sklearn.linear_model  # noqa: F401 (a run has imported both)

    from sciml_data.bench.interface import load_runner
    from sciml_data.bench.task.settings import resolve_settings
    from sciml_data.bench.task.split import load_split
    from sciml_data.bench.task.task import load_task

    task = load_task(registry.runner("cloudmask"))
    split = task.headline_split
    model = model or task.default_model
    settings = resolve_settings(task, overrides, model=model, split=split)
    runner = load_runner(registry, "cloudmask")
    stored = load_split(task.folder, split)
    return lambda source: runner.prepare(source, stored, settings), settings


def _batches(patches: Patches) -> Iterator[Batch]:
    return stream(patches, batch_size=BATCH, seed=None)


# --- training ------------------------------------------------------------------------------------


def _train(published: Published, root: Path, rounds: int) -> None:
    """Train on the files and on the stream in turn, and print the ratio of the rates."""
    import train

    from sciml_data.bench.training import backend

    backend.choose("tensorflow")
    prepare, settings = _runner(
        find_registry(published.registry.root), "batch_size=8", model="reference"
    )
    cache = root / "trained" / "chunks"
    epochs: dict[str, Callable[[], object]] = {}
    for way in ("files", "stream"):
        home = root / ("curator" if way == "files" else "trained")
        problem = prepare(_source(published.registry, home, way))
        epochs[way] = train._engine(train._FewBatches(problem, TRAINED), settings)  # noqa: SLF001
        epochs[way]()  # compiles
    seconds: dict[str, list[tuple[float, float]]] = {way: [] for way in epochs}
    for _ in range(rounds):
        for way, epoch in epochs.items():
            for folder in cache.glob("??"):
                shutil.rmtree(folder)
            began, cpu = time.perf_counter(), time.process_time()
            epoch()
            seconds[way].append((time.perf_counter() - began, time.process_time() - cpu))
    for position, clock in enumerate(("wall", "CPU")):
        here, there = (statistics.median(row[position] for row in seconds[way]) for way in epochs)
        print(
            f"training, {8 * TRAINED} patches: files {here:.2f} s, streamed {there:.2f} s {clock}"
        )
    pairs = zip(seconds["files"], seconds["stream"], strict=True)
    ratio = statistics.median(here[0] / there[0] for here, there in pairs)
    report("training from a stream with an empty cache / from files", ratio, at_least=GOAL)


# --- what is published ---------------------------------------------------------------------------


def _whole(published: Published, root: Path) -> Registry:
    """Write a registry with a form of as many scenes as the dataset has, by links to a few."""
    served = published.folder
    shutil.copytree(published.registry.root, root)
    folder = root / "datapackages" / DATASET / VERSION
    record = json.loads((served / "conversion.json").read_text(encoding="utf-8"))
    lines = (served / "chunks.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    by_name = {json.loads(line)["path"]: line for line in lines}
    sizes = read_manifest(folder / "ready.csv").by_path
    many = served.with_name("many-served")
    many.mkdir()
    names, index, entries = [], [], []
    for number in range(WHOLE):
        original = record["splits"]["training"][number % len(record["splits"]["training"])]
        name = f"training-{number:04}-{original}"
        os.link(served / original, many / name)
        index.append(by_name[original].replace(original, name))
        entries.append(Entry(name, sizes[original].size_bytes, sizes[original].hash))
        names.append(name)
    (many / "chunks.jsonl").write_text("".join(index), encoding="utf-8")
    (many / "conversion.json").write_text(json.dumps(record | {"splits": {"training": names}}))
    entries += [
        Entry(name, (many / name).stat().st_size, hash_file(many / name))
        for name in ("chunks.jsonl", "conversion.json")
    ]
    (folder / "ready.csv").write_text(Manifest(tuple(sorted(entries))).dump(), encoding="utf-8")
    path = folder / "datapackage.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    block = document["sciml"]["ready"][0]
    block["hash"] = hash_file(folder / "ready.csv")
    block["urls"] = [url.replace("/served/", "/many-served/") for url in block["urls"]]
    path.write_text(json.dumps(document), encoding="utf-8")
    return Registry(root)


@contextlib.contextmanager
def _server(name: str, root: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield the address of a server, and a function that publishes the folder `served`."""
    from tests.support import ceph
    from tests.support.nginx import nginx

    if name == "nginx":
        with nginx(root / "nginx", root) as url:
            yield url, lambda: None
        return
    folder = root / "ceph"
    try:
        cluster = ceph.up(folder, ("one",))
        yield f"{cluster.urls['one']}/{BUCKET}", lambda: _upload(cluster, root)
    finally:
        ceph.down(folder)


def _upload(cluster: Any, root: Path) -> None:
    """Upload the published files to a public bucket."""
    import boto3

    client = boto3.client(
        "s3",
        endpoint_url=cluster.urls["one"],
        aws_access_key_id=cluster.access_key,
        aws_secret_access_key=cluster.secret_key,
        region_name="us-east-1",
    )
    client.create_bucket(Bucket=BUCKET, ACL="public-read")
    for path in sorted((root / "served").iterdir()):
        extra = {"ACL": "public-read"}
        client.upload_file(str(path), BUCKET, f"served/{path.name}", ExtraArgs=extra)


def _arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=16, help="scenes of the training split")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--server", choices=("nginx", "ceph"), default="nginx")
    parser.add_argument("--train", action="store_true", help="train, too")
    parser.add_argument("--train-only", action="store_true", help="do not measure reading")
    parser.add_argument(
        "--worker", choices=("files", "stream", "first", "run"), help=argparse.SUPPRESS
    )
    parser.add_argument("--registry", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args(given)


if __name__ == "__main__":
    main()
