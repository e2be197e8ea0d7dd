"""How busy others keep the machine: by hand, and with a program that is busy."""

from __future__ import annotations

import subprocess
import sys
import time
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from limbeck.numerics.machine_load import LoadMeter


def test_other_cores_are_busy_time_less_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    now: dict[str, Any] = {"clock": 100.0, "busy": 50.0, "own": 5.0}
    monkeypatch.setattr(time, "monotonic", lambda: now["clock"])
    monkeypatch.setattr(
        psutil,
        "cpu_times",
        lambda: SimpleNamespace(user=now["busy"], system=1.0, steal=now["busy"], idle=now["clock"], guest=now["busy"]),
    )
    own = SimpleNamespace(cpu_times=lambda: SimpleNamespace(user=now["own"], system=0.5, children_user=99.0))
    monkeypatch.setattr(psutil, "Process", lambda: own)
    meter = LoadMeter()
    assert meter.other_cores() == 0.0, "no time has passed"
    now.update(clock=104.0, busy=54.0, own=7.0)
    assert meter.other_cores() == pytest.approx((4 + 4 - 2) / 4)
    now.update(own=90.0)
    assert meter.other_cores() == 0.0


@pytest.mark.slow
def test_a_busy_program_is_seen() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as other:
        time.sleep(0.3)
        meter = LoadMeter()
        time.sleep(1.0)
        found = meter.other_cores()
        other.kill()
    assert found > 0.3
