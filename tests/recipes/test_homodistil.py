"""All layers of the teacher are compared one to one, while units leave along a cubic."""

from __future__ import annotations

import pytest

from limbeck.errors import ConfigError
from limbeck.recipes.catalogue import build_recipe
from limbeck.recipes.homodistil import homodistil
from limbeck.students.pruning.schedule import Pruning
from limbeck.types import Shapes


def test_its_terms_are_bound_to_the_student_before_it_is_pruned() -> None:
    (stage,) = homodistil().stages
    assert {t.name: t.weight for t in stage.terms} == dict.fromkeys(
        ("labels", "soft_targets", "hidden_states", "attention"), 1.0
    )
    assert stage.pruning == Pruning(0.0, 0.6, 0.85)
    narrower = Shapes(4, 32, 4, 16, 4, 2, 4, 2, 8, 8)
    bound = {t.name: t.term for t in stage.bound(narrower)}
    assert bound["hidden_states"].pairs == ((0, 0), (1, 1), (2, 2), (3, 3), (4, 4))  # type: ignore[attr-defined]
    assert bound["hidden_states"].projection.weight.shape == (32, 32)  # type: ignore[attr-defined]
    assert bound["attention"].pairs == ((1, 1), (2, 2), (3, 3), (4, 4))  # type: ignore[attr-defined]


@pytest.mark.parametrize(("begins", "ends"), [(0.5, 0.5), (0.7, 0.2), (0.0, 0.0)])
def test_pruning_takes_time(begins: float, ends: float) -> None:
    with pytest.raises(ConfigError, match=r"recipe.pruning_ends is .* not after recipe.pruning_begins"):
        build_recipe("homodistil", {"pruning_begins": begins, "pruning_ends": ends}, "classification")
