"""On-policy training: in some of the steps, the student generates the texts that it is trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.errors import ConfigError
from limbeck.models.generate import Decoding
from limbeck.numerics.returns import less_others_mean
from limbeck.sequences.given import GivenRows, TeacherWritten
from limbeck.sequences.join import join_batches
from limbeck.types import UNLABELLED, Batch

__all__ = ["OnPolicy", "OnPolicyWriter", "WriteRows", "coin"]

_COIN = int.from_bytes(b"coin")
WriteRows = Callable[[NDArray[np.int64], Decoding, int], Batch]
"""``write_rows(row numbers, decoding, seed)``: a batch of the rows' prompts with completions by the student, and
``rewards_B`` if there is a reward."""


@dataclass(frozen=True)
class OnPolicy:
    """The student generates the completions in a fraction of the steps (Agarwal et al. 2024, GKD, algorithm 1)."""

    share: float = 0.5
    """lambda; 0: never, 1: in every step."""
    beside: bool = False
    """Train on `otherwise` too, in the same step."""
    otherwise: GivenRows | TeacherWritten = field(default_factory=GivenRows)
    """The completions in the other steps; the prompts are the same."""
    decoding: Decoding = field(default_factory=Decoding)
    reward: str | None = None
    """A function ``my.module:function`` of prompts and completions. A text's weight is its number for that text, minus
    the mean over the step's other texts."""

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ConfigError(f"the share of steps with the student's own texts must be from 0 to 1: {self.share}")
        if self.reward is None:
            return
        if self.share == 0:
            raise ConfigError("a reward needs texts of the student, but the share of steps with such texts is 0")
        if self.decoding.temperature != 1 or self.decoding.top_p != 1 or self.decoding.beams != 1:
            raise ConfigError(
                "a reward needs texts drawn at temperature 1, without top_p or beams: for others, the policy gradient "
                "is not that of the expected reward of the student's texts"
            )


def coin(seed: int, step: int) -> float:
    """Return a number in ``[0, 1)`` that depends only on seed and step: equal on all ranks, and after a restart."""
    # From its own stream: numpy treats (seed, step) and (seed, step, 0, 0), a first micro-batch's on rank 0, as one
    # seed, so that the texts drawn there would depend on the outcome of the coin.
    return float(np.random.default_rng((_COIN, seed, step)).random())


class OnPolicyWriter:
    """A writer that replaces the completions of a step's rows with the student's.

    Args:
        choice: the options.
        write_rows: generates completions with the student.
        seed: seed of the coin and of sampling.
        rank: rank of this process; ranks draw different samples.
        ranks: number of processes.
        add_up: sums numbers over all processes.
    """

    def __init__(
        self,
        choice: OnPolicy,
        write_rows: WriteRows,
        *,
        seed: int,
        rank: int = 0,
        ranks: int = 1,
        add_up: Callable[[Sequence[float]], list[float]] = list,
    ) -> None:
        self._choice, self._write_rows, self._add_up = choice, write_rows, add_up
        self._seed, self._rank, self._ranks = seed, rank, ranks

    def write(self, step: int, batches: list[Batch]) -> list[Batch]:
        """Return the micro-batches with the student's completions, or unchanged."""
        if not coin(self._seed, step) < self._choice.share:
            return batches
        written = []
        for number, batch in enumerate(batches):
            rows = batch["rows_B"].cpu().numpy()
            sample = _sample_seed(self._seed, step, number * self._ranks + self._rank)
            written.append(self._write_rows(rows, self._choice.decoding, sample))
        if self._choice.reward is not None:
            self._weigh(written)
        if self._choice.beside:
            return [join_batches(batch, own) for batch, own in zip(batches, written, strict=True)]
        return written

    def _weigh(self, written: list[Batch]) -> None:
        """Turn rewards into returns, over all texts of the step: they are the same for every split of it."""
        rewards = [batch.pop("rewards_B").double() for batch in written]
        total, count = self._add_up([float(torch.cat(rewards).sum()), sum(map(len, rewards))])
        for batch, rewards_B in zip(written, rewards, strict=True):
            learnt_BT = batch["labels_BT"] != UNLABELLED
            weights_B = less_others_mean(rewards_B, total, round(count)).float()
            batch["returns_BT"] = learnt_BT * weights_B.to(learnt_BT.device)[:, None]

    def state(self) -> dict[str, Any]:
        """Return nothing: each step depends only on its number."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Do nothing: there is no state."""


def _sample_seed(seed: int, step: int, part: int) -> int:
    return int(np.random.SeedSequence((seed, step, part)).generate_state(1)[0])
