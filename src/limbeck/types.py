"""What the layers hand to each other, and the letters that name tensor dimensions.

Dimension letters, the same everywhere, as suffixes of tensor names
(``student_logits_BC``):

    B  sequences (rows) of a micro-batch      C  classes
    T  token positions                        D  hidden width
    N  rows of a whole data set

Torch is imported for annotations only, so that the report works without it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypedDict

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "UNLABELLED",
    "Batch",
    "Needs",
    "Origin",
    "Progress",
    "Rows",
    "Shapes",
    "Signal",
    "SilentProgress",
    "Teacher",
    "Term",
]

UNLABELLED = -100
"""Label id of a row (or position) without a label; the field's usual ignore index."""


class Origin(NamedTuple):
    """Where a row came from: a file and its line (CSV, JSONL) or row number, counted from 1."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Rows:
    """Checked rows of a text or text-pair task, column by column.

    ``label[i]`` is a label *name* (numbers become their decimal string) or ``None``.
    """

    text: list[str]
    text_pair: list[str] | None
    label: list[str | None]
    origin: list[Origin]

    def __len__(self) -> int:
        return len(self.text)

    def take(self, indices: list[int]) -> Rows:
        """Return the rows at `indices`, in that order."""
        pair = self.text_pair
        return Rows(
            text=[self.text[i] for i in indices],
            text_pair=None if pair is None else [pair[i] for i in indices],
            label=[self.label[i] for i in indices],
            origin=[self.origin[i] for i in indices],
        )


class Signal(TypedDict, total=False):
    """What a teacher says about a batch; only the kinds that were asked for are there."""

    logits_BC: Tensor
    hidden_BTD: Mapping[int, Tensor]
    """Output of layer l (counted from 1) at every position."""
    first_BD: Mapping[int, Tensor]
    """Output of layer l at the first position ([CLS])."""


class Batch(TypedDict, total=False):
    """One micro-batch. Nested dictionaries of tensors, so that any library can move it to a device."""

    student: dict[str, Tensor]
    """The student's input ids and masks, padded to the longest row, each `[B, T]`."""
    teacher: dict[str, Tensor]
    """The teacher's own encoding of the same rows; only where the teacher runs live."""
    labels_B: Tensor
    """Label ids, `UNLABELLED` where a row has none."""
    rows_B: Tensor
    """Row numbers in the training set: the key that joins a row with its teacher signal."""
    signal: Signal


@dataclass(frozen=True)
class Needs:
    """What terms ask for, so that nothing else is computed."""

    labels: bool = False
    logits: bool = False
    teacher_hidden: frozenset[int] = field(default_factory=frozenset)
    """Teacher layers (from 1) needed at every position."""
    teacher_first: frozenset[int] = field(default_factory=frozenset)
    """Teacher layers (from 1) needed at the first position only."""
    student_layers: frozenset[int] = field(default_factory=frozenset)
    """Student layers (from 1) to capture."""
    same_tokens: bool = False
    """Teacher and student must read the same token ids."""

    def __or__(self, other: Needs) -> Needs:
        return Needs(
            labels=self.labels or other.labels,
            logits=self.logits or other.logits,
            teacher_hidden=self.teacher_hidden | other.teacher_hidden,
            teacher_first=self.teacher_first | other.teacher_first,
            student_layers=self.student_layers | other.student_layers,
            same_tokens=self.same_tokens or other.same_tokens,
        )

    @property
    def teacher(self) -> bool:
        """Whether a teacher is needed at all."""
        return self.logits or bool(self.teacher_hidden) or bool(self.teacher_first)


class Shapes(NamedTuple):
    """Depth and width of both models: what a layer map is resolved against."""

    teacher_layers: int
    teacher_width: int
    student_layers: int
    student_width: int


class Term(Protocol):
    """One differentiable quantity per row, unreduced. Sums and means are made elsewhere, once."""

    @property
    def needs(self) -> Needs:
        """What this term reads."""

    def bind(self, shapes: Shapes) -> Term:
        """Return this term with its layer map resolved. Raises `ConfigError` where it cannot be."""

    def counted(self, batch: Batch) -> Tensor:
        """Return which rows this term speaks about, bool `[B]`; known before any forward pass."""

    def values(self, student: Signal, batch: Batch) -> Tensor:
        """Return the term of each row, float32 `[B]`; rows not counted may hold anything finite."""


class Teacher(Protocol):
    """Gives signals for batches, in evaluation mode and without gradients."""

    def signal(self, batch: Batch, needs: Needs) -> Signal:
        """Return the kinds of signal named in `needs` for the rows of `batch`."""


Advance = Callable[..., None]
"""``advance(n, note="")``: n more items are done; the note is shown beside the bar."""


class Progress(Protocol):
    """Shows how far long work has come. The command line shows bars; a library call need not."""

    def track(self, title: str, total: int, done: int = 0) -> AbstractContextManager[Advance]:
        """Open one bar and yield its `Advance`."""

    def say(self, message: str) -> None:
        """Show one line."""


class SilentProgress:
    """Shows nothing."""

    def track(self, title: str, total: int, done: int = 0) -> AbstractContextManager[Advance]:
        import contextlib

        def advance(n: int, note: str = "") -> None:
            pass

        return contextlib.nullcontext(advance)

    def say(self, message: str) -> None:
        pass
