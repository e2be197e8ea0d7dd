"""``limbeck prompts``: found, explained, and its faults shown without a traceback."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from limbeck.cli.app import app
from limbeck.errors import ConfigError


def test_the_group_has_its_command() -> None:
    assert "tune" in CliRunner().invoke(app, ["prompts", "--help"]).output
    assert "held-out rows are not read" in " ".join(
        CliRunner().invoke(app, ["prompts", "tune", "--help"]).output.lower().split()
    )


def test_faults_of_the_file_are_ours_to_show(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["prompts", "tune", str(tmp_path / "none.yaml")])
    assert isinstance(result.exception, ConfigError)


def test_the_end_is_told_in_a_few_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from limbeck.cli import terminal
    from limbeck.prompt_search import tune

    score = SimpleNamespace(objective=0.7, standard_error=0.02, macro_f1=0.8)
    chosen = SimpleNamespace(candidate=SimpleNamespace(what="wording 1 [bold]"), score=score)
    choice = SimpleNamespace(chosen=chosen, why="better than the default by +0.1")
    tuned = SimpleNamespace(choice=choice, file=tmp_path / "prompt.json", order_mean=0.69, order_sd=0.01)
    monkeypatch.setattr(tune, "tune_prompt", lambda config, progress: tuned)
    said: list[str] = []
    monkeypatch.setattr(
        terminal, "console", SimpleNamespace(print=lambda text, **_: said.append(text), is_terminal=False)
    )
    file = tmp_path / "tune.yaml"
    file.write_text("{data: {dev: d}, teacher: {model: m}, output: o}", encoding="utf-8")
    result = CliRunner().invoke(app, ["prompts", "tune", str(file)])
    assert result.exit_code == 0, result.exception
    assert said == [
        "chosen: wording 1 [bold] (better than the default by +0.1)",
        "J 0.700 (standard error 0.020), macro F1 0.800",
        "over the orders of its demonstrations: J 0.690, sd 0.010",
        f"prompt: {tmp_path / 'prompt.json'}",
    ]
