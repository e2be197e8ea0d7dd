"""``limbeck plan`` on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from limbeck.cli.app import app
from limbeck.errors import ConfigError
from limbeck.models.step_memory import StepMemory

RUNNER = CliRunner()


@pytest.mark.slow
def test_a_run_that_fits_and_one_that_does_not(run_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fits = RUNNER.invoke(app, ["plan", str(run_file), "--memory", "64GB"])
    assert fits.exit_code == 0
    assert "It fits: " in fits.stderr
    assert "student's activations" in fits.stderr
    monkeypatch.setattr("limbeck.tasks.step_plan.trace_step", lambda *_, **__: StepMemory(8, 2, 8, 1_000_000))
    too_small = RUNNER.invoke(app, ["plan", str(run_file), "--memory", "1MB", "--set", "training.micro_batch_size=1"])
    assert too_small.exit_code == 2
    assert "student.adapter: {kind: lora, rank: 8}, with it: " in too_small.stderr


def test_faults_are_the_users(run_file: Path) -> None:
    found = RUNNER.invoke(app, ["plan", str(run_file), "--memory", "8"])
    assert isinstance(found.exception, ConfigError)
    assert "--memory: expected a size" in str(found.exception)
    assert RUNNER.invoke(app, ["plan"]).exit_code == 2


def test_other_runs_are_pointed_elsewhere() -> None:
    example = Path(__file__).parents[2] / "examples" / "languages.yaml"
    found = RUNNER.invoke(app, ["plan", str(example)])
    assert isinstance(found.exception, ConfigError)
    assert "limbeck plan is for models with a head" in str(found.exception)
