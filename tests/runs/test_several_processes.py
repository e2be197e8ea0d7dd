"""The same command in one process and in two."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.tasks.masked_lm.masked_models import masked_sections

import limbeck
from limbeck.errors import ConfigError

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
PROGRAM = """
import sys
import limbeck.evaluation.speed as speed
speed._measure_on_disk = lambda model, longest: (1, 1)
from limbeck.cli.app import main
main()
"""


@pytest.mark.slow
def test_two_ranks_train_the_student_that_one_process_trains(
    sections: dict[str, Any], run_file: Path, tmp_path: Path
) -> None:
    """Pitfalls 3 and 8, from the command to the weights: partly labelled rows, rows of uneven length."""
    sections["recipe"]["label_weight"] = 0.3
    for training in (sections["training"], sections["teacher"]["fine_tune"]):
        # A head fitted on features of random weights is so steep that it makes much of rounding.
        training |= {"dropout": 0.0, "fit_head": False}
    run_file.write_text(json.dumps(sections), encoding="utf-8")
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    one = [sys.executable, str(program)]
    two = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(program)]
    for name, command in (("one", one), ("two", two)):
        words = ["distill", str(run_file), "--set", f"output={tmp_path / name}"]
        answer = subprocess.run([*command, *words], env=ENVIRONMENT, capture_output=True, text=True, timeout=240)
        assert answer.returncode == 0, answer.stderr
    ours = load_file(tmp_path / "one" / "student" / "model.safetensors")
    theirs = load_file(tmp_path / "two" / "student" / "model.safetensors")
    for name, weights in ours.items():
        torch.testing.assert_close(theirs[name], weights, atol=1e-4, rtol=1e-3, msg=lambda m, n=name: f"{n}: {m}")
    losses = [
        [json.loads(line)["loss"] for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    ]
    assert torch.allclose(torch.tensor(losses[0]), torch.tensor(losses[1]), atol=1e-4)


@pytest.mark.slow
def test_two_ranks_mask_what_one_process_masks(tmp_path: Path) -> None:
    """More steps than fit into a pass: the second pass has other masks, and each rank reads a part of the texts."""
    training = {
        "max_steps": 5,
        "batch_size": 16,
        "learning_rate": 1e-2,
        "optim": "sgd",
        "dropout": 0.0,
        "log_every": 1,
    }
    run_file = tmp_path / "run.yaml"
    run_file.write_text(json.dumps(masked_sections(tmp_path, training=training, baselines=[])), encoding="utf-8")
    one = [sys.executable, "-m", "limbeck"]
    two = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "limbeck"]
    for name, command in (("one", one), ("two", two)):
        words = ["distill", str(run_file), "--set", f"output={tmp_path / name}"]
        answer = subprocess.run([*command, *words], env=ENVIRONMENT, capture_output=True, text=True, timeout=240)
        assert answer.returncode == 0, answer.stderr
    ours, theirs = (load_file(tmp_path / name / "student" / "model.safetensors") for name in ("one", "two"))
    for name, weights in ours.items():
        torch.testing.assert_close(theirs[name], weights, atol=1e-5, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.slow
def test_fsdp_is_refused_before_anything_is_done(run_file: Path, tmp_path: Path) -> None:
    """Accelerate makes plain DDP of it on CPUs; elsewhere a stage would be lost at its first checkpoint."""
    words = ["--use_fsdp", "--fsdp_version", "2", "--num_processes", "1", "-m", "limbeck", "distill", str(run_file)]
    command = [sys.executable, "-m", "accelerate.commands.launch", *words]
    answer = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=240)
    assert answer.returncode != 0
    assert "the launcher asks for FSDP (ACCELERATE_USE_FSDP), which limbeck does not support" in answer.stderr
    assert not (tmp_path / "run").exists()


def test_a_launcher_of_another_precision_is_refused(sections: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    with pytest.raises(ConfigError, match=r"ask for mixed precision bf16, but training\.precision is float32"):
        limbeck.distill(**sections)
