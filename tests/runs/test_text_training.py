"""Stages of runs on texts: what goes on after a stop."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.runs.text_models import text_sections

import limbeck
from limbeck.types import SilentProgress


@pytest.fixture
def sections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A run of a few steps, without speed, intervals and drawing."""
    from limbeck.generation_results import GenerationSpeed

    speed = GenerationSpeed(
        parameters=1, size_bytes=1, tokens_per_second=None, batch_size=None, peak_memory_bytes=None
    )
    monkeypatch.setattr("limbeck.runs.text_outcome.writing_speed", lambda *words: speed)
    monkeypatch.setattr("limbeck.evaluation.generation.measure._RESAMPLES", 20)
    monkeypatch.setattr("limbeck.report.page.write_report", lambda results, path: path.touch())
    return text_sections(tmp_path)


class StopAfter(SilentProgress):
    """Stops the program after some optimiser steps."""

    def __init__(self, steps: int) -> None:
        self._left = steps

    def track(self, title: str, total: int, done: int = 0) -> Any:
        def advance(n: int, note: str = "") -> None:
            self._left -= title.startswith("distilled student")
            if self._left < 0:
                raise KeyboardInterrupt

        return contextlib.nullcontext(advance)


def weights(run: str | Path) -> dict[str, torch.Tensor]:
    return load_file(Path(run) / "student" / "model.safetensors")


def lines(run: str | Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (Path(run) / "log.jsonl").read_text(encoding="utf-8").splitlines()]


def test_the_teachers_share_of_taid_is_logged_and_goes_on_after_a_stop(
    sections: dict[str, Any], tmp_path: Path
) -> None:
    sections["recipe"] = {"name": "taid", "start": 0.2, "step_size": 1.0, "momentum": 0.9}
    sections["training"].update(steps=8, checkpoints=8)
    limbeck.distill(**sections)
    whole, stopped = sections["output"], str(tmp_path / "stopped")
    sections["output"] = stopped
    for steps in (3, 2):
        with pytest.raises(KeyboardInterrupt):
            limbeck.distill(**sections, progress=StopAfter(steps))
    limbeck.distill(**sections)

    shares = [line["teacher_share/divergence"] for line in lines(whole)]
    assert shares == sorted(shares)
    assert 0.2 < shares[0] < shares[-1] <= 1
    assert any(share > 0.2 + 0.8 * step / 8 + 0.01 for step, share in enumerate(shares, start=1))  # not linearly alone
    assert [line["teacher_share/divergence"] for line in lines(stopped)] == shares
    assert [line["loss"] for line in lines(stopped)] == [line["loss"] for line in lines(whole)]
    for name, tensor in weights(whole).items():
        assert torch.equal(weights(stopped)[name], tensor)
