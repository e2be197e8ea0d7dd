"""``limbeck plan`` on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from limbeck.cli.app import app
from limbeck.errors import ConfigError
from limbeck.models.step_memory import StepMemory

RUNNER = CliRunner()


def test_paper_mode_prints_the_table() -> None:
    found = RUNNER.invoke(app, ["plan", "--paper"])
    assert found.exit_code == 0
    for words in ("LLaMA-2 7B, 16-bit, all trained: 84.00 GB", "40.00 M trained: 3.90 GB, 95.36 % less", "1.49 GB"):
        assert words in found.stderr


def test_a_run_that_fits_and_one_that_does_not(run_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fits = RUNNER.invoke(app, ["plan", str(run_file), "--memory", "64GB"])
    assert fits.exit_code == 0
    assert "It fits: " in fits.stderr
    assert "student's activations" in fits.stderr
    monkeypatch.setattr("limbeck.runs.plan.trace_step", lambda *_, **__: StepMemory(8, 2, 8, 1_000_000, 1_000_024))
    too_small = RUNNER.invoke(app, ["plan", str(run_file), "--memory", "1MB", "--set", "training.micro_batch_size=1"])
    assert too_small.exit_code == 2
    assert "student.adapter: {kind: lora, rank: 8}, with it: " in too_small.stderr
    paper = RUNNER.invoke(app, ["plan", str(run_file), "--paper"])
    assert "the run's student, 4-bit" in paper.stderr


def test_faults_are_the_users(run_file: Path) -> None:
    for arguments, words in [([], "give a run file"), ([str(run_file), "--memory", "8"], "--memory: expected a size")]:
        found = RUNNER.invoke(app, ["plan", *arguments])
        assert isinstance(found.exception, ConfigError)
        assert words in str(found.exception)


def test_other_runs_are_pointed_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limbeck.runs.config.load_run_file", lambda path, overrides: object())
    found = RUNNER.invoke(app, ["plan", str(tmp_path / "texts.yaml")])
    assert "limbeck plan knows classification runs" in str(found.exception)
