"""The machine's energy use, if it has a meter.

Linux counts the energy of Intel and AMD processors (RAPL) in ``/sys/class/powercap``, often readable for
root only; NVIDIA counts that of GPUs since Volta (read by ``pynvml``, if installed). Both count the
whole device, whoever uses it. On other machines there is no meter, and the result is ``None``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

__all__ = ["EnergyMeter", "energy_meter"]

_POWERCAP = Path("/sys/class/powercap")
_MICROJOULES_PER_KWH = 3.6e12
_MICROJOULES_PER_MILLIJOULE = 1000


@dataclass
class _Counter:
    """A counter of microjoules that rises, and wraps to 0 after `largest`."""

    read: Callable[[], int]
    largest: int | None
    last: int = 0
    total: int = 0

    def update(self) -> None:
        now = self.read()
        if now < self.last and self.largest is not None:
            self.total += self.largest - self.last + now
        else:
            self.total += now - self.last
        self.last = now


class EnergyMeter:
    """A meter that counts from its creation.

    Processor counters wrap after about an hour under load. A reading sees that they did, but not how
    often, so read at least every few minutes.
    """

    def __init__(self, counters: list[_Counter], covers: tuple[str, ...]) -> None:
        self.covers = covers
        """The parts that are counted, e.g. ``("package-0", "dram", "GPU 0")``."""
        self._counters = counters
        for counter in counters:
            counter.last = counter.read()

    def kwh(self) -> float:
        """Return the kilowatt hours since the meter was created."""
        for counter in self._counters:
            counter.update()
        return sum(counter.total for counter in self._counters) / _MICROJOULES_PER_KWH


def energy_meter(powercap: Path = _POWERCAP) -> EnergyMeter | None:
    """Return a meter of the processors, their memory and the visible GPUs, or ``None`` if there is none.

    Also ``None`` if there are GPUs that cannot be read: the processors' share alone would look like the whole.
    Processors that cannot be read are left out; `EnergyMeter.covers` tells what is included.
    """
    gpus = _gpus()
    if gpus is None:
        return None
    counters = _processors(powercap) | gpus
    return EnergyMeter(list(counters.values()), tuple(counters)) if counters else None


def _processors(powercap: Path) -> dict[str, _Counter]:
    """Return each package and its memory; not the cores within a package or the platform around it."""
    counters: dict[str, _Counter] = {}
    for zone in sorted(powercap.glob("intel-rapl:*")):
        try:
            name = (zone / "name").read_text(encoding="ascii").strip()
            if not name.startswith("package") and name != "dram":
                continue
            largest = int((zone / "max_energy_range_uj").read_text(encoding="ascii"))
            counter = _Counter(lambda file=zone / "energy_uj": int(file.read_text(encoding="ascii")), largest)  # type: ignore[misc]
            counter.read()
        except (OSError, ValueError):
            return {}  # part of the processors would look like all of them
        counters[f"{name} ({zone.name})"] = counter
    return counters


def _gpus() -> dict[str, _Counter] | None:
    """Return the GPUs that this process sees; ``None`` if any of them has no counter."""
    if not torch.cuda.is_available():
        return {}
    try:
        nvml: Any = importlib.import_module("pynvml")
        nvml.nvmlInit()
    except Exception:  # not installed, or a driver without it (an NVMLError, which is known only once imported)
        return None
    counters: dict[str, _Counter] = {}
    for number in range(torch.cuda.device_count()):
        # By UUID: CUDA_VISIBLE_DEVICES renumbers the devices for torch but not for NVML.
        uuid = f"GPU-{torch.cuda.get_device_properties(number).uuid}"
        try:
            handle = nvml.nvmlDeviceGetHandleByUUID(uuid)
            counter = _Counter(
                lambda handle=handle: (  # type: ignore[misc]
                    int(nvml.nvmlDeviceGetTotalEnergyConsumption(handle)) * _MICROJOULES_PER_MILLIJOULE
                ),
                largest=None,
            )
            counter.read()
        except nvml.NVMLError:
            return None
        counters[f"GPU {number}"] = counter
    return counters
