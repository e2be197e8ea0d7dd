"""Multi-label classification as a `limbeck.tasks.task.Task`."""

from __future__ import annotations

from collections import Counter

from limbeck.report.use import Use
from limbeck.tasks.head_task import HeadTask
from limbeck.tasks.multi_label.predict import saved_label_sets
from limbeck.tasks.multi_label.rows import LabelSetRows, read_rows
from limbeck.tasks.multi_label.task_run import LabelSetCoder

__all__ = ["TASK"]


def _labels(rows: LabelSetRows) -> dict[str, int]:
    found = Counter(name for names in rows.train.targets for name in names or ())
    return {label: found[label] for label in rows.labels}


TASK = HeadTask(
    read_rows,
    LabelSetCoder,
    _labels,
    saved_label_sets,
    Use(
        what="model that gives texts any number of labels",
        task="text-classification",
        command="limbeck predict THIS_FOLDER texts.jsonl > labelled.jsonl",
        limits=("It only knows the labels it was trained on.",),
    ),
)
