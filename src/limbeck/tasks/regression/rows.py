"""The rows of a regression run."""

from __future__ import annotations

from pathlib import Path

from limbeck.data.targets.regression import load_values
from limbeck.data.targets.rows import TargetRows
from limbeck.errors import ConfigError
from limbeck.tasks.head_rows import HeadRows, quarantine_file, read_parts, require_answers
from limbeck.tasks.regression.config import RegressorRunConfig

__all__ = ["RegressorRows", "read_rows"]

RegressorRows = HeadRows[TargetRows[float]]


def read_rows(config: RegressorRunConfig, folder: Path | None) -> RegressorRows:
    """Read and check all rows.

    Raises:
        DataError, ConfigError: as the checks find.
    """
    task, columns = config.task, config.teacher.columns
    if columns and len(columns) != len(task.names):
        raise ConfigError(
            f"teacher.labels_from names {len(columns)} fields, and task.value {len(task.names)}: give one for each "
            "number"
        )

    def load(split: str, labels: list[str] | None) -> TargetRows[float]:
        return load_values(
            getattr(config.data, split),
            task,
            teacher=columns,
            on_bad_row=config.data.on_bad_row,
            quarantine=quarantine_file(folder, split),
            split=split,
        )

    rows = read_parts(config, load, lambda train, test: list(task.names), task.names)
    require_answers(config, config.recipe.build(), rows, task.names)
    return rows
