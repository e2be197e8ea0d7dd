"""From easy rows to hard ones: nested sets of rows, trained on in sequence in one plan.

Saxena, Janzen and Maass ("Streamlining LLMs: Adaptive Knowledge Distillation for Tailored Language Models") go in
"stages from simpler to more complex tasks" but give no measure; how hard a row is, and how sets grow, is our choice.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import ConfigError
from limbeck.sequences.fixed import FixedSequences, split_batches

__all__ = ["Curriculum", "CurriculumSequences", "Measure", "difficulty", "nested_parts"]

Measure = Literal["entropy", "least_sure", "student_loss"]

_SEED_OF_NEXT_PART = 1_000_003
"""Seeds of runs are small numbers; the seeds of a run's parts must not coincide with another run's."""


@dataclass(frozen=True)
class Curriculum:
    """How the rows of a stage are ordered, by the teacher's probabilities or the student's loss on them."""

    parts: int = 3
    """Sets of rows; the last one has all of them, and a single one is plain training."""
    measure: Measure = "entropy"
    class_quota: float = 0.1
    """Minimum share of each class in every set, unless there are no more rows of it."""

    def __post_init__(self) -> None:
        if self.parts < 1:
            raise ConfigError(f"a curriculum needs at least one stage, not {self.parts}")
        if not 0 <= self.class_quota <= 1:
            raise ConfigError(f"class_quota must be between 0 and 1, not {self.class_quota}")


def difficulty(
    probs_NC: NDArray[np.float64],
    measure: Measure = "entropy",
    student_log_probs_NC: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Return how hard each row is: 0 is easy; with ``entropy``, 1 if the teacher finds all classes equally likely.

    Args:
        probs_NC: the teacher's calibrated probabilities p.
        measure: ``entropy``: ``H(p) / ln C``; ``least_sure``: ``1 - max p``; ``student_loss``: ``-sum_c p_c log q_c``.
        student_log_probs_NC: log q of the untrained student, for ``student_loss``.

    Example:
        >>> difficulty(np.array([[0.7, 0.2, 0.1], [0.98, 0.01, 0.01]])).round(6).tolist()
        [0.729847, 0.101858]
    """
    if measure == "least_sure":
        least_sure: NDArray[np.float64] = 1 - probs_NC.max(axis=-1)
        return least_sure
    if measure == "student_loss":
        assert student_log_probs_NC is not None
        loss: NDArray[np.float64] = -(probs_NC * student_log_probs_NC).sum(axis=-1)
        return loss
    logs_NC = np.log(probs_NC, out=np.zeros_like(probs_NC), where=probs_NC > 0)
    entropy: NDArray[np.float64] = -(probs_NC * logs_NC).sum(axis=-1) / math.log(probs_NC.shape[-1])
    return entropy


def nested_parts(
    difficulty_N: NDArray[np.float64], classes_N: NDArray[np.int64], curriculum: Curriculum
) -> list[NDArray[np.int64]]:
    """Return the rows of each part, ascending: rows up to the difficulty's quantile j/S, and those the quota adds.

    Easy rows are mostly of one class. A class below the quota in a part gets its easiest rows from later parts, until
    it has its share or no more rows. With C classes, at most 1/C each is possible: the quota is capped at 1/(2C).

    Args:
        difficulty_N: see `difficulty`.
        classes_N: the teacher's class for each row, from 0.
        curriculum: number of parts and quota.
    """
    easiest_first = np.argsort(difficulty_N, kind="stable")
    classes = int(classes_N.max()) + 1
    quota = min(curriculum.class_quota, 1 / (2 * len(np.unique(classes_N))))
    chosen_N = np.zeros(len(difficulty_N), dtype=np.bool_)
    parts = []
    for part in range(1, curriculum.parts + 1):
        chosen_N |= difficulty_N <= np.quantile(difficulty_N, part / curriculum.parts)
        if part == curriculum.parts:
            chosen_N[:] = True
        _fill_up(chosen_N, easiest_first, classes_N, classes, quota)
        parts.append(np.flatnonzero(chosen_N))
    return parts


def _fill_up(
    chosen_N: NDArray[np.bool_],
    easiest_first: NDArray[np.int64],
    classes_N: NDArray[np.int64],
    classes: int,
    quota: float,
) -> None:
    """Add rows in place; each added row makes the part larger, so shares are checked until nothing is missing."""
    waiting = [easiest_first[classes_N[easiest_first] == c] for c in range(classes)]
    while True:
        counts = np.bincount(classes_N[chosen_N], minlength=classes)
        added = 0
        for c, rows in enumerate(waiting):
            left = rows[~chosen_N[rows]]
            missing = math.ceil(quota * counts.sum()) - counts[c]
            if missing > 0 and len(left):
                chosen_N[left[:missing]] = True
                added += len(left[:missing])
        if not added:
            return


@dataclass(frozen=True)
class CurriculumSequences:
    """One plan over all parts: equally many passes over each part, with no break between steps.

    Optimiser and schedule see one stage. With one part, the plan is that of `FixedSequences`.
    """

    parts: tuple[NDArray[np.int64], ...]
    """Row numbers of each part."""
    lengths: NDArray[np.int64]
    batch_size: int
    steps: int
    seed: int

    def part_steps(self) -> list[int]:
        """Return the optimiser steps of each part, in proportion to its rows; they add up to `steps`."""
        ends = np.cumsum([len(part) for part in self.parts])
        stops = [round(self.steps * int(end) / int(ends[-1])) for end in ends]
        return [stop - start for start, stop in zip([0, *stops], stops, strict=False)]

    def batches(self) -> Iterator[NDArray[np.int64]]:
        """Yield the rows of each optimiser step."""
        for number, (rows, steps) in enumerate(zip(self.parts, self.part_steps(), strict=True)):
            seed = self.seed + number * _SEED_OF_NEXT_PART
            yield from FixedSequences(rows, self.lengths, self.batch_size, steps, seed).batches()

    def micro_batches(self, per_step: int, *, rank: int = 0, ranks: int = 1) -> Iterator[NDArray[np.int64]]:
        """Yield this rank's micro-batches, ``per_step / ranks`` for each optimiser step."""
        return split_batches(self.batches(), self.batch_size, per_step, rank=rank, ranks=ranks)
