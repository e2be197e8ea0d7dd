"""The pilot of a black-box teacher: a few labelled rows before all others are asked about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limbeck.data.prompts.label_prompt import LabelPrompt
from limbeck.errors import TeacherError
from limbeck.formatting import share_text
from limbeck.tasks.classification.config import RunConfig
from limbeck.tasks.classification.rows import RunRows
from limbeck.teachers.labels.asked import CACHED_SAMPLES
from limbeck.teachers.labels.label_probs import LabelProbs
from limbeck.types import Progress, Rows

__all__ = ["MOST_UNREADABLE", "ONE_ANSWER", "Worth", "advice_for", "given_by", "try_first", "worth_of"]

ONE_ANSWER = (
    "All samples of a text are the same answer, and so are four of twenty random digits: a gateway answers from its "
    "cache, or at a fixed temperature. Probabilities from them tell no more than one answer does. Switch the cache "
    "off for this run, set teacher.samples: 1, or use the API's log-probabilities (teacher.api.log_probs)."
)
_FEWEST_ROWS = 10
"""Fewer labelled rows tell nothing about a teacher."""
_LARGER = 4
"""Factor of rows to ask about if the first ones leave it open."""
_CLEARLY = 2.0
"""Standard errors by which a teacher is worse without doubt."""
MOST_UNREADABLE = 0.1
"""Share of unreadable answers in a pilot; with few answers, the 2 % of all rows could be a single one."""


@dataclass(frozen=True)
class Worth:
    """A teacher on labelled rows, compared with always giving the most frequent label."""

    rows: int
    right: int
    usual: str
    """The most frequent label."""
    usual_right: int
    clear: bool
    """Whether more rows would hardly change it."""

    @property
    def is_worth_it(self) -> bool:
        """Whether the teacher is better."""
        return self.right > self.usual_right

    def __str__(self) -> str:
        return (
            f"right on {self.right} of {self.rows} labelled rows ({share_text(self.right / self.rows, digits=0)}), "
            f"always '{self.usual}' on {self.usual_right} ({share_text(self.usual_right / self.rows, digits=0)})"
        )


def worth_of(given_N: NDArray[np.int64], gold_N: NDArray[np.int64], labels: list[str]) -> Worth | None:
    """Compare labels that a teacher gave with the most frequent gold label; ``None``: too few rows are labelled.

    Args:
        given_N: indices of the labels that the teacher gave; below 0: none.
        gold_N: indices of the gold labels; below 0: none.
        labels: the labels of the task.
    """
    known_N = (given_N >= 0) & (gold_N >= 0)
    given, gold = given_N[known_N], gold_N[known_N]
    if len(gold) < _FEWEST_ROWS:
        return None
    usual = int(np.bincount(gold_N[gold_N >= 0]).argmax())
    right, usual_right = given == gold, gold == usual
    differ, by = int((right != usual_right).sum()), int(usual_right.sum()) - int(right.sum())
    clear = by > _CLEARLY * max(1, differ) ** 0.5
    return Worth(len(gold), int(right.sum()), labels[usual], int(usual_right.sum()), clear)


def given_by(scored: LabelProbs) -> NDArray[np.int64]:
    """Return the index of each row's most likely label; -1 if the teacher gave none."""
    return np.where(scored.kept_N, scored.probs_NC.argmax(axis=-1), -1)


def advice_for(config: RunConfig) -> str:
    """Return what to do about a teacher that is no better than the most frequent label, in a sentence or two."""
    teacher = config.teacher
    if teacher.labels_from is not None:
        return "Check that teacher.labels_from is the right field, or label the rows with another model or prompt."
    if teacher.ensemble is not None:
        return "Label more rows, or give other members (teacher.ensemble)."
    if teacher.prompt is None:
        return (
            "Check that it was trained for this task and that task.labels are in the order of its logits, or "
            "fine-tune it longer (teacher.fine_tune)."
        )
    return _better_prompt(config, teacher.prompt)


def _better_prompt(config: RunConfig, prompt: LabelPrompt) -> str:
    """Return what to do about a prompt whose answers are no better than the most frequent label."""
    labels = ", ".join(f"{label}: ..." for label in (config.task.labels or ["NAME"])[:2])
    steps = ["explain in prompt.instruction how to decide"]
    if not prompt.descriptions:
        steps.append(f"describe each label in one line (task.labels: {{{labels}}})")
    if not prompt.demonstrations:
        steps.append("show a few labelled texts (prompt.demonstrations)")
    return (
        f"Change the prompt: {', '.join(steps)}; `limbeck prompts tune` tries such changes on labelled rows. Or take "
        "a stronger model."
    )


def _pilot_rows(config: RunConfig, rows: RunRows, size: int) -> tuple[Rows, NDArray[np.int64]] | None:
    """Return labelled rows in random order by the first seed, and their gold labels; ``None``: too few.

    They are training rows, or held-out rows if too few training rows are labelled: both are asked about anyway.
    """
    for part, gold_N in ((rows.train, rows.train_labels), (rows.test, rows.test_labels)):
        labelled = np.flatnonzero(gold_N >= 0)
        if len(labelled) >= _FEWEST_ROWS:
            chosen = np.random.default_rng(config.seeds[0]).permutation(labelled)[: _LARGER * size]
            return part.take(chosen.tolist()), gold_N[chosen]
    return None


def try_first(
    config: RunConfig,
    rows: RunRows,
    ask: Callable[[Rows, str], LabelProbs],
    progress: Progress,
) -> Worth | None:
    """Ask a prompted teacher about some labelled rows, and about four times as many if these leave it open.

    Args:
        config: the run, with the size of the pilot.
        rows: of the run.
        ask: asks about rows; the second argument describes them for people.
        progress: shows the result.

    Returns:
        The result; ``None`` without a pilot, or if it tells nothing.

    Raises:
        TeacherError: the teacher is no better than always giving the most frequent label.
    """
    labeller = config.teacher.asked
    assert labeller is not None
    assert labeller.prompt is not None
    found = _pilot_rows(config, rows, labeller.pilot)
    if labeller.pilot == 0 or found is None:
        return None
    part, gold_N = found
    sizes = sorted({min(size, len(part)) for size in (labeller.pilot, _LARGER * labeller.pilot)})
    worth: Worth | None = None
    flags: set[str] = set()
    for size in sizes:
        scored = ask(part.take(list(range(size))), f"a pilot of {size} labelled rows")
        worth = worth_of(given_by(scored), gold_N[:size], rows.labels)
        flags = {flag for of_row in scored.flags for flag in of_row}
        if worth is None or worth.is_worth_it or worth.clear:
            break
    if worth is None:
        return None
    progress.log(f"pilot: the teacher is {worth}")
    if not worth.is_worth_it:
        kept = ". The answers are in the journal, and nothing else was asked" if labeller.api is not None else ""
        where = ".".join(map(str, config.teacher.asked_at))
        cached = f" {ONE_ANSWER}" if CACHED_SAMPLES in flags else ""
        raise TeacherError(
            f"in a pilot the teacher is {worth}: it has nothing to teach{kept}. "
            f"{_better_prompt(config, labeller.prompt)}{cached} To ask about all rows nevertheless: {where}.pilot: 0"
        )
    return worth
