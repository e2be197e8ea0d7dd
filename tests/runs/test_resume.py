"""Runs that are killed: real processes, real signals, a disk that refuses."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from tests.runs.forge import Forge
from tests.runs.outcomes import differences, run_outcome

from limbeck.stages.callbacks import step_of

pytestmark = pytest.mark.slow

PROGRAM = (
    # A shell may start its background jobs with interrupts ignored, and these would inherit it.
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    # Memory is measured in processes of their own, which these tests are not about.
    "import limbeck.evaluation.speed as speed; speed._measure_on_disk = lambda model, longest: (1, 1)\n"
    "from limbeck.cli.app import main; main()"
)
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def start(run_file: Path, *overrides: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM, "distill", str(run_file)]
    for override in overrides:
        command += ["--set", override]
    return subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, errors = process.communicate(timeout=240)
    return process.returncode, errors


def weights(run: Path) -> dict[str, bytes]:
    return {
        name: tensor.numpy().tobytes() for name, tensor in load_file(run / "student" / "model.safetensors").items()
    }


@pytest.fixture
def longer(sections: dict[str, Any]) -> None:
    """Long enough to be hit while it trains."""
    sections["training"].update(max_steps=60, checkpoints=12, log_every=2)
    sections["teacher"]["fine_tune"].update(num_train_epochs=4, checkpoints=8, log_every=2)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_kill_9_at_any_moment_ends_in_the_same_student(longer: None, run_file: Path, tmp_path: Path) -> None:
    """In every stage, some time after its first checkpoint. The processes are forked from one that is warm."""
    forge, chance = Forge("until_killed.py"), random.Random(0)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    forge.timed("distill", str(run_file), "--set", f"output={whole}")
    words = ("distill", str(run_file), "--set", f"output={killed}")
    kills = 0
    for stage in ("01", "02", "03"):
        for _ in range(2):
            checkpoints = f"stages/{stage}-*/checkpoints/*/limbeck.json"
            code = forge.run(
                *words, kill_after=chance.uniform(0, 0.15), since=lambda wanted=checkpoints: any(killed.glob(wanted))
            )
            kills += code == -signal.SIGKILL
    assert kills >= 4
    newest = max(killed.glob("stages/03-*/checkpoints/*/limbeck.json"), key=lambda path: step_of(path.parent))
    newest.with_name("optimizer.pt").write_bytes(b"")  # as after a power cut
    (weights_file,) = killed.glob("stages/01-*/model/model.safetensors")
    weights_file.write_bytes(weights_file.read_bytes()[:-9])
    forge.timed(*words)
    for name in ("optimizer.pt", "model.safetensors"):
        assert f"is damaged: {name} is not what was written" in forge.output
    forge.end()
    assert weights(killed) == weights(whole)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_kill_9_in_any_part_of_a_search_ends_in_the_same_choice(sections: dict[str, Any], tmp_path: Path) -> None:
    """Trials, what is kept of their scores, and the training with the second seed at the best rate."""
    sections["search"] = {"learning_rate": [3e-3, 1e-3]}
    sections |= {"seeds": [0, 1], "baselines": ["fine_tune"]}
    sections["training"] |= {"max_steps": 16, "checkpoints": 4, "dropout": 0.1}
    run_file = tmp_path / "search.yaml"
    run_file.write_text(json.dumps(sections), encoding="utf-8")
    forge, chance = Forge("until_killed.py"), random.Random(0)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    try:
        assert forge.run("distill", str(run_file), "--set", f"output={whole}") == 0, forge.output
        words, kills = ("distill", str(run_file), "--set", f"output={killed}"), 0
        for moment in (
            "stages/02-*-seed0-lr0.001/checkpoints/*/limbeck.json",
            "predictions/distilled-dev-lr0.001.json",
            "stages/02-*-seed0-lr0.003/checkpoints/*/limbeck.json",
            "predictions/distilled-dev-lr0.003.json",
            "stages/03-*-seed0-lr*/checkpoints/*/limbeck.json",
            "predictions/fine_tune-dev-lr*.json",
            "stages/02-*-seed1-lr*/checkpoints/*/limbeck.json",
        ):

            def reached(wanted: str = moment) -> bool:
                return any(killed.glob(wanted))

            code = forge.run(*words, kill_after=chance.uniform(0, 0.05), since=reached)
            assert code in (0, -signal.SIGKILL), forge.output
            kills += code != 0
        assert kills >= 4
        assert forge.run(*words) == 0, forge.output
    finally:
        forge.end()
    assert "learning_rate" in json.dumps(run_outcome(killed)["results"]["sections"])
    assert differences(run_outcome(whole), run_outcome(killed)) == []


def test_an_interrupt_exits_with_130_and_says_how_to_go_on(longer: None, run_file: Path, tmp_path: Path) -> None:
    process = start(run_file, f"output={tmp_path / 'stopped'}")
    while process.poll() is None and not list((tmp_path / "stopped").glob("stages/01-*/checkpoints/*")):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    code, errors = finish(process)
    assert code == 130
    assert "the same command resumes from there" in errors
    assert "Traceback" not in errors


def test_a_full_disk_keeps_the_last_good_checkpoint(longer: None, run_file: Path, tmp_path: Path) -> None:
    """A limit on file size makes the operating system refuse the optimiser's file, as a full disk does."""
    run = tmp_path / "full"
    program = (
        "import resource, signal, sys\n"
        "from limbeck.stages import callbacks\n"
        "whole = callbacks.StageCallback.on_save\n"
        "def refuse_after_first(self, *args, **kwargs):\n"
        "    whole(self, *args, **kwargs)\n"
        "    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))\n"
        "callbacks.StageCallback.on_save = refuse_after_first\n"
        "from limbeck.cli.app import main\n"
        f"sys.argv = ['limbeck', 'distill', {str(run_file)!r}, '--set', 'output={run}']\n"
        "main()\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], env=ENVIRONMENT, capture_output=True, text=True, timeout=240
    )
    assert answer.returncode == 2, answer.stderr
    assert "could not be written" in answer.stderr
    assert "the same command resumes a run from its last checkpoint" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert list(run.glob("stages/01-*/checkpoints/*/limbeck.json"))
    code, errors = finish(start(run_file, f"output={run}"))
    assert code == 0, errors
