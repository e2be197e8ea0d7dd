"""The rows and labels of a tagging run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from limbeck.data.tagging.rows import TaggedRows, labels_in, load_tagged
from limbeck.data.tagging.scheme import OUTSIDE, split_tag, tag_names
from limbeck.errors import ModelError
from limbeck.models.load import config_labels, load_config
from limbeck.tasks.head_rows import HeadRows, quarantine_file, read_parts, require_answers
from limbeck.tasks.token_classification.config import TaggerRunConfig

__all__ = ["TaggerRows", "read_rows", "teacher_tags"]

TaggerRows = HeadRows[TaggedRows]


def read_rows(config: TaggerRunConfig, folder: Path | None) -> TaggerRows:
    """Read and check all rows; determine labels and order: a fine-tuned teacher's, the task's, or sorted.

    Raises:
        DataError, ModelError, ConfigError: as the checks find.
    """
    task, teacher = config.task, config.teacher
    tags = teacher_tags(config)
    known = task.labels if tags is None else _labels_of(tags)

    def load(split: str, labels: list[str] | None) -> TaggedRows:
        return load_tagged(
            getattr(config.data, split),
            task,
            teacher=teacher.columns[0] if teacher.columns else None,
            labels=labels or known,
            on_bad_row=config.data.on_bad_row,
            quarantine=quarantine_file(folder, split),
            split=split,
        )

    rows = read_parts(config, load, lambda train, test: known or labels_in([*train.rows, *test.rows]), [task.gold])
    rows = replace(rows, warnings=[*rows.train.warnings, *rows.test.warnings, *rows.warnings])
    require_answers(config, config.recipe.build(), rows, [task.gold])
    return rows


def teacher_tags(config: TaggerRunConfig) -> list[str] | None:
    """Return the tags of a fine-tuned teacher in the order of its logits; ``None`` for another teacher.

    Raises:
        ModelError: they do not fit the task's scheme or labels.
    """
    teacher, scheme = config.teacher, config.task.scheme
    if teacher.model is None or teacher.fine_tune is not None:
        return None
    tags = config_labels(load_config(teacher.model, trust_remote_code=teacher.trust_remote_code))
    try:
        labels = _labels_of(tags)
        for tag in tags:
            split_tag(tag, scheme)
    except ValueError as error:
        raise ModelError(
            f"teacher {teacher.model}: {error}. Its outputs are {', '.join(tags[:6])}: set task.scheme to its scheme, "
            "or add teacher.fine_tune"
        ) from error
    if config.task.labels is not None and sorted(config.task.labels) != sorted(labels):
        raise ModelError(
            f"teacher {teacher.model} knows the labels {', '.join(labels)}, and task.labels are "
            f"{', '.join(config.task.labels)}. Leave task.labels out, or add teacher.fine_tune"
        )
    if sorted(tags) != sorted(tag_names(labels, scheme)):
        raise ModelError(
            f"teacher {teacher.model} has the tags {', '.join(tags)}, and scheme {scheme} has "
            f"{', '.join(tag_names(labels, scheme))}. Set task.scheme to its scheme, or add teacher.fine_tune"
        )
    return tags


def _labels_of(tags: list[str]) -> list[str]:
    labels = [tag.partition("-")[2] or tag for tag in tags if tag != OUTSIDE]
    return list(dict.fromkeys(labels))
