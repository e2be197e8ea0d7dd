"""Texts generated in rounds, each used for a few epochs with the returns from when it was generated (MiniLLM)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from limbeck.errors import ConfigError
from limbeck.models.generate import Completion, Decoding
from limbeck.numerics.returns import future_returns, whitened
from limbeck.types import UNLABELLED, Batch, CompletionSource

__all__ = ["RolloutWriter", "Rollouts"]


@dataclass(frozen=True)
class Rollouts:
    """How MiniLLM's texts are generated and weighted (Gu et al. 2024, algorithm 1 and section 2.2).

    Each token is drawn from ``teacher_fraction * p + (1 - teacher_fraction) * q``. Its reward is ``log p - log q``;
    its return is the mean of the rewards after it.
    """

    prompts: int = 256
    """Texts per round, over all ranks."""
    epochs: int = 4
    """Epochs over the texts of a round."""
    teacher_fraction: float = 0.2
    released_code: bool = False
    """Weight tokens as the released code does: rewards are doubled, a return includes the token's own reward, later
    ones are discounted by 0.95, and returns are scaled to mean 0 and variance 1 over all tokens of a round."""
    reward_limit: float = 100.0
    """Largest absolute value of a token's reward, as in the released code."""
    decoding: Decoding = field(default_factory=Decoding)

    def __post_init__(self) -> None:
        if not 0 <= self.teacher_fraction < 1:
            raise ConfigError(f"teacher_fraction must be at least 0 and below 1, not {self.teacher_fraction}")
        if self.prompts < 1 or self.epochs < 1:
            raise ConfigError("a round needs at least one prompt and one epoch")
        if self.decoding.temperature != 1 or self.decoding.top_p != 1 or self.decoding.beams != 1:
            raise ConfigError("a policy gradient needs texts drawn at temperature 1, without top_p or beams")


class _Rollout(NamedTuple):
    row: int
    completion: Completion
    returns: list[float]
    behaviour: list[float]


class RolloutWriter:
    """A writer that replaces a step's rows with texts of the current round.

    Args:
        choice: the options.
        rows: row numbers to draw prompts from.
        write: completes prompts with the mixture: ``write(rows, decoding, seed)``.
        make_batch: makes a batch of rows with given completions, on the device of `score`.
        score: log-probabilities ``[B, T]`` of student and teacher for each supervised token of a batch.
        rows_per_step: rows of an optimiser step on this rank.
        seed: seed of prompts, order and sampling.
        rank: rank of this process.
        ranks: number of processes.
        add_up: sums numbers over all processes.
    """

    def __init__(
        self,
        choice: Rollouts,
        *,
        rows: NDArray[np.int64],
        write: Callable[[NDArray[np.int64], Decoding, int], list[Completion]],
        make_batch: Callable[[NDArray[np.int64], list[Completion]], Batch],
        score: Callable[[Batch], tuple[Tensor, Tensor]],
        rows_per_step: int,
        seed: int,
        rank: int = 0,
        ranks: int = 1,
        add_up: Callable[[Sequence[float]], list[float]] = list,
    ) -> None:
        self._choice, self._rows = choice, rows
        self._write, self._make_batch, self._score = write, make_batch, score
        self._seed, self._rank, self._ranks, self._add_up = seed, rank, ranks, add_up
        # Whole steps only: a round ends where an epoch over its texts ends.
        self._steps_per_epoch = max(1, choice.prompts // ranks // rows_per_step)
        self._rows_per_step = rows_per_step
        self._round: list[_Rollout] = []

    def write(self, step: int, batches: list[Batch]) -> list[Batch]:
        """Return micro-batches of the round's texts, equal in number and size to the given ones."""
        of_round = self._steps_per_epoch * self._choice.epochs
        number, place = divmod(step, of_round)
        if place == 0:
            self._round = self._written(number, sizes=[len(batch["rows_B"]) for batch in batches])
        epoch, part = divmod(place, self._steps_per_epoch)
        order = np.random.default_rng((self._seed, number, epoch, self._rank)).permutation(len(self._round))
        chosen = order[part * self._rows_per_step : (part + 1) * self._rows_per_step]
        return [self._batch([self._round[i] for i in some]) for some in np.array_split(chosen, len(batches))]

    def _written(self, number: int, sizes: list[int]) -> list[_Rollout]:
        rng = np.random.default_rng((self._seed, number))
        wanted = self._steps_per_epoch * self._rows_per_step
        drawn = rng.choice(self._rows, wanted * self._ranks, replace=wanted * self._ranks > len(self._rows))
        mine = drawn[self._rank :: self._ranks]
        found: list[_Rollout] = []
        for start in range(0, wanted, max(sizes)):
            rows = mine[start : start + max(sizes)]
            sample = int(np.random.SeedSequence((self._seed, number, start, self._rank)).generate_state(1)[0])
            found += self._weighed(rows, self._write(rows, self._choice.decoding, sample))
        return self._whitened(found) if self._choice.released_code else found

    def _whitened(self, found: list[_Rollout]) -> list[_Rollout]:
        """Whiten returns over all tokens of the round, on all ranks: the same for every split into micro-batches."""
        values_N = torch.tensor([value for one in found for value in one.returns], dtype=torch.float64)
        white = iter(whitened(values_N, self._add_up).tolist())
        return [one._replace(returns=[next(white) for _ in one.returns]) for one in found]

    @torch.no_grad()
    def _weighed(self, rows: NDArray[np.int64], completions: list[Completion]) -> list[_Rollout]:
        choice = self._choice
        batch = self._make_batch(rows, completions)
        mask_BT = batch["labels_BT"] != UNLABELLED
        student_BT, teacher_BT = (log_probs_BT.float() for log_probs_BT in self._score(batch))
        share = torch.tensor(choice.teacher_fraction, device=student_BT.device)
        behaviour_BT = torch.logaddexp(share.log() + teacher_BT, (1 - share).log() + student_BT)
        released, limit = choice.released_code, choice.reward_limit
        rewards_BT = ((2.0 if released else 1.0) * (teacher_BT - student_BT)).clamp(-limit, limit)
        returns_BT = future_returns(rewards_BT, mask_BT, inclusive=released, discount=0.95 if released else 1.0)
        return [
            _Rollout(int(row), completion, returns_BT[i, mask_BT[i]].tolist(), behaviour_BT[i, mask_BT[i]].tolist())
            for i, (row, completion) in enumerate(zip(rows, completions, strict=True))
        ]

    def _batch(self, rollouts: list[_Rollout]) -> Batch:
        batch = self._make_batch(np.asarray([one.row for one in rollouts]), [one.completion for one in rollouts])
        labels_BT = batch["labels_BT"]
        returns_BT = torch.zeros(labels_BT.shape, device=labels_BT.device)
        behaviour_BT = torch.zeros_like(returns_BT)
        mask_BT = labels_BT != UNLABELLED
        returns_BT[mask_BT] = torch.tensor([value for one in rollouts for value in one.returns]).to(returns_BT)
        behaviour_BT[mask_BT] = torch.tensor([value for one in rollouts for value in one.behaviour]).to(returns_BT)
        batch["returns_BT"], batch["behaviour_log_probs_BT"] = returns_BT, behaviour_BT
        batch["source_B"] = torch.full_like(batch["rows_B"], CompletionSource.STUDENT)
        return batch

    def state(self) -> dict[str, Any]:
        """Return the current round."""
        return {"round": self._round}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue a round."""
        self._round = [
            _Rollout(row, Completion(ids, ended), returns, behaviour)
            for row, (ids, ended), returns, behaviour in state["round"]
        ]
