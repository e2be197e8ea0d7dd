"""Size and speed of models on this machine."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from limbeck.data.encode import Encoded
from limbeck.models.load import save_model
from limbeck.models.taps import run_model
from limbeck.results.sections import Speed

__all__ = ["measure_speed"]

_LATENCY_ROWS = 60
_THROUGHPUT_BATCHES = 8
_BATCH_SIZE = 32


def measure_speed(models: Mapping[str, Any], encoded: Mapping[str, Encoded]) -> dict[str, Speed]:
    """Measure all models in turn on the same rows, so that a busy moment of the machine affects all of them.

    Args:
        models: by name, each on its device.
        encoded: the held-out rows as each model reads them.
    """
    rows = np.random.default_rng(0).permutation(len(next(iter(encoded.values())).lengths))
    latencies: dict[str, list[float]] = {name: [] for name in models}
    rates: dict[str, list[float]] = {name: [] for name in models}
    for name, model in models.items():
        model.eval()
        _seconds(model, encoded[name], rows[:1])  # the first call includes set-up
    for row in rows[:_LATENCY_ROWS]:
        for name, model in models.items():
            latencies[name].append(_seconds(model, encoded[name], np.array([row])))
    for batch in np.resize(rows, (_THROUGHPUT_BATCHES, _BATCH_SIZE)):
        for name, model in models.items():
            rates[name].append(_BATCH_SIZE / _seconds(model, encoded[name], batch))
    speeds = {}
    for name, model in models.items():
        size_bytes, peak_memory_bytes = _measure_on_disk(model, int(encoded[name].lengths.max()))
        speeds[name] = Speed(
            parameters=sum(p.numel() for p in model.parameters()),
            size_bytes=size_bytes,
            latency_ms_median=float(np.median(latencies[name]) * 1000),
            latency_ms_p95=float(np.quantile(latencies[name], 0.95) * 1000),
            throughput_rows_per_second=float(np.median(rates[name])),
            batch_size=_BATCH_SIZE,
            peak_memory_bytes=peak_memory_bytes,
        )
    return speeds


@torch.no_grad()
def _seconds(model: Any, encoded: Encoded, rows: Any) -> float:
    device = next(model.parameters()).device
    inputs = {name: tensor.to(device) for name, tensor in encoded.batch(rows).items()}
    start = time.perf_counter()
    # Reading a value waits for the device, so this times the answer, not the launch.
    run_model(model, inputs)["logits"].float().sum().item()
    return time.perf_counter() - start


def _measure_on_disk(model: Any, longest: int) -> tuple[int, int]:
    """Return the bytes of the weights, and the peak memory of a process that labels one batch of the longest rows.

    A new process, since this one holds training state and other models.
    """
    with tempfile.TemporaryDirectory() as folder:
        save_model(model, None, Path(folder))
        size = sum(file.stat().st_size for file in Path(folder).rglob("*.safetensors"))
        command = [sys.executable, "-m", "limbeck.evaluation.peak_memory", folder, str(_BATCH_SIZE), str(longest)]
        answer = subprocess.run(command, capture_output=True, text=True, check=True)
    return size, int(json.loads(answer.stdout.strip().splitlines()[-1])["peak_memory_bytes"])
