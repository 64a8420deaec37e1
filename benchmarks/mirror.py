"""Time and size of a DataLad mirror of 20,000 files: create, update, publish, clone, get.

    python benchmarks/mirror.py [--files 20000] [--mirrors 2] [--fromkey] [--scratch DIR]

Almost all files exist in the manifest only: their sha256 are those of their numbers, and their
addresses are on example.org. Nothing is downloaded from there. Ten files of 1 MB exist, and are
downloaded from loopback at the end. `--fromkey` also times `git annex fromkey` and `git commit`
with the same keys, for comparison; the package does not use them. It prints the wall seconds of one
run and the CPU seconds of all processes.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sciml_data.integrations import datalad
from sciml_data.integrations.datalad.annex import annex_files
from sciml_data.registry.descriptor import Descriptor, read_descriptor
from sciml_data.registry.manifest import Entry, Manifest, hash_file
from sciml_data.testing.datasets import change_descriptor, write_dataset, write_files
from sciml_data.testing.server import FileServer
from sciml_data.transfer.protocols.annex import git, run_batch

EXISTING = {f"real/{number}.bin": bytes([number]) * 1_000_000 for number in range(10)}


def timed(name: str, call: Callable[[], object]) -> None:
    """Print the wall and CPU seconds of a call."""
    before, since = os.times(), time.monotonic()
    call()
    after, wall_s = os.times(), time.monotonic() - since
    cpu_s = sum(after[:4]) - sum(before[:4])
    print(f"{name:<28} {wall_s:8.1f} s  {cpu_s:8.1f} CPU s", flush=True)


def describe(scratch: Path, files: int, url: str, mirrors: int) -> Descriptor:
    """Return the descriptor of a dataset of `files` files, ten of which exist at `url`."""
    places = [
        {"": f"{url}/" if not n else f"https://{n}.example.org/data/"} for n in range(mirrors)
    ]
    folder = write_dataset(scratch / "registry", EXISTING, mirrors=places).folder
    numbers = range(files - len(EXISTING))
    invented = (
        Entry(
            f"training/{number // 1000:03d}/granule_{number:06d}.hdf",
            167_404_096,
            f"sha256:{hashlib.sha256(str(number).encode()).hexdigest()}",
        )
        for number in numbers
    )
    existing = read_descriptor(folder).manifest or ()
    manifest = folder / "manifest.csv"
    manifest.write_text(Manifest(tuple(sorted([*existing, *invented]))).dump(), encoding="utf-8")
    size, checksum = manifest.stat().st_size, hash_file(manifest)
    change_descriptor(
        folder, lambda package: package["resources"][0].update(bytes=size, hash=checksum)
    )
    return read_descriptor(folder)


def with_fromkey(scratch: Path, descriptor: Descriptor) -> None:
    """Time `git annex fromkey` and `git commit` of the same files."""
    folder = scratch / "fromkey"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "annex", "init", "--quiet")
    lines = [
        f"{file.key} {file.entry.path}"
        for file in annex_files(folder, tuple(descriptor.manifest or ()))
    ]
    command = ["annex", "fromkey", "--force", "--batch", "-z"]
    timed("git annex fromkey --batch", lambda: run_batch(folder, command, lines))
    timed("git commit", lambda: git(folder, "commit", "--quiet", "-m", "all"))


def measure(scratch: Path, files: int, mirrors: int, *, fromkey: bool) -> None:
    """Time each step and print a line for it."""
    write_files(scratch / "files", EXISTING)
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from tests.support.clones import fresh_user, typed

    user = fresh_user(scratch / "user")
    with FileServer(scratch / "files") as public, FileServer(scratch / "www") as website:
        tiny = describe(scratch, files, public.url, mirrors)
        root, www = scratch / "m", scratch / "www"
        print(f"{files} files, {mirrors} mirrors, load average {os.getloadavg()[0]:.1f}")
        timed("mirror create", lambda: datalad.create_mirror(root, {"tiny": [tiny]}, log=print))
        timed("mirror update, no change", lambda: datalad.update_mirror(root, {"tiny": [tiny]}))
        timed("mirror publish", lambda: datalad.publish_mirror(root, www))
        timed("mirror publish, no change", lambda: datalad.publish_mirror(root, www))
        size = subprocess.run(
            ["du", "-sk", www / "tiny.git"], check=True, capture_output=True, text=True
        ).stdout.split()[0]
        print(f"published                    {int(size) * 1024 / 1e6:8.1f} MB")

        def type_at(folder: Path, *command: str) -> None:
            done = typed(*command, at=folder, user=user)
            if done.returncode != 0:
                raise SystemExit(done.stderr)

        address = f"{website.url}/tiny.git"
        timed("datalad clone over HTTP", lambda: type_at(scratch, "datalad", "clone", address, "c"))
        print(f"its HTTP requests            {len(website.requests):8d}")
        timed("datalad get of 10 files", lambda: type_at(scratch / "c", "datalad", "get", "real"))
        timed("verify_clone", lambda: datalad.verify_clone(tiny, scratch / "c"))
    if fromkey:
        with_fromkey(scratch, tiny)


def main() -> None:
    """Read the options and measure in a scratch folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--mirrors", type=int, default=2)
    parser.add_argument("--fromkey", action="store_true")
    parser.add_argument("--scratch", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.scratch, ignore_cleanup_errors=True) as folder:
        measure(Path(folder), options.files, options.mirrors, fromkey=options.fromkey)


if __name__ == "__main__":
    main()
