"""The memory plan of runs with a head: their own models, rows and states, by the arithmetic of all plans."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from limbeck.runs.config import run_config
from limbeck.tasks.memory import MemoryPlan
from limbeck.tasks.table import task_of
from limbeck.types import SilentProgress


@pytest.fixture(params=["entities", "numbers", "labels"])
def sections(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    encoder: Path,
    tagged: Callable[..., Path],
    valued: Callable[..., Path],
    labelled: Callable[..., Path],
) -> dict[str, Any]:
    task, rows = {
        "entities": ({"kind": "token_classification", "words": "tokens"}, lambda: tagged("rows", 40, length=20)),
        "numbers": ({"kind": "regression", "value": ["price", "year"]}, lambda: valued("rows", 40)),
        "labels": ({"kind": "multi_label"}, lambda: labelled("rows", 40)),
    }[request.param]
    return {
        "task": task,
        "data": {"train": str(rows())},
        "teacher": {"model": str(encoder), "fine_tune": {"batch_size": 8}},
        "student": {"from_teacher": {"layers": "first", "keep": 1}},
        "recipe": "kd",
        "training": {"batch_size": 8, "max_length": 16},
        "output": str(tmp_path / "run"),
    }


def planned(sections: dict[str, Any], available: float = 1e12) -> MemoryPlan:
    config = run_config(sections)
    return task_of(config).plan(config, available)


def items(plan: MemoryPlan, phase: str) -> dict[str, float]:
    (found,) = [p for p in plan.phases if p.name == phase]
    return {item.name: item.bytes for item in found.items}


@pytest.mark.fast_cases(1)
def test_weights_optimiser_and_rows_are_those_of_the_run(sections: dict[str, Any]) -> None:
    plan = planned(sections)
    assert [phase.name for phase in plan.phases] == ["fine-tuning the teacher", "training the student", "predicting"]
    config = run_config(sections)
    task = task_of(config)
    run: Any = task.open(config, task.read(config, None), Path(config.output), SilentProgress())
    of_teacher, of_student = (
        sum(p.numel() for p in used.model.parameters()) for used in (run.context.teacher, run.context.student)
    )
    found = items(plan, "training the student")
    assert found["teacher's weights"] == 4 * of_teacher
    assert found["student's optimiser"] == 8 * of_student
    assert items(plan, "fine-tuning the teacher")["teacher's optimiser"] == 8 * of_teacher
    assert found["student's activations"] > 8 * 16 * 32 * 4
    longest = int(run.context.student.train.inputs.lengths.max())
    assert plan.batch == f"8 rows of {longest} tokens at a time, 8 for each optimiser step"
    assert plan.fits


@pytest.mark.slow
def test_a_teacher_whose_states_are_read_runs_along(sections: dict[str, Any]) -> None:
    assert "teacher's activations" not in items(planned(sections), "training the student")
    found = items(planned({**sections, "recipe": "distilbert"}), "training the student")
    assert found["teacher's activations"] > 0


@pytest.mark.slow
def test_runs_on_changed_embeddings_are_counted(sections: dict[str, Any]) -> None:
    plain = items(planned(sections), "training the student")
    for name in ("mixkd", "ad_kd") if sections["task"]["kind"] != "token_classification" else ("mixkd",):
        found = items(planned({**sections, "recipe": name}), "training the student")
        assert found["student's activations"] > 1.5 * plain["student's activations"]
        assert found["teacher's activations"] > 0


@pytest.mark.slow
def test_a_plan_that_does_not_fit_says_what_to_change(sections: dict[str, Any]) -> None:
    plan = planned(sections, available=1e6)
    assert not plan.fits
    assert [line.split(":")[0] for line in plan.advice[1:-1]] == [
        "training.micro_batch_size", "training.micro_batch_size", "student.adapter",
    ]  # fmt: skip


@pytest.mark.fast_cases(1)
def test_answers_read_with_the_rows_have_no_weights(
    sections: dict[str, Any], encoder: Path, valued: Callable[..., Path]
) -> None:
    sections |= {
        "task": {"kind": "regression", "value": "price"},
        "data": {"train": str(valued("taught", 40, teacher=True))},
        "teacher": {"labels_from": "by"},
        "student": {"model": str(encoder)},
    }
    plan = planned(sections)
    assert [phase.name for phase in plan.phases] == ["training the student", "predicting"]
    assert "teacher's weights" not in items(plan, "training the student")
