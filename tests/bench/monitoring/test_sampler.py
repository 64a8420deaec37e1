"""The monitor samples during a run, never ends it, and has a reason for each missing value."""

import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from sciml_data.bench.monitoring import Monitor, monitor_figure
from sciml_data.bench.monitoring.sampler import COLUMNS, HEADER, read_samples

PATIENCE_S = 30.0
QUICK_S = 0.01


def busy_until(is_true: Callable[[], bool]) -> None:
    """Use the processor until a condition is true."""
    end_s = time.perf_counter() + PATIENCE_S
    while not is_true():
        assert time.perf_counter() < end_s, "the condition never became true"
        sum(range(1000))


def has_rows(path: Path, count: int) -> Callable[[], bool]:
    return lambda: path.is_file() and path.read_bytes().count(b"\n") > count


def sampled(path: Path, **options: Any) -> Monitor:
    """Return a monitor that has taken three samples of a busy process."""
    monitor = Monitor(path, interval_s=QUICK_S, find_nvml=lambda: None, **options)
    rows = path.read_bytes().count(b"\n") if path.is_file() else 0
    with monitor:
        busy_until(has_rows(path, rows + 3))
    return monitor


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "monitor.csv"


def test_samples_are_rows_in_order_with_growing_cpu_seconds(table: Path) -> None:
    monitor = sampled(table)

    rows = read_samples(table)
    seconds = [row["process_cpu_s"] for row in rows]
    assert monitor.failure is None
    assert {1.0} == {row["process"] for row in rows}
    assert [row["time_ms"] for row in rows] == sorted(row["time_ms"] or 0 for row in rows)
    assert seconds == sorted(value or 0.0 for value in seconds)
    assert (seconds[-1] or 0.0) > 0
    assert min(row["process_rss_bytes"] or 0 for row in rows) > 1_000_000


def test_the_summary_counts_the_rows_and_what_the_thread_cost(table: Path) -> None:
    summary = sampled(table).summary()

    assert set(summary) == {"resources", "monitor", "energy"}
    assert summary["monitor"]["samples"] == len(read_samples(table))
    assert summary["monitor"]["interval_s"] == QUICK_S
    assert 0 < summary["monitor"]["cost_fraction"] < 1
    assert summary["resources"]["cpu_s"] > 0
    assert summary["resources"]["peak_device_memory_bytes"] is None


def test_the_load_of_other_programs_is_that_of_the_computer_less_our_own(table: Path) -> None:
    share = sampled(table).summary()["monitor"]["other_cpu_fraction"]

    rows = [row for row in read_samples(table) if row["process_cpu_percent"] is not None]
    loads = [
        (row["system_cpu_percent"] or 0) - (row["process_cpu_percent"] or 0) / psutil.cpu_count()
        for row in rows
        if row["system_cpu_percent"] is not None
    ]
    assert share == pytest.approx(min(max(sum(loads) / len(loads) / 100, 0), 1), abs=1e-4)


def test_bytes_written_to_disk_are_counted(table: Path, tmp_path: Path) -> None:
    size = 3_000_000
    monitor = Monitor(table, interval_s=0, find_nvml=lambda: None)
    with monitor:
        (tmp_path / "blob").write_bytes(b"x" * size)

    written = monitor.summary()["resources"]["disk_write_bytes"]

    assert size <= written < 2 * size


def test_a_child_counts_while_it_lives_and_after(table: Path) -> None:
    program = "import sys\nblob = b'x' * 50_000_000\nprint(len(blob), flush=True)\nsys.stdin.read()"
    with Monitor(table, interval_s=QUICK_S, find_nvml=lambda: None) as monitor:
        before = monitor.summary()["resources"]["cpu_s"]
        with subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as child:
            assert child.stdout is not None
            child.stdout.readline()
            busy_until(has_rows(table, table.read_bytes().count(b"\n") + 2))
            alone = min(row["process_rss_bytes"] or 0 for row in read_samples(table))
        rows = read_samples(table)

    assert max(row["process_rss_bytes"] or 0 for row in rows) > alone + 40_000_000
    assert monitor.summary()["resources"]["cpu_s"] > before


def test_energy_that_cannot_be_read_has_a_reason(table: Path, tmp_path: Path) -> None:
    energy = sampled(table, powercap=tmp_path / "absent").summary()["energy"]

    assert energy == {
        "measured": False,
        "method": None,
        "cpu_energy_j": None,
        "gpu_energy_j": None,
        "reason": "CPU: the system shows no RAPL counter of a processor package; "
        "GPU: nvidia-ml-py is not installed",
    }


def test_energy_of_a_counter_is_measured_and_named(table: Path, tmp_path: Path) -> None:
    zone = tmp_path / "powercap" / "intel-rapl:0"
    zone.mkdir(parents=True)
    for name, text in (
        ("name", "package-0"),
        ("energy_uj", "1000000"),
        ("max_energy_range_uj", "65532610987"),
    ):
        (zone / name).write_text(f"{text}\n")
    with Monitor(
        table, interval_s=QUICK_S, powercap=zone.parent, find_nvml=lambda: None
    ) as monitor:
        (zone / "new").write_text("43000000\n")
        (zone / "new").replace(zone / "energy_uj")

    energy = monitor.summary()["energy"]

    assert energy["measured"]
    assert energy["cpu_energy_j"] == pytest.approx(42.0)
    assert energy["method"] == "RAPL, 1 package, whole computer"
    assert energy["reason"] == "GPU: nvidia-ml-py is not installed"


def test_a_resumed_run_continues_its_table_and_claims_no_sums(table: Path) -> None:
    first = sampled(table).summary()
    with table.open("a") as stream:
        stream.write("1,179587")  # cut off by a kill

    second = sampled(table).summary()

    rows = read_samples(table)
    assert {1.0, 2.0} == {row["process"] for row in rows}
    assert second["monitor"]["samples"] == len(rows) > first["monitor"]["samples"]
    assert second["resources"]["cpu_s"] is None
    assert "resumed" in second["energy"]["reason"]


def test_an_exception_of_the_run_passes_and_the_table_is_whole(table: Path) -> None:
    with (
        pytest.raises(RuntimeError, match="diverged"),
        Monitor(table, interval_s=QUICK_S, find_nvml=lambda: None),
    ):
        raise RuntimeError("diverged")

    assert read_samples(table)
    assert "monitor" not in [thread.name for thread in threading.enumerate()]


def test_a_table_that_cannot_be_written_does_not_end_the_run(tmp_path: Path) -> None:
    with Monitor(tmp_path / "absent" / "monitor.csv", find_nvml=lambda: None) as monitor:
        was_entered = True

    summary = monitor.summary()
    assert was_entered
    assert summary["monitor"] is None
    assert summary["resources"]["peak_host_memory_bytes"] > 0
    assert summary["resources"]["cpu_s"] >= 0
    assert "FileNotFoundError" in summary["energy"]["reason"]


def test_a_table_with_other_columns_is_not_changed(table: Path) -> None:
    table.write_text("a,b\n1,2\n")
    with Monitor(table, find_nvml=lambda: None) as monitor:
        pass

    assert table.read_text() == "a,b\n1,2\n"
    assert "other columns" in str(monitor.failure)


def test_a_library_that_breaks_does_not_end_the_run(table: Path) -> None:
    def broken() -> Any:
        raise RuntimeError("no such driver\nat all")

    with Monitor(table, find_nvml=broken) as monitor:
        pass

    assert monitor.failure == "RuntimeError: no such driver"


def test_a_monitor_that_is_off_writes_nothing_and_has_the_resources(table: Path) -> None:
    with Monitor(table, interval_s=0) as monitor:
        sum(range(100_000))

    summary = monitor.summary()
    assert not table.exists()
    assert summary["monitor"] is None
    assert summary["resources"]["cpu_s"] > 0
    assert summary["energy"]["reason"] == "the monitor was off"


def test_without_psutil_the_peak_memory_is_known(
    table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    with Monitor(table) as monitor:
        pass

    summary = monitor.summary()
    assert summary["resources"]["peak_host_memory_bytes"] > 0
    assert summary["resources"]["cpu_s"] is None
    assert "psutil" in summary["energy"]["reason"]


def test_the_peak_memory_is_not_that_of_the_program_that_started_this_one() -> None:
    held = b"x" * 2**30
    program = (
        "from sciml_data.bench.monitoring.machine import peak_memory_bytes\n"
        "print(peak_memory_bytes())"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert 0 < int(done.stdout) < len(held)


def test_the_figure_has_a_panel_for_each_kind_of_measurement(table: Path) -> None:
    sampled(table)

    figure = monitor_figure(table)

    labels = [axes.get_ylabel() for axes in figure.axes]
    assert labels == [
        "CPU of this run\n% of a core", "CPU\n% of all cores", "memory\nGiB", "disk\nMiB/s",
    ]  # fmt: skip


def test_the_axis_of_the_figure_begins_with_the_run(table: Path) -> None:
    sampled(table)
    first_ms = int(read_samples(table)[0]["time_ms"] or 0)

    timeline = [{"key": "init_start", "time_ms": first_ms - 90_000}]
    figure = monitor_figure(table, title="toy", timeline=timeline)

    minutes = np.asarray(figure.axes[0].lines[0].get_xdata(), dtype=float)
    assert minutes[0] == pytest.approx(1.5)
    assert figure.axes[0].get_xlim()[0] == 0
    assert figure.axes[-1].get_xlabel().startswith("minutes since the run began (grey: ")


def test_the_figure_shows_power_as_the_growth_of_energy(table: Path) -> None:
    lines = [HEADER]
    for process, elapsed_s, joules in ((1, 0, 0), (1, 2, 100), (2, 0, 0), (2, 1, 25)):
        cells = dict.fromkeys(COLUMNS, "") | {
            "process": str(process),
            "time_ms": str(1000 * (elapsed_s + 10 * process)),
            "elapsed_s": str(elapsed_s),
            "cpu_energy_j": str(joules),
        }
        lines.append(",".join(cells.values()) + "\n")
    table.write_text("".join(lines))

    (axes,) = monitor_figure(table).axes

    watts = np.asarray(axes.lines[0].get_ydata(), dtype=float)
    assert axes.get_ylabel() == "CPU power\nW"
    np.testing.assert_array_equal(watts, [np.nan, 50.0, np.nan, 25.0])


def test_a_figure_of_nothing_is_refused(table: Path) -> None:
    table.write_text(HEADER)

    with pytest.raises(ValueError, match="has no samples"):
        monitor_figure(table)


@pytest.mark.parametrize(
    "cell",
    [b"x" * 200_000, b"1\r2", b"\xff\xfe", b"text", b"inf", b"nan", b"1e300", b"1,2"],
    ids=["a field above the limit of csv", "a carriage return", "not ASCII", "not a number",
         "infinite", "NaN", "beyond 64 bits", "a field too many"],
)  # fmt: skip
def test_a_table_that_is_damaged_is_named(cell: bytes, table: Path) -> None:
    cells = [b"1", cell, *[b""] * (len(COLUMNS) - 2)]
    table.write_bytes(HEADER.encode() + b",".join(cells) + b"\n")

    with pytest.raises(ValueError, match=re.escape(table.name)):
        read_samples(table)


def test_a_damaged_table_of_an_earlier_process_does_not_end_the_run(table: Path) -> None:
    table.write_bytes(HEADER.encode() + b"inf" + b"," * (len(COLUMNS) - 1) + b"\n")

    with Monitor(table, interval_s=QUICK_S, find_nvml=lambda: None) as monitor:
        pass

    assert table.name in (monitor.failure or "")
