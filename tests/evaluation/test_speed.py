"""Size and speed records; the fresh process is replaced, since it imports everything anew."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from limbeck.evaluation import peak_memory, speed
from limbeck.evaluation.speed import measure_speed

Make = Callable[..., Any]


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Run the fresh process's `main` in this process; keep what it was asked."""
    asked: list[dict[str, Any]] = []

    def run(command: list[str], **options: Any) -> SimpleNamespace:
        folder = Path(command[3])
        asked.append({"command": command, "bytes": sum(f.stat().st_size for f in folder.glob("*.safetensors"))})
        return SimpleNamespace(stdout=f"a line of some library\n{json.dumps({'peak_memory_bytes': 12345})}\n")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(speed, "_LATENCY_ROWS", 4)
    monkeypatch.setattr(speed, "_THROUGHPUT_BATCHES", 2)
    return asked


def test_every_model_gets_its_own_figures(
    make_classifier: Make, make_task: Make, commands: list[dict[str, Any]]
) -> None:
    task = make_task(10)
    models = {"teacher": make_classifier(layers=4), "student": make_classifier(layers=1)}
    speeds = measure_speed(models, dict.fromkeys(models, task.encoded))
    assert set(speeds) == set(models)
    for (name, found), asked in zip(speeds.items(), commands, strict=True):
        assert not models[name].training
        assert found.parameters == sum(p.numel() for p in models[name].parameters())
        assert found.size_bytes == asked["bytes"] > 4 * found.parameters
        assert 0 < found.latency_ms_median <= found.latency_ms_p95
        assert found.throughput_rows_per_second > 0
        assert found.peak_memory_bytes == 12345
        assert asked["command"][4:] == [str(found.batch_size), str(int(task.encoded.lengths.max()))]
    assert speeds["student"].size_bytes < speeds["teacher"].size_bytes


def test_the_fresh_process_prints_its_peak(
    make_classifier: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_classifier().save_pretrained(tmp_path)
    monkeypatch.setattr(sys, "argv", ["peak_memory", str(tmp_path), "4", "12"])
    peak_memory.main()
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["peak_memory_bytes"] > 10**7
