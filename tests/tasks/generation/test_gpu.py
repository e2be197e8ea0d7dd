"""Runs on texts on a GPU: stores, bf16 and writing give what a CPU gives, as near as their arithmetic is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.tasks.generation.text_models import text_sections

import limbeck
from limbeck.runs.config import run_config
from limbeck.tasks.generation.config import TextRunConfig
from limbeck.tasks.generation.store import fill_store_of
from limbeck.teachers.store.reader import TokenStore
from limbeck.types import SilentProgress

pytestmark = pytest.mark.gpu


def losses(run: str | Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (Path(run) / "log.jsonl").read_text(encoding="utf-8").splitlines()]


def on_a_cpu(command: str, sections: dict[str, Any], folder: Path) -> None:
    """Carry out a command in a process that sees no GPU."""
    path = folder / f"{command}.yaml"
    path.write_text("".join(f"{name}: {json.dumps(value)}\n" for name, value in sections.items()), encoding="utf-8")
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"}
    words = [sys.executable, "-m", "limbeck", command, str(path)]
    answer = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=600)
    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize("recipe", ["kd", "jensen_shannon", "reverse_kl"])
def test_a_run_has_the_losses_of_a_cpu(recipe: str, tmp_path: Path) -> None:
    sections = text_sections(tmp_path, recipe=recipe)
    sections["training"].update(optim="sgd", learning_rate=0.3)
    on_a_cpu("distill", {**sections, "output": str(tmp_path / "cpu")}, tmp_path)
    limbeck.distill(**sections)
    assert losses(sections["output"]) == pytest.approx(losses(tmp_path / "cpu"), rel=1e-3)


@pytest.mark.parametrize("recipe", [{"name": "kd"}, {"name": "gkd", "on_policy_fraction": 1, "max_new_tokens": 5}])
def test_bf16_is_near_float32(recipe: dict[str, Any], tmp_path: Path) -> None:
    """Autocast for the student, bf16 weights for the teacher; peak memory is that of the device."""
    sections = text_sections(tmp_path, recipe=recipe)
    limbeck.distill(**sections)
    low = {**sections, "output": str(tmp_path / "bf16"), "teacher": {**sections["teacher"], "precision": "bf16"}}
    low["training"] = {**sections["training"], "precision": "bf16"}
    results = limbeck.distill(**low)
    assert losses(low["output"])[0] == pytest.approx(losses(sections["output"])[0], rel=5e-2)
    assert all(cost.peak_memory_bytes > 0 for cost in results.costs)


def test_a_store_made_on_a_gpu_serves_as_one_made_on_a_cpu(tmp_path: Path) -> None:
    sections, found = text_sections(tmp_path), {}
    for place in ("cpu", "gpu"):
        sections["teacher"] |= {"store": str(tmp_path / place), "top_k": 8}
        sections["output"] = str(tmp_path / f"run-{place}")
        if place == "cpu":
            on_a_cpu("store", sections, tmp_path)
        else:
            config = run_config(sections)
            assert isinstance(config, TextRunConfig)
            fill_store_of(config, SilentProgress())
        limbeck.distill(**sections)
        found[place] = TokenStore.open(tmp_path / place), losses(sections["output"])
    (cpu, expected), (gpu, with_gpu) = found["cpu"], found["gpu"]
    assert (len(gpu), gpu.positions) == (len(cpu), cpu.positions)
    gpu.require(cpu.fingerprint)
    assert with_gpu == pytest.approx(expected, rel=1e-3)
