"""Plain text added to a stage's data, so that a student does not forget how to write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.sequences.join import join_batches
from limbeck.types import Batch, CompletionSource, Writer

__all__ = ["BesideCorpus"]


class BesideCorpus:
    """A writer that adds to each micro-batch equally many rows of a plain-text corpus.

    Args:
        writer: writer of the other rows; ``None``: they stay as they are.
        make_batch: makes a batch of given rows of the corpus.
        rows: number of rows of the corpus.
        seed: seed of the order.
        rank: rank of this process.
    """

    def __init__(
        self,
        writer: Writer | None,
        make_batch: Callable[[NDArray[np.int64]], Batch],
        *,
        rows: int,
        seed: int,
        rank: int = 0,
    ) -> None:
        self._writer, self._make_batch = writer, make_batch
        self._rows, self._seed, self._rank = rows, seed, rank

    def write(self, step: int, batches: list[Batch]) -> list[Batch]:
        """Return the micro-batches with the corpus rows appended."""
        if self._writer is not None:
            batches = self._writer.write(step, batches)
        rng = np.random.default_rng((self._seed, step, self._rank))
        return [join_batches(batch, self._drawn(len(batch["rows_B"]), rng)) for batch in batches]

    def _drawn(self, count: int, rng: np.random.Generator) -> Batch:
        batch = self._make_batch(rng.integers(self._rows, size=count))
        batch["source_B"] = torch.full_like(batch["rows_B"], CompletionSource.CORPUS)
        return batch

    def state(self) -> dict[str, Any]:
        """Return the state of the other rows' writer."""
        return {} if self._writer is None else self._writer.state()

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state."""
        if self._writer is not None:
            self._writer.restore(state)
