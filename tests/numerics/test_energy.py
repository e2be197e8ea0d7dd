"""Energy counters in a fake folder and of fake GPUs: wrap-around, parts that would count twice, no meter."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from limbeck.numerics.energy import energy_meter

KWH = 3.6e12  # microjoules


@pytest.fixture(autouse=True)
def _no_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def zone(folder: Path, number: str, name: str, energy: int, largest: int = 1000) -> Path:
    path = folder / f"intel-rapl:{number}"
    path.mkdir(exist_ok=True, parents=True)
    (path / "name").write_text(f"{name}\n")
    (path / "energy_uj").write_text(f"{energy}\n")
    (path / "max_energy_range_uj").write_text(f"{largest}\n")
    return path / "energy_uj"


def test_counts_packages_and_memory_and_nothing_twice(tmp_path: Path) -> None:
    package = zone(tmp_path, "0", "package-0", 100)
    other = zone(tmp_path, "1", "package-1", 500)
    memory = zone(tmp_path, "0:1", "dram", 10)
    cores, platform = zone(tmp_path, "0:0", "core", 0), zone(tmp_path, "2", "psys", 0)
    (tmp_path / "intel-rapl").mkdir()
    meter = energy_meter(tmp_path)
    assert meter is not None
    assert meter.covers == ("package-0 (intel-rapl:0)", "dram (intel-rapl:0:1)", "package-1 (intel-rapl:1)")
    assert meter.kwh() == 0
    for file, energy in ((package, 150), (other, 507), (memory, 11), (cores, 900), (platform, 900)):
        file.write_text(str(energy))
    assert meter.kwh() == pytest.approx((50 + 7 + 1) / KWH)
    assert meter.kwh() == pytest.approx((50 + 7 + 1) / KWH)


def test_a_counter_that_starts_over_goes_on(tmp_path: Path) -> None:
    file = zone(tmp_path, "0", "package-0", 900)
    meter = energy_meter(tmp_path)
    assert meter is not None
    found = []
    for energy in (50, 950, 20):
        file.write_text(str(energy))
        found.append(meter.kwh() * KWH)
    assert found == pytest.approx([150, 1050, 1120])


def test_no_meter_in_an_empty_or_missing_folder(tmp_path: Path) -> None:
    assert energy_meter(tmp_path) is None
    assert energy_meter(tmp_path / "nowhere") is None


def test_no_meter_where_one_processor_cannot_be_read(tmp_path: Path) -> None:
    zone(tmp_path, "0", "package-0", 900)
    zone(tmp_path, "1", "package-1", 900).unlink()
    assert energy_meter(tmp_path) is None


class FakeNVMLError(Exception):
    pass


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Millijoules of the machine's GPUs; this process sees two of the three, in another order."""
    energy = {"GPU-a": 5, "GPU-b": 70, "GPU-c": 900}
    seen = ["c", "a"]

    def read(handle: str) -> int:
        if energy[handle] < 0:
            raise FakeNVMLError("Not Supported")
        return energy[handle]

    nvml = SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
        nvmlDeviceGetTotalEnergyConsumption=read,
        NVMLError=FakeNVMLError,
    )
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: SimpleNamespace(uuid=seen[number]))
    return energy


def test_counts_the_gpus_that_this_process_sees(tmp_path: Path, gpus: dict[str, int]) -> None:
    zone(tmp_path, "0", "package-0", 100)
    meter = energy_meter(tmp_path)
    assert meter is not None
    assert meter.covers == ("package-0 (intel-rapl:0)", "GPU 0", "GPU 1")
    gpus.update({"GPU-a": 6, "GPU-b": 700, "GPU-c": 902})
    assert meter.kwh() == pytest.approx(3000 / KWH)
    without_processors = energy_meter(tmp_path / "nowhere")
    assert without_processors is not None
    assert without_processors.covers == ("GPU 0", "GPU 1")


def test_no_meter_where_a_gpu_cannot_be_read(
    tmp_path: Path, gpus: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    zone(tmp_path, "0", "package-0", 100)
    gpus["GPU-a"] = -1
    assert energy_meter(tmp_path) is None
    monkeypatch.setitem(sys.modules, "pynvml", None)  # as if it were not installed
    assert energy_meter(tmp_path) is None
