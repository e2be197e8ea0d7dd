"""How big and how fast is a model, on this machine?"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from limbeck.data.encode import Encoded
from limbeck.models.layers import run_model
from limbeck.results import Speed

__all__ = ["measure_speed"]

_LATENCY_ROWS = 60
_THROUGHPUT_BATCHES = 8
_BATCH_SIZE = 32


def measure_speed(models: dict[str, Any], encoded: dict[str, Encoded], folders: dict[str, Path]) -> dict[str, Speed]:
    """Measure all models in turn on the same rows, so that a busy moment of the machine hits them alike.

    Args:
        models: by name, each on its device.
        encoded: the held-out rows as each model reads them.
        folders: where each model's weights are saved.
    """
    rows = np.random.default_rng(0).permutation(len(next(iter(encoded.values())).lengths))
    latencies: dict[str, list[float]] = {name: [] for name in models}
    rates: dict[str, list[float]] = {name: [] for name in models}
    warm_up = rows[:1]
    for name, model in models.items():
        model.eval()
        _seconds(model, encoded[name], warm_up)
    for row in rows[:_LATENCY_ROWS]:
        for name, model in models.items():
            latencies[name].append(_seconds(model, encoded[name], np.array([row])))
    for start in range(_THROUGHPUT_BATCHES):
        batch = np.resize(rows, (_THROUGHPUT_BATCHES, _BATCH_SIZE))[start]
        for name, model in models.items():
            rates[name].append(_BATCH_SIZE / _seconds(model, encoded[name], batch))
    return {
        name: Speed(
            parameters=sum(p.numel() for p in model.parameters()),
            size_bytes=sum(f.stat().st_size for f in folders[name].glob("*.safetensors")),
            latency_ms_median=float(np.median(latencies[name]) * 1000),
            latency_ms_p95=float(np.quantile(latencies[name], 0.95) * 1000),
            throughput_rows_per_second=float(np.median(rates[name])),
            batch_size=_BATCH_SIZE,
            peak_memory_bytes=_peak_memory_in_fresh_process(folders[name], int(encoded[name].lengths.max())),
        )
        for name, model in models.items()
    }


@torch.no_grad()
def _seconds(model: Any, encoded: Encoded, rows: Any) -> float:
    device = next(model.parameters()).device
    inputs = {name: tensor.to(device) for name, tensor in encoded.batch(rows).items()}
    start = time.perf_counter()
    # Reading a value waits for the device, so the time is that of the answer, not of the launch.
    run_model(model, inputs)["logits_BC"].float().sum().item()
    return time.perf_counter() - start


def _peak_memory_in_fresh_process(folder: Path, longest: int) -> int:
    """Peak memory of a new process that loads the model and labels one batch of the longest rows.

    A new process, since this one holds training state and other models.
    """
    command = [sys.executable, "-m", "limbeck.evaluation.peak_memory", str(folder), str(_BATCH_SIZE), str(longest)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(json.loads(answer.stdout.strip().splitlines()[-1])["peak_memory_bytes"])
