"""A budget split over the stages of a system: nothing is lost, and each stage has a folder of its own."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.term import WeightedTerm
from limbeck.stages.stage import Stage, Training
from limbeck.tasks.planned_stages import planned_stages
from limbeck.tasks.task import Role, System

TERMS = (WeightedTerm("labels", LabelCrossEntropy()),)


def run(seeds: list[int]) -> Any:
    return SimpleNamespace(
        seeds=seeds, training=Training(batch_size=4), teacher=SimpleNamespace(fine_tune=Training(batch_size=2))
    )


@pytest.mark.parametrize("total", [1, 2, 7, 100])
@pytest.mark.parametrize("shares", [(1.0,), (0.5, 0.5), (0.15, 0.7, 0.15), (1 / 3, 1 / 3, 1 / 3)])
def test_the_parts_add_up(total: int, shares: tuple[float, ...]) -> None:
    stages = [Stage(f"part{n}", TERMS, share=share) for n, share in enumerate(shares)]
    planned = list(planned_stages(run([0]), System("pkd", "baseline"), stages, total, seed=0, number=3))
    assert sum(one.steps for one in planned) == total
    assert all(abs(one.steps - share * total) <= 1 for one, share in zip(planned, shares, strict=True))
    assert [one.folder for one in planned] == [f"{n + 3:02d}-pkd-part{n}-seed0" for n in range(len(shares))]


@pytest.mark.parametrize(
    ("role", "seeds", "title", "batch_size"),
    [
        ("teacher", [0, 1], "fine-tuned teacher: only", 2),
        ("main", [0], "fine-tuned teacher: only", 4),
        ("baseline", [0, 1], "fine-tuned teacher: only, seed 1", 4),
    ],
)
def test_the_bar_names_a_seed_where_there_are_several_and_teachers_train_as_they_should(
    role: Role, seeds: list[int], title: str, batch_size: int
) -> None:
    system = System("any", role, title="Fine-tuned teacher")
    (planned,) = planned_stages(run(seeds), system, [Stage("only", TERMS)], 5, seed=1, number=1)
    assert (planned.title, planned.training.batch_size) == (title, batch_size)


def test_a_stage_has_its_own_settings_and_the_run_s_others() -> None:
    stages = [
        Stage("first", TERMS, 0.5, settings={"schedule": "constant"}, rate_factor=3.0), Stage("second", TERMS, 0.5)
    ]  # fmt: skip
    first, second = planned_stages(run([0]), System("tinybert", "main"), stages, 8, seed=0, number=2)
    assert (first.training.schedule, first.training.batch_size) == ("constant", 4)
    assert first.training.learning_rate == pytest.approx(3 * second.training.learning_rate)
    assert second.training == Training(batch_size=4)
