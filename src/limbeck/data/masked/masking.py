"""Which tokens of a text are masked, and by what: a function of reader, seed, row and pass alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limbeck.types import UNLABELLED

__all__ = ["Masking", "token_weights"]

_REPLACED_BY_MASK, _REPLACED_AT_RANDOM = 0.8, 0.1
"""The rest stay as they are, and are predicted all the same."""


@dataclass(frozen=True)
class Masking:
    """Masks `fraction` of a text's tokens: 80 % become the mask token, 10 % a random token, 10 % stay.

    The number is rounded, and at least one. Special tokens are never masked, and never put in a token's place. Each
    text has a generator of its own, so masks depend neither on the other rows of a batch nor on those before it.

    Reference: Devlin et al. 2019, "BERT", arXiv:1810.04805, section 3.1. There the random token may be a special one,
    and masks are drawn once for ten copies of a text; new ones in each pass are RoBERTa's (arXiv:1907.11692).
    """

    fraction: float
    mask_id: int
    ordinary_ids: NDArray[np.int64]
    """Tokens that may be put in the place of another."""
    weights_V: NDArray[np.float64] | None = None
    """How much each token draws masks; ``None``: all alike."""

    def count(self, maskable: int) -> int:
        """Return how many of so many tokens are masked."""
        return max(1, round(self.fraction * maskable))

    def masked(
        self, ids_T: NDArray[np.int32], maskable_T: NDArray[np.bool_], key: Sequence[int]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the ids that a model reads, and the tokens that it predicts, `UNLABELLED` elsewhere; both ``[T]``.

        Args:
            ids_T: tokens of a text with its special tokens.
            maskable_T: which of them may be masked; at least one.
            key: what masks depend on, such as the run's seed, the text's number and how often it was read before.
        """
        rng = np.random.default_rng(key)
        places = np.flatnonzero(maskable_T)
        count = self.count(len(places))
        # The earliest of exponential times with these rates are a weighted sample without replacement.
        times = rng.exponential(size=len(places))
        if self.weights_V is not None:
            times = times / self.weights_V[ids_T[places]]
        chosen = np.sort(places[np.argsort(times, kind="stable")[:count]])
        inputs_T, labels_T = ids_T.astype(np.int64), np.full(len(ids_T), UNLABELLED, dtype=np.int64)
        labels_T[chosen] = inputs_T[chosen]
        coins, strangers = rng.random(count), rng.choice(self.ordinary_ids, count)
        to_mask = coins < _REPLACED_BY_MASK
        at_random = ~to_mask & (coins < _REPLACED_BY_MASK + _REPLACED_AT_RANDOM)
        inputs_T[chosen[to_mask]] = self.mask_id
        inputs_T[chosen[at_random]] = strangers[at_random]
        return inputs_T, labels_T


def token_weights(ids: NDArray[np.int32], vocabulary: int, exponent: float) -> NDArray[np.float64] | None:
    """Return each token's count in `ids` to the power of `exponent`; ``None`` for 0, as all are alike then.

    A token that does not occur counts as occurring once.

    Reference: Conneau, Lample 2019, "Cross-lingual Language Model Pretraining", arXiv:1901.07291, section 3.1.
    """
    if exponent == 0:
        return None
    counts_V = np.bincount(ids, minlength=vocabulary)
    weights_V: NDArray[np.float64] = np.maximum(counts_V, 1).astype(np.float64) ** exponent
    return weights_V
