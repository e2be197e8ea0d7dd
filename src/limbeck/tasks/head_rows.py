"""Checked rows of a run with any kind of answers: training rows, held-out rows, and which of them have answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from limbeck.data.load import lacking
from limbeck.errors import ConfigError, DataError
from limbeck.recipes.recipe import Recipe
from limbeck.tasks.dev_rows import kept_back, overlap_warnings, require_gold
from limbeck.tasks.head_config import HeadRunConfig
from limbeck.tasks.held_out import held_out, parted

__all__ = ["HeadRows", "RowPart", "quarantine_file", "read_parts", "require_answers"]


class RowPart(Protocol):
    """Rows of one kind of task."""

    @property
    def left_out(self) -> int:
        """Number of rows that were set aside."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the content of the rows."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Fields of the rows."""

    @property
    def texts(self) -> list[tuple[str, ...]]:
        """The text, or the texts, of each row."""

    @property
    def labelled_N(self) -> NDArray[np.bool_]:
        """Whether each row has gold answers."""

    @property
    def taught_N(self) -> NDArray[np.bool_]:
        """Whether each row comes with a teacher's answers."""

    def take(self, indices: list[int]) -> Self:
        """Return the rows at `indices`, in that order."""


Rows = TypeVar("Rows", bound=RowPart)


@dataclass(frozen=True)
class HeadRows(Generic[Rows]):
    """Training and held-out rows."""

    train: Rows
    test: Rows
    labels: list[str]
    """Names of the outputs: labels of entities or rows, names of numbers."""
    fingerprints: dict[str, str]
    left_out: int
    warnings: list[str] = field(default_factory=list)
    dev: Rows | None = None
    """Development rows."""

    def part(self, split: Literal["train", "dev", "test"]) -> Rows:
        """Return the rows of a split that the run has."""
        found = {"train": self.train, "dev": self.dev, "test": self.test}[split]
        assert found is not None
        return found

    @property
    def labelled(self) -> int:
        """Training rows with gold answers."""
        return int(self.train.labelled_N.sum())

    @property
    def counts(self) -> dict[str, int]:
        """Numbers of rows by use, for the record."""
        train, test = len(self.train.texts), len(self.test.texts)
        dev = {} if self.dev is None else {"dev": len(self.dev.texts)}
        return {"train": train, "labelled": self.labelled, "test": test, "left_out": self.left_out, **dev}


Load = Callable[[str, list[str] | None], Rows]
"""Reads the rows of a split of the run, with known or unknown (``None``) labels."""


def read_parts(
    config: HeadRunConfig,
    load: Load[Rows],
    labels: Callable[[Rows, Rows], list[str]],
    gold: Sequence[str],
) -> HeadRows[Rows]:
    """Return training, held-out and development rows.

    Args:
        config: the run.
        load: reads the rows of a split.
        gold: the fields of the gold answers, to name one that no row has.
        labels: returns the labels of training and held-out rows; development rows must have no others.

    Raises:
        DataError: rows cannot be used, or there are too few to hold some out.
    """
    train, warnings = load("train", None), []
    fingerprints, left_out = {"train": train.fingerprint}, train.left_out
    if config.data.test is not None:
        test = load("test", None)
        fingerprints["test"] = test.fingerprint
        left_out += test.left_out
    else:
        train, test = _hold_out(train, config.data.test_size)
        warnings.append(
            "No test data were given: the held-out rows are a random part of the (labelled) training rows."
        )
    try:
        known, dev = labels(train, test), None
    except DataError as error:
        absent = lacking(gold, train.columns)
        raise DataError(f"{error}.{absent}" if absent else str(error)) from error
    if config.data.dev is not None:
        dev = load("dev", known)
        require_gold(dev.labelled_N.tolist(), config.dev_reader or "search")
        fingerprints["dev"] = dev.fingerprint
        left_out += dev.left_out
    elif config.dev_reader is not None:
        labelled = [one or None for one in train.labelled_N.tolist()]
        train, dev = _parts(train, kept_back(labelled, config.dev_reader))
    if left_out:
        warnings.append(f"{left_out} bad rows were left out; see quarantine-*.jsonl in the run folder.")
    if leaked := len(set(train.texts) & set(test.texts)):
        texts = "text also occurs" if leaked == 1 else "texts also occur"
        warnings.append(f"{leaked} held-out {texts} in the training rows; figures may be too good.")
    warnings += overlap_warnings(config, train.texts, None if dev is None else dev.texts)
    return HeadRows(train, test, known, fingerprints, left_out, warnings, dev)


def quarantine_file(folder: Path | None, split: str) -> Path | None:
    """Return where a run folder keeps the bad rows of a split; ``None`` if nothing is to be written."""
    return None if folder is None else folder / f"quarantine-{split}.jsonl"


def _hold_out(rows: Rows, share: float) -> tuple[Rows, Rows]:
    """Take out `share` of the labelled rows (of all rows if none is labelled), always the same ones."""
    labelled = np.flatnonzero(rows.labelled_N).tolist()
    return _parts(rows, held_out(labelled or range(len(rows.labelled_N)), share))


def _parts(rows: Rows, taken: Sequence[int]) -> tuple[Rows, Rows]:
    """Split rows into the remaining and the taken ones."""
    left, chosen = parted(len(rows.labelled_N), taken)
    return rows.take(left), rows.take(chosen)


def require_answers(config: HeadRunConfig, recipe: Recipe, rows: HeadRows[Any], gold: Sequence[str]) -> None:
    """Check that there are answers, in the fields `gold`, if the teacher's fine-tuning or a term reads them.

    Raises:
        ConfigError: no training row has gold ones, or none has the teacher's.
    """
    if config.teacher.columns and not rows.train.taught_N.any():
        fields = ", ".join(config.teacher.columns)
        raise ConfigError(
            f"teacher.labels_from: no training row has an answer in {fields}. Check the name of the field"
        )
    if rows.labelled:
        return
    where = f"none of the {len(rows.train.texts)} training rows has an answer in field {', '.join(gold)}"
    absent = lacking(gold, rows.train.columns)
    if config.teacher.fine_tune is not None:
        raise ConfigError(f"teacher.fine_tune needs labelled rows, but {where}. Name a fine-tuned teacher.{absent}")
    if recipe.needs.labels or any(stage.labelled_only for stage in recipe.stages):
        raise ConfigError(
            f"recipe '{config.recipe.name}' reads labels with these arguments, but {where}. Leave labels out of it "
            f"(label_weight: 0), or add labelled rows.{absent}"
        )
