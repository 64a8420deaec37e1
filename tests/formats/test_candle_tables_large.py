"""A conversion of tables that is killed, and one of the full size: time lost, memory taken."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sciml_data.home import DatasetFolder
from sciml_data.ready import convert, open_ready
from sciml_data.ready.folder import JOURNAL_NAME, ready_folder
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.registry.layout import find_registry
from sciml_data.registry.manifest import manifest_of
from sciml_data.registry.stages import Verified

FULL_ROWS = 27_769_716  # of the real single-drug table, 1,456,184,548 bytes
MOST_BYTES = 2 * 10**9
# Converts what lies in a folder; prints a line for each ready file, and its own peak at the end.
CHILD = """
import json, re, sys
from dataclasses import replace
from pathlib import Path
from sciml_data.ready import convert
from sciml_data.registry.descriptor import load_descriptor
from sciml_data.home import DatasetFolder
from sciml_data.registry.manifest import manifest_of
from sciml_data.synthetic import load_generator
from sciml_data.registry.layout import find_registry
from sciml_data.registry.stages import Verified

folder, sample, options = DatasetFolder(Path(sys.argv[1])), *map(json.loads, sys.argv[2:4])
found = load_descriptor(find_registry(), "uno_dose", "1.0")
descriptor = replace(found, native={**found.native, "sample": sample})
if not folder.native.is_dir():
    load_generator("candle_tables").write_sample(folder.native, descriptor.native, 0)
    print("written", flush=True)
verified = Verified(descriptor, folder, manifest_of(folder.native), is_synthetic=True)
convert(verified, options=options, progress=lambda done, _: print(done, flush=True))
status = Path("/proc/self/status").read_text()
print(1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1]), flush=True)
"""  # not ru_maxrss: that is inherited from whoever starts a program


def child(root: Path, sample: dict[str, int], options: dict[str, Any]) -> subprocess.Popen[str]:
    arguments = [str(root), json.dumps(sample), json.dumps(options)]
    command = [sys.executable, "-c", CHILD, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def verified_in(root: Path, sample: dict[str, int]) -> Verified:
    found = load_descriptor(find_registry(), "uno_dose", "1.0")
    descriptor = replace(found, native={**found.native, "sample": sample})
    folder = DatasetFolder(root)
    return Verified(descriptor, folder, manifest_of(folder.native), is_synthetic=True)


def test_a_conversion_that_was_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    sample, options = {"rows": 3000, "pairs": 300, "cells": 4, "drugs": 4}, {"shard_bytes": 30_000}
    root = tmp_path / "data"
    with child(root, sample, options) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(6)]  # written, start, four files
        process.send_signal(signal.SIGKILL)
    assert (said[0], process.returncode) == ("written\n", -signal.SIGKILL)
    verified = verified_in(root, sample)
    ready = ready_folder(verified.folder, options)
    notes = (ready / JOURNAL_NAME).read_text(encoding="utf-8").splitlines(keepends=True)
    noted = [json.loads(line)["path"] for line in notes if line.endswith("\n")]
    before = {name: (ready / name).stat().st_mtime_ns for name in noted}
    told: list[str] = []

    converted = convert(verified, options=options, log=told.append)

    assert len(before) >= 4
    assert (
        told[0] == f"{len(before)} of {len(converted.manifest)} ready files are there and are kept"
    )
    assert before == {name: (ready / name).stat().st_mtime_ns for name in noted}
    elsewhere = DatasetFolder(tmp_path / "elsewhere")
    elsewhere.root.mkdir()
    elsewhere.native.symlink_to(verified.folder.native)
    assert convert(replace(verified, folder=elsewhere), options=options).manifest == (
        converted.manifest
    )


@pytest.mark.slow
def test_the_full_single_drug_table_takes_less_than_two_gigabytes(tmp_path: Path) -> None:
    sample = {"rows": FULL_ROWS, "pairs": 4000, "cells": 60, "drugs": 200}

    with child(tmp_path / "data", sample, {}) as process:
        assert process.stdout is not None
        lines = process.stdout.read().split()

    assert process.returncode == 0
    verified = verified_in(tmp_path / "data", sample)
    table = verified.root / verified.descriptor.native["tables"]["single"]
    assert table.stat().st_size >= 1_456_184_548
    assert int(lines[-1]) < MOST_BYTES
    with open_ready(convert(verified)) as dataset:
        assert dataset.attrs["rows_read"] + dataset.attrs["rows_not_valid"] == FULL_ROWS + 4000


@pytest.mark.slow
def test_wide_tables_take_less_than_two_gigabytes(tmp_path: Path) -> None:
    """4,000 compounds under 10,000 ids, in three ready files; the real 53,507 are fourteen."""
    sample = {"rows": 20_000, "pairs": 1000, "cells": 20, "drugs": 4_000}

    with child(tmp_path / "data", sample, {}) as process:
        assert process.stdout is not None
        lines = process.stdout.read().split()

    assert process.returncode == 0
    files = sorted(ready_folder(DatasetFolder(tmp_path / "data"), {}).glob("drugs-*.nc"))
    assert len(files) == 3
    assert int(lines[-1]) < MOST_BYTES
