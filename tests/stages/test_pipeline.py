"""What a stage asks of the Hugging Face trainer."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import TrainingArguments, get_scheduler

from limbeck.errors import ConfigError
from limbeck.losses.contrastive import PairCosine, SupervisedContrastive
from limbeck.losses.term import WeightedTerm
from limbeck.sequences.fixed import FixedSequences
from limbeck.stages.pipeline import StageRun, _arguments
from limbeck.stages.stage import Stage, Training
from limbeck.types import Shapes, SilentProgress


def a_run(folder: Path, **training: Any) -> StageRun:
    def no_batch(rows: Any) -> Any:
        raise AssertionError("nothing is trained here")

    settings = Training(max_steps=4, batch_size=8, **training)
    sequences = FixedSequences(np.arange(8), np.full(8, 5), 8, 4, 0)
    return StageRun(folder / "stage", folder / "log.jsonl", "distilled", 0, settings, sequences, no_batch,
                    SilentProgress(), "a stage", None, Shapes(1, 1, 1, 1))  # fmt: skip


def test_one_of_several_devices_is_used_without_a_launcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads of one process, each with a part of the batch, would each count rows and divide losses for itself."""

    def four_devices(arguments: TrainingArguments) -> torch.device:
        arguments._n_gpu = 4
        return torch.device("cpu")

    found = cached_property(four_devices)
    found.__set_name__(TrainingArguments, "_setup_devices")
    monkeypatch.setattr(TrainingArguments, "_setup_devices", found)
    assert TrainingArguments(output_dir=str(tmp_path)).n_gpu == 4
    arguments = _arguments(a_run(tmp_path), tmp_path, Stage("a stage", ()))
    assert arguments.n_gpu == 1
    assert arguments.train_batch_size == 8


def test_the_precision_is_the_run_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    with pytest.raises(ConfigError, match="ask for mixed precision bf16"):
        _arguments(a_run(tmp_path), tmp_path, Stage("a stage", ()))
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
    assert _arguments(a_run(tmp_path), tmp_path, Stage("a stage", ())).mixed_precision == "no"


@pytest.mark.skipif(torch.accelerator.is_available(), reason="there is a device for it")
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_precision_of_gpus_on_a_cpu(precision: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"training.precision: {precision} needs a GPU, and there is none"):
        _arguments(a_run(tmp_path, precision=precision), tmp_path, Stage("a stage", ()))


def test_rows_that_are_compared_stay_in_one_micro_batch(tmp_path: Path) -> None:
    of_pairs = Stage("pairs", (WeightedTerm("cosine", PairCosine()),))
    of_all = Stage("all", (WeightedTerm("alike", SupervisedContrastive()),))
    for stage, micro, advice in (
        (
            of_pairs,
            1,
            "the term 'cosine' compares 2 rows of an optimiser step .* micro-batches of 1: make",
        ),
        (of_all, 4, "the term 'alike' compares all rows .* the step's 8 rows are split into micro-batches of 4"),
    ):
        with pytest.raises(ConfigError, match=advice):
            _arguments(a_run(tmp_path, micro_batch_size=micro), tmp_path, stage)
    assert _arguments(a_run(tmp_path, micro_batch_size=2), tmp_path, of_pairs).gradient_accumulation_steps == 4
    assert _arguments(a_run(tmp_path), tmp_path, of_all).gradient_accumulation_steps == 1


@pytest.mark.parametrize(
    ("schedule", "warmup", "expected"),
    [
        ("constant", 0.0, [1.0, 1.0, 1.0, 1.0, 1.0]),
        ("constant", 0.5, [0.0, 0.5, 1.0, 1.0, 1.0]),
        ("linear", 0.5, [0.0, 0.5, 1.0, 0.5, 0.0]),
        ("cosine", 0.0, [1.0, 0.853553, 0.5, 0.146447, 0.0]),
    ],
)
def test_the_learning_rate_after_each_of_four_steps(
    schedule: Any, warmup: float, expected: list[float], tmp_path: Path
) -> None:
    run = a_run(tmp_path, schedule=schedule, warmup_ratio=warmup)
    arguments = _arguments(run, tmp_path, Stage("a stage", ()))
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    found = get_scheduler(arguments.lr_scheduler_type, optimiser, arguments.get_warmup_steps(4), 4)
    rates = []
    for _ in range(5):
        rates.append(found.get_last_lr()[0])
        optimiser.step()
        found.step()
    assert rates == pytest.approx(expected, abs=1e-6)
