"""Soft targets of a falling temperature."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from limbeck.errors import ConfigError
from limbeck.losses.annealed import AnnealedTargets
from limbeck.numerics.divergences import forward_kl
from limbeck.types import Batch, Needs, Shapes, Signal

TEACHER = torch.tensor([[2, 1, 0.1, -1]], dtype=torch.float64)
STUDENT = torch.tensor([[1, 1.5, 0.2, -0.5]], dtype=torch.float64)
BATCH: Batch = {"rows_B": torch.arange(1)}
SHAPES = Shapes(4, 16, 2, 16)


def value(term: AnnealedTargets) -> float:
    student, teacher = (Signal(logits=logits) for logits in (STUDENT, TEACHER))
    return term.values(student, teacher, BATCH).item()


def test_the_temperature_falls_to_1_over_the_steps() -> None:
    """KL at T = 4, 2, 1 of section 0.3, without the factor T^2."""
    term = AnnealedTargets(4.0).bind(SHAPES)
    for progress, temperature, expected in ((0, 4, 0.013549), (2 / 3, 2, 0.059001), (1, 1, 0.246281)):
        term.step_end(0.0, progress)
        assert term.logged() == {"loss_temperature": pytest.approx(temperature)}
        assert value(term) == pytest.approx(expected, abs=1e-6)


def test_a_stage_begins_at_its_temperature_and_resumes_where_it_was() -> None:
    recipe = AnnealedTargets(3.0)
    first = recipe.bind(SHAPES)
    first.step_end(0.0, 1 / 3)
    again = recipe.bind(SHAPES)
    assert again.temperature == 3.0  # stages share nothing
    again.restore(json.loads(json.dumps(first.state())))
    assert again.temperature == first.temperature != 3.0


@pytest.mark.parametrize("output", ["values", "labels"])
def test_values_are_divided_by_the_temperature_and_labels_are_soft(output: Any) -> None:
    term = AnnealedTargets(2.0).of(output).bind(SHAPES)
    assert isinstance(term, AnnealedTargets)
    pairs = [torch.stack([logits, torch.zeros_like(logits)], dim=-1) / 2 for logits in (TEACHER, STUDENT)]
    kl = forward_kl(teacher_logits=pairs[0], student_logits=pairs[1], loss_temperature=1.0).mean()
    expected = {"values": ((STUDENT - TEACHER) / 2).square().mean(), "labels": kl}
    assert value(term) == pytest.approx(expected[output].item())


def test_needs_and_refusals() -> None:
    assert AnnealedTargets().needs == Needs(logits=True)
    with pytest.raises(ConfigError, match="loss_temperature"):
        AnnealedTargets(0)
