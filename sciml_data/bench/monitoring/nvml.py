"""Utilisation, memory, power and energy of GPUs, read with NVIDIA's management library (NVML).

The values are those of whole GPUs, so they include other processes. GPUs that the variable
CUDA_VISIBLE_DEVICES hides from the run are left out.
"""

from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

MILLI = 1e-3
# Power is integrated by the trapezoidal rule; over a longer gap that would be a guess.
MAX_GAP_S = 10.0


@dataclass(frozen=True)
class GpuReading:
    """Measurements of all GPUs together; None where the library has no value.

    Attributes:
        utilisation_percent: mean over the GPUs, 0 to 100.
        memory_bytes: memory in use, summed over the GPUs.
        power_w: summed over the GPUs.
        energy_j: since the first reading, summed over the GPUs; None after a failure.
    """

    utilisation_percent: float | None = None
    memory_bytes: float | None = None
    power_w: float | None = None
    energy_j: float | None = None


class Gpus:
    """The GPUs that a run may use.

    Attributes:
        count: number of GPUs; 0 also if the library is not installed.
        reason: why the energy is not known; None while it can be read.
        method: how the energy is measured, for the record.
    """

    def __init__(
        self, nvml: Any | None, *, visible: str | None = None, now_s: float | None = None
    ) -> None:
        """Start the library and find the GPUs.

        Args:
            nvml: the module `pynvml` (package nvidia-ml-py), or one with the same functions; None
                if it is not installed.
            visible: value of CUDA_VISIBLE_DEVICES; None if it is not set.
            now_s: time by the clock of `read`; None means `time.perf_counter`.
        """
        self.reason: str | None = None
        self.method = ""
        self._nvml: Any = nvml
        self._handles: list[Any] = []
        self._joules = 0.0
        self._last_s = time.perf_counter() if now_s is None else now_s
        self._last: float | None = None
        if nvml is None:
            self.reason = "nvidia-ml-py is not installed"
            return
        try:
            nvml.nvmlInit()
            self._handles = _handles(nvml, visible)
            if self._handles:
                self._begin()
            else:
                self.reason = "there is no GPU for this run"
        except _errors(nvml) as error:
            self.reason = f"NVML: {error}"

    @property
    def count(self) -> int:
        """Number of GPUs."""
        return len(self._handles)

    def read(self, now_s: float) -> GpuReading:
        """Return the measurements at a time of the monotonic clock in seconds."""
        if not self._handles:
            return GpuReading()
        nvml = self._nvml
        load = self._sum(lambda handle: nvml.nvmlDeviceGetUtilizationRates(handle).gpu)
        return GpuReading(
            utilisation_percent=None if load is None else load / len(self._handles),
            memory_bytes=self._sum(lambda handle: nvml.nvmlDeviceGetMemoryInfo(handle).used),
            power_w=self._power_w(),
            energy_j=self._energy_j(now_s),
        )

    def close(self) -> None:
        """Shut the library down."""
        if self._nvml is not None:
            with contextlib.suppress(*_errors(self._nvml)):
                self._nvml.nvmlShutdown()

    def _begin(self) -> None:
        """Choose the energy counter if the GPUs have one (from Volta on), else power."""
        named = f"{self.count} GPU{'s' if self.count != 1 else ''}, whole"
        self._last = self._counter_j()
        self._has_counter = self._last is not None
        if self._has_counter:
            self.method = f"NVML total energy counter, {named}"
            return
        self.method = f"NVML power, integrated over the samples, {named}"
        self._last = self._power_w()
        if self._last is None:
            self.reason = "NVML reports neither energy nor power of these GPUs"

    def _energy_j(self, now_s: float) -> float | None:
        if self.reason is not None or self._last is None:
            return None
        gap_s, self._last_s = now_s - self._last_s, now_s
        now = self._counter_j() if self._has_counter else self._power_w()
        if now is None:
            self.reason = "NVML stopped reporting the energy during the run"
            return None
        if not self._has_counter and gap_s > MAX_GAP_S:
            self.reason = f"power was not sampled for {gap_s:.0f} s"
            return None
        grown = now - self._last if self._has_counter else (now + self._last) / 2 * gap_s
        self._joules, self._last = self._joules + grown, now
        return self._joules

    def _counter_j(self) -> float | None:
        total = self._sum(self._nvml.nvmlDeviceGetTotalEnergyConsumption)
        return None if total is None else total * MILLI

    def _power_w(self) -> float | None:
        total = self._sum(self._nvml.nvmlDeviceGetPowerUsage)
        return None if total is None else total * MILLI

    def _sum(self, read: Callable[[Any], float]) -> float | None:
        """Return the sum of a measurement over the GPUs; None if it fails for one of them."""
        try:
            return float(sum(read(handle) for handle in self._handles))
        except _errors(self._nvml):
            return None


def find_nvml() -> Any | None:
    """Return the module `pynvml`, or None if nvidia-ml-py is not installed."""
    try:
        return importlib.import_module("pynvml")
    except ImportError:
        return None


def _errors(nvml: Any) -> tuple[type[Exception], ...]:
    """Return the exceptions of the library; AttributeError because old drivers lack functions."""
    return (nvml.NVMLError, OSError, AttributeError)


def _handles(nvml: Any, visible: str | None) -> list[Any]:
    every = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
    if visible is None:
        return every
    chosen = [_named(nvml, every, name.strip()) for name in visible.split(",")]
    return [handle for handle in chosen if handle is not None]


def _named(nvml: Any, every: Sequence[Any], name: str) -> Any | None:
    """Return the GPU of an entry of CUDA_VISIBLE_DEVICES: a number, or the start of a UUID."""
    if name.isdecimal():
        return every[int(name)] if int(name) < len(every) else None
    for handle in every:
        uuid = nvml.nvmlDeviceGetUUID(handle)
        text = uuid.decode("ascii") if isinstance(uuid, bytes) else str(uuid)
        if name and text.startswith(name):
            return handle
    return None
