"""GPUs are read through a library that answers like NVIDIA's; a real GPU is not tested."""

import types
from typing import Any

import pytest

from sciml_data.bench.monitoring.nvml import GpuReading, Gpus, find_nvml


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


def test_a_gpu_without_energy_and_power_has_load_and_memory() -> None:
    gpus = Gpus(Nvml(has_counter=False, has_power=False))

    assert gpus.read(1.0) == GpuReading(20.0, 1000.0, None, None)
    assert gpus.reason == "NVML reports neither energy nor power of these GPUs"


def test_a_counter_that_stops_ends_the_measurement_for_good() -> None:
    nvml = Nvml()
    gpus = Gpus(nvml, now_s=0.0)
    nvml.has_counter = False
    assert gpus.read(1.0).energy_j is None
    nvml.has_counter = True

    assert gpus.read(2.0).energy_j is None
    assert gpus.reason == "NVML stopped reporting the energy during the run"


@pytest.mark.parametrize(
    ("visible", "count"),
    [(None, 3), ("", 0), ("-1", 0), ("2,0", 2), ("GPU-1", 1), ("7", 0), ("MIG-GPU-1", 0)],
)
def test_only_gpus_that_the_run_may_use_are_read(visible: str | None, count: int) -> None:
    assert Gpus(Nvml(3), visible=visible).count == count


def test_the_library_is_shut_down() -> None:
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


def test_the_real_library_has_the_functions_that_are_called() -> None:
    nvml = find_nvml()
    if nvml is None:
        pytest.skip("nvidia-ml-py is not installed")

    names = [name for name in vars(Nvml) if name.startswith("nvml")]

    missing = [name for name in names if not hasattr(nvml, name)]
    assert not missing
    assert len(names) == 9
    assert issubclass(nvml.NVMLError, Exception)
