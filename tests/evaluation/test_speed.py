"""Size and speed records; the fresh process is replaced, since it imports everything anew."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from limbeck.evaluation import peak_memory, speed
from limbeck.evaluation.speed import Answerer, by_system, load_warnings, measure_speed
from limbeck.models.pooled_classifier import with_pooling
from limbeck.results.sections import Speed, Speeds

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
    section = measure_speed(models, dict.fromkeys(models, task.encoded))
    assert set(section.systems) == set(models)
    assert (section.cores, section.threads) == (os.cpu_count(), torch.get_num_threads())
    assert section.other_cores is not None
    asked = {one["bytes"]: one["command"] for one in commands}
    for name, found in section.systems.items():
        assert not models[name].training
        assert found.parameters == sum(p.numel() for p in models[name].parameters())
        assert found.size_bytes > 4 * found.parameters
        assert 0 < found.latency_ms_median <= found.latency_ms_p95
        assert found.throughput_rows_per_second > 0
        assert found.peak_memory_bytes == 12345
        assert asked[found.size_bytes][4:] == [str(found.batch_size), str(int(task.encoded.lengths.max()))]
    assert section.systems["student"].size_bytes < section.systems["teacher"].size_bytes


def test_all_are_timed_in_turn_and_the_time_is_bounded(
    make_classifier: Make, make_task: Make, commands: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow system that is no model, on a clock of its own: two rounds of each kind, and no more."""
    clock, calls = [0.0], []

    def passing() -> float:
        clock[0] += 1e-6
        return clock[0]

    monkeypatch.setattr(time, "perf_counter", passing)

    def slow(rows: Any) -> None:
        calls.append(len(rows))
        clock[0] += 3.0 if len(rows) == 1 else 6.0

    task = make_task(10)
    models = {"student": make_classifier(layers=1)}
    beside = {"words": Answerer(slow, parameters=7, size_bytes=28)}
    found = measure_speed(models, {"student": task.encoded}, beside=beside).systems
    assert calls == [1, 1, 1, 32, 32], "one call to warm up"
    words = found["words"]
    assert (words.parameters, words.size_bytes, words.peak_memory_bytes) == (7, 28, None)
    assert words.latency_ms_median == pytest.approx(3000, rel=1e-4)
    assert words.throughput_rows_per_second == pytest.approx(32 / 6, rel=1e-4)
    assert found["student"].latency_ms_median == pytest.approx(1e-3)


def test_without_times_there_are_sizes_alone(
    make_classifier: Make, make_task: Make, commands: list[dict[str, Any]]
) -> None:
    model, task = make_classifier(layers=1), make_task(10)
    timed = measure_speed({"student": model}, {"student": task.encoded})
    commands.clear()
    section = measure_speed({"student": model}, {"student": task.encoded}, timed=False)
    sizes = {"parameters": timed.systems["student"].parameters, "size_bytes": timed.systems["student"].size_bytes}
    assert section == Speeds(systems={"student": Speed(**sizes)})
    assert not commands


@pytest.mark.parametrize(
    ("threads", "other", "warns"), [(2, 0.2, False), (2, 0.3, True), (1, 1.1, False), (4, 1, True)]
)
def test_a_busy_machine_is_told(threads: int, other: float, warns: bool) -> None:
    found = load_warnings(Speeds(systems={}, other_cores=other, cores=2, threads=threads))
    assert len(found) == warns
    if warns:
        assert f"kept {other:.1f} of 2 processor cores busy" in found[0]
    assert load_warnings(Speeds(systems={})) == []


def test_systems_of_one_model_share_its_figures() -> None:
    speeds = Speeds(systems={"student": Speed(parameters=1, size_bytes=2)}, other_cores=0.5)
    shared = by_system(speeds, {"a": "student", "b": "student", "c": "teacher"})
    assert shared.systems == dict.fromkeys(("a", "b"), speeds.systems["student"])
    assert shared.other_cores == 0.5


def test_the_fresh_process_prints_its_peak(
    make_classifier: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_classifier().save_pretrained(tmp_path)
    monkeypatch.setattr(sys, "argv", ["peak_memory", str(tmp_path), "4", "12"])
    peak_memory.main()
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["peak_memory_bytes"] > 10**7


def test_the_size_of_a_pooled_classifier_includes_its_head(make_classifier: Make) -> None:
    model = with_pooling(make_classifier(), "mean")
    before = speed._size_on_disk(model)
    model.head = torch.nn.Linear(model.head.in_features, 100)
    assert speed._size_on_disk(model) > before + 4 * 97 * model.head.in_features
