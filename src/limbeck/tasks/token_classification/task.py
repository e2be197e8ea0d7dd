"""Token classification as a `limbeck.tasks.task.Task`."""

from __future__ import annotations

from collections import Counter

from limbeck.report.use import Use
from limbeck.tasks.head_task import HeadTask
from limbeck.tasks.token_classification.predict import SavedTagger
from limbeck.tasks.token_classification.rows import TaggerRows, read_rows
from limbeck.tasks.token_classification.task_run import TagCoder

__all__ = ["TASK"]


def _entities(rows: TaggerRows) -> dict[str, int]:
    found = Counter(span.label for row in rows.train.rows for span in row.spans or ())
    return {label: found[label] for label in rows.labels}


TASK = HeadTask(
    read_rows,
    TagCoder,
    _entities,
    SavedTagger,
    Use(
        what="model that finds entities in texts",
        task="token-classification",
        command="limbeck predict THIS_FOLDER texts.jsonl > tagged.jsonl",
        limits=("It only knows the entity types it was trained on, and finds no others.",),
    ),
)
