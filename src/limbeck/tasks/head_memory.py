"""The memory plan of a run with any kind of head."""

from __future__ import annotations

from typing import Any

from limbeck.data.encode import token_limit
from limbeck.models.load import load_tokenizer
from limbeck.models.padding import Padding
from limbeck.tasks.head_coder import Coder, Split
from limbeck.tasks.head_config import HeadRunConfig
from limbeck.tasks.head_rows import HeadRows
from limbeck.tasks.memory import MemoryPlan
from limbeck.tasks.new_student import student_tokenizer
from limbeck.tasks.step_plan import PlannedRun, plan_steps

__all__ = ["plan_heads"]

_ANY_PADDING = Padding(0, left=False)
"""Lengths are the same with each."""


def plan_heads(config: HeadRunConfig, coder: Coder, rows: HeadRows[Any], available: float | None) -> MemoryPlan:
    """Return the memory that each part of a run needs on its device, and what to change.

    Args:
        config: the run.
        coder: of its kind.
        rows: checked.
        available: available bytes; ``None``: those of the device.

    Raises:
        LimbeckError: tokenizers or configurations cannot be used.
    """
    section, wanted, of_teacher = config.teacher, config.training.max_length, None
    if section.model is not None:
        of_teacher = load_tokenizer(section.model, trust_remote_code=section.trust_remote_code)
    tokenizer = student_tokenizer(config.student, of_teacher)

    def longest(teacher: Any, student: Any) -> tuple[int, int]:
        coder.start(tokenizer, [student, *([] if teacher is None else [teacher])])
        limit = token_limit(tokenizer, student, wanted)

        def tokens(split: Split) -> int:
            return int(coder.encode(split, tokenizer, limit, _ANY_PADDING).inputs.lengths.max())

        return tokens("train"), tokens("test")

    run = PlannedRun(
        config,
        coder.outputs,
        teacher=section.model,
        held_out=len(rows.test.texts),
        tokenizer=tokenizer,
        longest=longest,
        runs_along=lambda pair: any(recipe.build().needs.teacher_inside for recipe in config.recipes().values()),
        head=coder.head,
    )
    return plan_steps(run, available)
