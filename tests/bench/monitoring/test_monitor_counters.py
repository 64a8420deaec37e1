"""Energy counters, read from files and answers like those of Linux and of NVIDIA's library.

Neither a readable RAPL counter nor a GPU is at hand where these tests run: the parser and the
arithmetic are tested here, the hardware is not.
"""

import types
from pathlib import Path
from typing import Any

import pytest

from sciml_data.bench.monitoring.nvml import GpuReading, Gpus, find_nvml
from sciml_data.bench.monitoring.rapl import Rapl

RANGE_UJ = 262_143_328_850  # of an Intel Xeon


def package(root: Path, number: int, energy_uj: int, *, name: str = "package-0") -> Path:
    """Write a zone as the kernel shows it, and return its counter."""
    folder = root / f"intel-rapl:{number}"
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{name}\n")
    (folder / "max_energy_range_uj").write_text(f"{RANGE_UJ}\n")
    (folder / "energy_uj").write_text(f"{energy_uj}\n")
    return folder / "energy_uj"


def test_joules_of_two_packages_add_up(tmp_path: Path) -> None:
    first, second = package(tmp_path, 0, 5_000_000), package(tmp_path, 1, 1_000_000)
    rapl = Rapl(tmp_path, now_s=0.0)

    first.write_text("7000000\n")
    second.write_text("1500000\n")

    assert rapl.read(1.0) == pytest.approx(2.5)
    assert (rapl.reason, rapl.method) == (None, "RAPL, 2 packages, whole computer")


def test_a_counter_that_wrapped_goes_on(tmp_path: Path) -> None:
    counter = package(tmp_path, 0, RANGE_UJ - 1_000_000)
    rapl = Rapl(tmp_path, now_s=0.0)

    counter.write_text("2000000\n")

    assert rapl.read(1.0) == pytest.approx(3.0)


def test_a_counter_that_may_have_wrapped_twice_is_no_measurement(tmp_path: Path) -> None:
    package(tmp_path, 0, 0)
    rapl = Rapl(tmp_path, now_s=0.0)

    assert rapl.read(200.0) == 0.0
    assert rapl.read(200.0 + RANGE_UJ / 1e6 / 1000 + 1) is None
    assert "may have wrapped twice in 263 s" in str(rapl.reason)


def test_parts_of_a_package_and_the_board_are_not_counted_with_it(tmp_path: Path) -> None:
    package(tmp_path, 0, 0)
    package(tmp_path, 1, 0, name="psys")
    (tmp_path / "intel-rapl:0:0").mkdir()
    (tmp_path / "intel-rapl-mmio:0").mkdir()

    assert Rapl(tmp_path).method == "RAPL, 1 package, whole computer"


def test_a_counter_only_root_may_read_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package(tmp_path, 0, 0)
    read_text = Path.read_text

    def refuse(path: Path, encoding: str | None = None) -> str:
        if path.name == "energy_uj":
            raise PermissionError(13, "Permission denied")
        return read_text(path, encoding=encoding)

    monkeypatch.setattr(Path, "read_text", refuse)
    rapl = Rapl(tmp_path)

    assert rapl.reason == "RAPL counters may be read only by root here"
    assert rapl.read(1.0) is None


def test_a_computer_without_counters_says_so(tmp_path: Path) -> None:
    rapl = Rapl(tmp_path / "absent")

    assert rapl.reason == "the system shows no RAPL counter of a processor package"


def test_a_counter_that_is_lost_ends_the_measurement_for_good(tmp_path: Path) -> None:
    counter = package(tmp_path, 0, 0)
    rapl = Rapl(tmp_path, now_s=0.0)
    counter.write_text("garbage\n")

    assert rapl.read(1.0) is None
    counter.write_text("5000000\n")

    assert rapl.read(2.0) is None
    assert str(rapl.reason).startswith("RAPL counters could not be read")


class NvmlError(Exception):
    """What the library raises."""


class Nvml:
    """Answers as `pynvml` does, for GPUs whose power and energy a test sets."""

    NVMLError = NvmlError

    def __init__(self, count: int = 1, *, has_counter: bool = True, has_power: bool = True) -> None:
        self.count, self.has_counter, self.has_power = count, has_counter, has_power
        self.energy_mj, self.power_mw = 1_000_000, 250_000
        self.is_open = False

    def nvmlInit(self) -> None:  # noqa: N802 - the library's names, here and below
        self.is_open = True

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.is_open = False

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return self.count

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlDeviceGetUUID(self, handle: int) -> str:  # noqa: N802
        return f"GPU-{handle}0000000-aaaa"

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> Any:  # noqa: N802
        return types.SimpleNamespace(gpu=20 * (handle + 1))

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:  # noqa: N802
        return types.SimpleNamespace(used=1000 * (handle + 1))

    def nvmlDeviceGetPowerUsage(self, _: int) -> int:  # noqa: N802
        if not self.has_power:
            raise NvmlError("Not Supported")
        return self.power_mw

    def nvmlDeviceGetTotalEnergyConsumption(self, _: int) -> int:  # noqa: N802
        if not self.has_counter:
            raise NvmlError("Not Supported")
        return self.energy_mj


def test_the_energy_counters_of_all_gpus_add_up() -> None:
    nvml = Nvml(2)
    gpus = Gpus(nvml, now_s=0.0)
    nvml.energy_mj += 3_000

    assert gpus.read(1.0) == GpuReading(30.0, 3000.0, 500.0, 6.0)
    assert gpus.method == "NVML total energy counter, 2 GPUs, whole"


def test_without_a_counter_power_is_integrated_and_the_method_says_so() -> None:
    nvml = Nvml(has_counter=False)
    gpus = Gpus(nvml, now_s=0.0)
    nvml.power_mw = 350_000

    assert gpus.read(2.0).energy_j == pytest.approx((250 + 350) / 2 * 2)
    assert gpus.method == "NVML power, integrated over the samples, 1 GPU, whole"


def test_power_is_not_integrated_across_a_gap() -> None:
    gpus = Gpus(Nvml(has_counter=False), now_s=0.0)

    assert gpus.read(60.0).energy_j is None
    assert gpus.reason == "power was not sampled for 60 s"


def test_a_gpu_that_tells_neither_has_load_and_memory_all_the_same() -> None:
    gpus = Gpus(Nvml(has_counter=False, has_power=False))

    assert gpus.read(1.0) == GpuReading(20.0, 1000.0, None, None)
    assert gpus.reason == "NVML tells neither energy nor power of these GPUs"


def test_a_counter_that_stops_ends_the_measurement_for_good() -> None:
    nvml = Nvml()
    gpus = Gpus(nvml, now_s=0.0)
    nvml.has_counter = False
    assert gpus.read(1.0).energy_j is None
    nvml.has_counter = True

    assert gpus.read(2.0).energy_j is None
    assert gpus.reason == "NVML stopped telling the energy during the run"


@pytest.mark.parametrize(
    ("visible", "count"),
    [(None, 3), ("", 0), ("-1", 0), ("2,0", 2), ("GPU-1", 1), ("7", 0), ("MIG-GPU-1", 0)],
)
def test_only_gpus_that_the_run_may_use_are_seen(visible: str | None, count: int) -> None:
    assert Gpus(Nvml(3), visible=visible).count == count


def test_the_library_is_let_go() -> None:
    nvml = Nvml()
    gpus = Gpus(nvml)
    assert nvml.is_open

    gpus.close()

    assert not nvml.is_open


def test_no_library_and_no_driver_are_reasons() -> None:
    class Driverless(Nvml):
        def nvmlInit(self) -> None:  # noqa: N802
            raise NvmlError("Driver Not Loaded")

    assert Gpus(None).reason == "nvidia-ml-py is not installed"
    assert Gpus(Driverless()).reason == "NVML: Driver Not Loaded"
    assert Gpus(Driverless()).read(1.0) == GpuReading()


def test_the_real_library_is_asked_for_functions_that_it_has() -> None:
    nvml = find_nvml()
    if nvml is None:
        pytest.skip("nvidia-ml-py is not installed")

    names = [name for name in vars(Nvml) if name.startswith("nvml")]

    missing = [name for name in names if not hasattr(nvml, name)]
    assert not missing
    assert len(names) == 9
    assert issubclass(nvml.NVMLError, Exception)
