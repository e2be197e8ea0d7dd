"""A teacher whose distributions come from a store."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from limbeck.errors import ConfigError, DataError
from limbeck.teachers.store.reader import TokenStore
from limbeck.types import UNLABELLED, Batch, Needs, Signal, SparseLogits

__all__ = ["StoredTokenTeacher"]


class StoredTokenTeacher:
    """A teacher that serves stored distributions by the rows' content, independent of shuffling and ranks."""

    def __init__(self, store: TokenStore, keys: Sequence[str]) -> None:
        """Join a store with the rows of a training set.

        Args:
            store: the stored distributions.
            keys: content hash of every row, indexed by row number.

        Raises:
            DataError: the store lacks a row.
        """
        if missing := store.missing(keys):
            raise DataError(
                f"{len(missing)} of {len(keys)} rows are not in the teacher store {store.folder}, the first of them "
                f"row {missing[0]}: the data or the template has changed since it was created, or it was not "
                "finished. Run limbeck store again; it computes only what is missing"
            )
        self._store, self._keys = store, keys

    def signal(self, batch: Batch, needs: Needs) -> Signal:
        """Return the stored distributions at the batch's supervised positions, on the batch's device.

        Raises:
            ConfigError: hidden states are requested, which a store does not hold.
            DataError: a row's number of supervised positions differs from the stored one, or the store is damaged.
        """
        if needs.teacher_taps:
            raise ConfigError(
                f"the recipe needs the teacher's hidden states, but the teacher store {self._store.folder} holds "
                "only next-token distributions. Use a live teacher, or choose a recipe on logits"
            )
        rows = batch["rows_B"].tolist()
        keys = [self._keys[row] for row in rows]
        self._check_positions(batch, rows, keys)
        return {"tokens": _on(batch, self._store.read(keys))}

    def _check_positions(self, batch: Batch, rows: list[int], keys: list[str]) -> None:
        stored = self._store.rows(keys)
        supervised_B = (batch["labels_BT"] != UNLABELLED).sum(dim=1).cpu().numpy()
        if len(supervised_B) == len(rows):
            differ = np.flatnonzero(supervised_B != stored)
            if not len(differ):
                return
            at = int(differ[0])
            here = f"row {rows[at]} has {supervised_B[at]} supervised positions"
            there = f"{stored[at]} for its key {keys[at]!r}"
        else:  # packed, in order: each row of the batch ends where a row of the data ends
            ends, ends_B = np.cumsum(stored), np.cumsum(supervised_B)
            if ends_B[-1] == ends[-1] and np.isin(ends_B, ends).all():
                return
            here = f"rows {rows}, packed, have {supervised_B.tolist()} supervised positions"
            there = f"{stored.tolist()} for them"
        raise DataError(
            f"{here}, but the teacher store {self._store.folder} has {there}: the token limit or which tokens count "
            "has changed since it was created, which the key does not show. Create the store again in an empty folder"
        )


def _on(batch: Batch, logits: SparseLogits) -> SparseLogits:
    device = batch["labels_BT"].device
    return SparseLogits(
        ids_SK=logits.ids_SK.to(device),
        log_probs_SK=logits.log_probs_SK.to(device),
        tail_S=logits.tail_S.to(device),
        vocabulary=logits.vocabulary,
        temperature=logits.temperature,
    )
