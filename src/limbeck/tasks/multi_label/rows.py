"""The rows and labels of a multi-label run."""

from __future__ import annotations

from pathlib import Path

from limbeck.data.targets.multi_label import labels_in, load_label_sets
from limbeck.data.targets.rows import TargetRows
from limbeck.errors import ConfigError, ModelError
from limbeck.models.load import config_labels, load_config
from limbeck.tasks.head_rows import HeadRows, quarantine_file, read_parts, require_answers
from limbeck.tasks.multi_label.config import LabelSetRunConfig

__all__ = ["LabelSetRows", "read_rows"]

LabelSetRows = HeadRows[TargetRows[str]]


def read_rows(config: LabelSetRunConfig, folder: Path | None) -> LabelSetRows:
    """Read and check all rows; determine labels and order: a fine-tuned teacher's, the task's, or sorted.

    Raises:
        DataError, ModelError, ConfigError: as the checks find.
    """
    task, columns = config.task, config.teacher.columns
    if columns and len(columns) != len(task.fields):
        raise ConfigError(
            f"teacher.labels_from names {len(columns)} fields, and task.label {len(task.fields)}: the teacher's "
            "labels are read in the form of the gold ones"
        )
    known = _teachers_labels(config) or task.names

    def load(split: str, labels: list[str] | None) -> TargetRows[str]:
        return load_label_sets(
            getattr(config.data, split),
            task,
            labels=labels or known,
            teacher=columns,
            on_bad_row=config.data.on_bad_row,
            quarantine=quarantine_file(folder, split),
            split=split,
        )

    def labels(train: TargetRows[str], test: TargetRows[str]) -> list[str]:
        return known or sorted({*labels_in(train), *(name for names in test.targets for name in names or ())})

    rows = read_parts(config, load, labels, task.fields)
    require_answers(config, config.recipe.build(), rows, task.fields)
    return rows


def _teachers_labels(config: LabelSetRunConfig) -> list[str] | None:
    """Return the labels of a fine-tuned teacher in the order of its logits; ``None`` for another teacher."""
    teacher, wanted = config.teacher, config.task.names
    if teacher.model is None or teacher.fine_tune is not None:
        return None
    labels = config_labels(load_config(teacher.model, trust_remote_code=teacher.trust_remote_code))
    if wanted is not None and sorted(wanted) != sorted(labels):
        raise ModelError(
            f"teacher {teacher.model} knows the labels {', '.join(labels)}, but the task's are {', '.join(wanted)}. "
            "Leave task.labels out, or add teacher.fine_tune"
        )
    return labels
