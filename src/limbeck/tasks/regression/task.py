"""Regression as a `limbeck.tasks.task.Task`."""

from __future__ import annotations

from limbeck.report.use import Use
from limbeck.tasks.head_task import HeadTask
from limbeck.tasks.regression.predict import saved_regressor
from limbeck.tasks.regression.rows import RegressorRows, read_rows
from limbeck.tasks.regression.task_run import ValueCoder

__all__ = ["TASK"]


def _numbers(rows: RegressorRows) -> dict[str, int]:
    return dict.fromkeys(rows.labels, rows.labelled)


TASK = HeadTask(
    read_rows,
    ValueCoder,
    _numbers,
    saved_regressor,
    Use(
        what="model that gives texts a number",
        task="text-classification",
        command="limbeck predict THIS_FOLDER texts.jsonl > numbers.jsonl",
        limits=("It cannot be trusted far outside the numbers it was trained on.",),
    ),
)
