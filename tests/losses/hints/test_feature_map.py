"""Feature maps of one layer: the parts of its formula, padding, and what it refuses."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch

from limbeck.errors import ConfigError
from limbeck.losses.hints.feature_map import FeatureMap
from limbeck.types import Batch, Needs, Shapes, Tap

PAIR = Shapes(teacher_layers=3, teacher_width=4, student_layers=3, student_width=4)
STATES, MEANS, VARIANCES = FeatureMap("states", 2, 3), FeatureMap("means", 2, 3), FeatureMap("variances", 2, 3)
EVERY = pytest.mark.parametrize("term", [STATES, MEANS, VARIANCES], ids=lambda term: term.compared)
BATCH: Batch = {"student": {"attention_mask": torch.tensor([[1, 1, 0], [1, 1, 1]])}, "rows_B": torch.arange(2)}


@pytest.mark.parametrize(("term", "expected"), [(STATES, 1.244071), (MEANS, 1.0), (VARIANCES, 1.5)])
def test_the_reference_states(term: FeatureMap, expected: float) -> None:
    states = [torch.tensor(x, dtype=torch.float64).expand(2, 3, 4) for x in ((0, 2, 4, 2), (1, 2, 3, 6))]
    student, teacher = ({"states": {Tap("hidden", 2): x}} for x in states)
    values = term.bind(PAIR).values(student, teacher, BATCH)  # type: ignore[arg-type]
    torch.testing.assert_close(values, torch.full((2, 3), expected, dtype=torch.float64), atol=1e-5, rtol=0)
    same = term.bind(PAIR).values(teacher, teacher, BATCH)  # type: ignore[arg-type]
    assert same.abs().max() == 0


@EVERY
def test_it_reads_one_layer_of_both_models_at_the_tokens(term: FeatureMap) -> None:
    bound = term.bind(PAIR)
    taps = frozenset({Tap("hidden", 2)})
    assert bound.needs == Needs(student_taps=taps, teacher_taps=taps, same_tokens=True, same_width=True)
    assert bound.compared_layers == ((2, 2),)
    assert bound.mask(BATCH).tolist() == [[True, True, False], [True, True, True]]
    assert term.needs.teacher_hidden
    assert not bound.by_row


@EVERY
@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (PAIR._replace(student_layers=2), "the teacher has 3 and the student 2. Use a student with 3 narrower ones"),
        (PAIR._replace(student_width=8), "must have the same width; the teacher has 4, the student 8"),
        (PAIR._replace(student_layers=2, teacher_layers=2), "both models have 2: set recipe.layers: 2"),
    ],
)  # fmt: skip
def test_models_that_do_not_fit_are_refused(term: FeatureMap, pair: Shapes, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        replace(term, layer=1).bind(pair)
