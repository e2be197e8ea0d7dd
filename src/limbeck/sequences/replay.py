"""The student's texts, generated when needed and used more than once (DistiLLM)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import ConfigError
from limbeck.models.generate import Completion, Decoding
from limbeck.sequences.on_policy import coin
from limbeck.types import Batch

__all__ = ["Replay", "ReplayWriter"]


@dataclass(frozen=True)
class Replay:
    """Adaptive off-policy training (Ko et al. 2024, DistiLLM, section 3.2 and algorithm 1).

    A step uses the student's texts with probability phi, which starts at 0 and rises by `rise` whenever the
    validation loss has risen by `tolerance` since its last rise. Such a step generates new texts with probability
    ``phi * (1 - t / T)`` (``fresh: decreasing``), and otherwise takes them from a buffer of earlier ones.
    """

    capacity: int = 1000
    """Texts in the buffer, over all ranks; the oldest are dropped first."""
    rise: float = 0.1
    tolerance: float = 0.1
    """epsilon, in nats."""
    validations: int = 10
    """Evaluations of the validation loss over the stage."""
    fresh: Literal["decreasing", "constant", "increasing"] = "decreasing"
    """How the share of newly generated texts changes over a stage of T steps: ``1 - t/T``, 1/2, ``t/T``."""
    decoding: Decoding = field(default_factory=Decoding)

    def __post_init__(self) -> None:
        if self.capacity < 1 or self.validations < 1:
            raise ConfigError("capacity and validations must be at least 1")


class ReplayWriter:
    """A writer that replaces a step's rows with texts of the student, new or from the buffer.

    Args:
        choice: the options.
        steps: T, the number of steps of the stage.
        write: completes the prompts of rows with the student: ``write(rows, decoding, seed)``.
        make_batch: makes a batch of rows with given completions.
        validate: the student's loss on held-out rows, in nats per token.
        seed: seed of coins and sampling.
        rank: rank of this process.
        ranks: number of processes; each has its own buffer.
    """

    def __init__(
        self,
        choice: Replay,
        *,
        steps: int,
        write: Callable[[NDArray[np.int64], Decoding, int], list[Completion]],
        make_batch: Callable[[NDArray[np.int64], list[Completion]], Batch],
        validate: Callable[[], float],
        seed: int,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        self._choice, self._steps = choice, steps
        self._write, self._make_batch, self._validate = write, make_batch, validate
        self._seed, self._rank = seed, rank
        self._capacity = max(1, choice.capacity // ranks)
        self._every = max(1, steps // choice.validations)
        self._phi = 0.0
        self._reference: float | None = None
        self._buffer: list[tuple[int, Completion]] = []

    def write(self, step: int, batches: list[Batch]) -> list[Batch]:
        """Return micro-batches of the student's texts, or the rows unchanged."""
        if step % self._every == 0:
            self._adapt()
        progress = step / self._steps
        fresh = {"decreasing": 1 - progress, "constant": 0.5, "increasing": progress}[self._choice.fresh]
        drawn = coin(self._seed, step)
        if drawn >= self._phi:
            return batches
        # Decided for the whole step, so that all ranks do the same: their buffers are equally full.
        writes = drawn < self._phi * fresh or len(self._buffer) < self._capacity
        return [self._replaced(batch, step, number, writes) for number, batch in enumerate(batches)]

    def _replaced(self, batch: Batch, step: int, number: int, writes: bool) -> Batch:
        rows = batch["rows_B"].cpu().numpy()
        rng = np.random.default_rng((self._seed, step, number, self._rank))
        if writes:
            texts = list(
                zip(rows.tolist(), self._write(rows, self._choice.decoding, int(rng.integers(2**31))), strict=True)
            )
            self._buffer = [*self._buffer, *texts][-self._capacity :]
        else:
            texts = [self._buffer[i] for i in rng.integers(len(self._buffer), size=len(rows))]
        return self._make_batch(np.asarray([row for row, _ in texts]), [completion for _, completion in texts])

    def _adapt(self) -> None:
        loss = self._validate()
        if self._reference is None:
            self._reference = loss
        elif loss >= self._reference + self._choice.tolerance:
            self._phi = min(1.0, self._phi + self._choice.rise)
            self._reference = loss

    def state(self) -> dict[str, Any]:
        """Return phi, the validation loss at its last rise, and the buffer."""
        return {"phi": self._phi, "reference": self._reference, "buffer": self._buffer}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state."""
        self._phi, self._reference = state["phi"], state["reference"]
        self._buffer = [(row, Completion(ids, ended)) for row, (ids, ended) in state["buffer"]]
