"""Size and speed of models on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.data.encode import Encoded
from limbeck.models.load import save_model
from limbeck.models.taps import run_model
from limbeck.numerics.machine_load import LoadMeter
from limbeck.results.sections import Speed, Speeds

__all__ = ["Answerer", "by_system", "load_warnings", "measure_speed"]

_LATENCY_ROWS, _LATENCY_SECONDS = 60, 2.0
_THROUGHPUT_BATCHES, _THROUGHPUT_SECONDS = 8, 4.0
"""Most rounds of each kind, and the time after which no further round is begun; each has two at least."""
_LEAST_ROUNDS = 2
_BATCH_SIZE = 32
_CONTENTION = 0.25
"""Cores lacking for the threads of this process from which on times are misleading."""

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Answerer:
    """Something other than a neural network that answers held-out rows."""

    answer: Callable[[Rows], object]
    """Answers the rows of these numbers."""
    parameters: int
    size_bytes: int


def measure_speed(
    models: Mapping[str, Any],
    encoded: Mapping[str, Encoded],
    *,
    beside: Mapping[str, Answerer] | None = None,
    timed: bool = True,
) -> Speeds:
    """Measure all models in turn on the same rows, so that a busy moment of the machine affects all of them.

    It takes a few seconds, and then those of a new process for each model, which measures the memory it needs.

    Args:
        models: by name, each on its device.
        encoded: the held-out rows as each model reads them. Times are without tokenising.
        beside: what else is measured, by name; its times are with everything it does.
        timed: measure time and memory; else only sizes.
    """
    others = beside or {}
    size = {name: sum(parameter.numel() for parameter in model.parameters()) for name, model in models.items()}
    if not timed:
        return _only_sizes(models, size, others)
    answers: dict[str, Callable[[Rows], object]] = {
        **{name: partial(_answer, model.eval(), encoded[name]) for name, model in models.items()},
        **{name: one.answer for name, one in others.items()},
    }
    rows = np.random.default_rng(0).permutation(len(next(iter(encoded.values())).lengths))
    for answer in answers.values():
        answer(rows[:1])  # the first call includes set-up
    meter = LoadMeter()
    latencies = _rounds(answers, rows[:_LATENCY_ROWS, None], _LATENCY_SECONDS)
    batches = _rounds(answers, np.resize(rows, (_THROUGHPUT_BATCHES, _BATCH_SIZE)), _THROUGHPUT_SECONDS)
    load = meter.other_cores()
    with ThreadPoolExecutor() as pool:  # the threads only wait for the new processes
        longest = [int(encoded[name].lengths.max()) for name in models]
        on_disk = dict(zip(models, pool.map(_measure_on_disk, models.values(), longest), strict=True))
    sizes: dict[str, tuple[int, int, int | None]] = {name: (size[name], *on_disk[name]) for name in models}
    sizes |= {name: (one.parameters, one.size_bytes, None) for name, one in others.items()}
    return Speeds(
        systems={name: _speed(latencies[name], batches[name], *sizes[name]) for name in answers},
        other_cores=load,
        cores=os.cpu_count(),
        threads=1 if torch.cuda.is_available() else torch.get_num_threads(),
    )


def by_system(speeds: Speeds, models: Mapping[str, str]) -> Speeds:
    """Return the same for systems of which several have one model; `models` gives each system's."""
    found = {system: speeds.systems[model] for system, model in models.items() if model in speeds.systems}
    return speeds.model_copy(update={"systems": found})


def _only_sizes(models: Mapping[str, Any], size: Mapping[str, int], others: Mapping[str, Answerer]) -> Speeds:
    found = {name: Speed(parameters=size[name], size_bytes=_size_on_disk(model)) for name, model in models.items()}
    found |= {name: Speed(parameters=one.parameters, size_bytes=one.size_bytes) for name, one in others.items()}
    return Speeds(systems=found)


def _rounds(answers: Mapping[str, Callable[[Rows], object]], parts: Rows, most_seconds: float) -> dict[str, Any]:
    """Return the seconds that each system takes for each part of the rows, ``[R]``; every round times all systems."""
    found: dict[str, list[float]] = {name: [] for name in answers}
    begun = time.perf_counter()
    for number, part in enumerate(parts):
        if number >= _LEAST_ROUNDS and time.perf_counter() - begun > most_seconds:
            break
        for name, answer in answers.items():
            start = time.perf_counter()
            answer(part)
            found[name].append(time.perf_counter() - start)
    return {name: np.array(seconds) for name, seconds in found.items()}


def _speed(
    latencies_R: NDArray[np.float64],
    batches_R: NDArray[np.float64],
    parameters: int,
    size_bytes: int,
    peak_memory_bytes: int | None,
) -> Speed:
    return Speed(
        parameters=parameters,
        size_bytes=size_bytes,
        latency_ms_median=float(np.median(latencies_R) * 1000),
        latency_ms_p95=float(np.quantile(latencies_R, 0.95) * 1000),
        throughput_rows_per_second=float(_BATCH_SIZE / np.median(batches_R)),
        batch_size=_BATCH_SIZE,
        peak_memory_bytes=peak_memory_bytes,
    )


@torch.no_grad()
def _answer(model: Any, encoded: Encoded, rows: Rows) -> None:
    device = next(model.parameters()).device
    inputs = {name: tensor.to(device) for name, tensor in encoded.batch(rows).items()}
    # Reading a value waits for the device, so this is the answer, not the launch.
    run_model(model, inputs)["logits"].float().sum().item()


def load_warnings(speeds: Speeds) -> list[str]:
    """Return a warning if other programs left too few cores to this process while speed was measured."""
    if speeds.other_cores is None or speeds.cores is None or speeds.threads is None:
        return []
    lacking = min(speeds.threads, speeds.cores) + speeds.other_cores - speeds.cores
    if lacking <= _CONTENTION:
        return []
    return [
        f"Other programs kept {speeds.other_cores:.1f} of {speeds.cores} processor cores busy while speed was "
        "measured: latency and throughput are worse than on a quiet machine, where limbeck evaluate can measure them."
    ]


def _size_on_disk(model: Any) -> int:
    with tempfile.TemporaryDirectory() as folder:
        save_model(model, None, Path(folder))
        return _weights_bytes(folder)


def _weights_bytes(folder: str) -> int:
    return sum(file.stat().st_size for file in Path(folder).rglob("*.safetensors"))


def _measure_on_disk(model: Any, longest: int) -> tuple[int, int]:
    """Return the bytes of the weights, and the peak memory of a process that labels one batch of the longest rows.

    A new process, since this one holds training state and other models.
    """
    with tempfile.TemporaryDirectory() as folder:
        save_model(model, None, Path(folder))
        size = _weights_bytes(folder)
        command = [sys.executable, "-m", "limbeck.evaluation.peak_memory", folder, str(_BATCH_SIZE), str(longest)]
        answer = subprocess.run(command, capture_output=True, text=True, check=True)
    return size, int(json.loads(answer.stdout.strip().splitlines()[-1])["peak_memory_bytes"])
