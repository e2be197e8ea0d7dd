"""Reading a store: the samples it has, and the distributions of given samples in the given order.

Bytes are read with plain positioned reads rather than mapped: they go directly into the batch's buffer, a shard that
is cut short while in use gives an error instead of a bus error, and thousands of shards keep no files open.
The object has no open files and does not change, so workers may be forked from it and it may be pickled.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from io import BufferedReader
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.errors import DataError
from limbeck.teachers.store.fingerprint import Fingerprint, read_fingerprint
from limbeck.teachers.store.index import INDEX, SHARD, checksum, key_digests, read_index
from limbeck.types import SparseLogits

__all__ = ["TokenStore"]


class TokenStore:
    """The content of a store when it was opened; open it again to see later additions."""

    def __init__(
        self, folder: Path, fingerprint: Fingerprint, shards: list[Path], entries: list[NDArray[Any]]
    ) -> None:
        """Hold the entries of each shard's index; users call `open`."""
        self.folder, self.fingerprint, self._shards = folder, fingerprint, shards
        every = np.concatenate([np.empty((0, 2), np.uint64), *(of_shard["key"] for of_shard in entries)])
        order = np.lexsort((every[:, 1], every[:, 0]))
        self._keys = every[order]
        self._shard = np.repeat(np.arange(len(shards)), [len(of_shard) for of_shard in entries])[order]
        self._offset, self._rows, self._checksum = (
            np.concatenate([np.empty(0, np.int64), *(of_shard[name] for of_shard in entries)]).astype(np.int64)[order]
            for name in ("offset", "rows", "checksum")
        )

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open the store in `folder`.

        Raises:
            DataError: there is none, another version of limbeck created it, or a shard is missing, cut short or from
                another store.
        """
        fingerprint = read_fingerprint(folder)
        shards, entries = [], []
        for path in sorted(folder.glob(f"*{INDEX}")):
            of_shard = read_index(path, fingerprint.digest)
            if len(of_shard):
                shards.append(path.with_suffix(SHARD))
                entries.append(of_shard)
                _require_whole(shards[-1], of_shard, fingerprint.row_format.bytes_per_row)
        return cls(folder, fingerprint, shards, entries)

    def __len__(self) -> int:
        """Return the number of samples, counting those that two processes wrote twice."""
        return len(self._keys)

    @property
    def positions(self) -> int:
        """Return the number of distributions."""
        return int(self._rows.sum())

    def require(self, wanted: Fingerprint) -> None:
        """Check that the store serves a run with this fingerprint.

        Raises:
            ConfigError: another teacher, tokenizer, template, `top_k` ...; gives each difference.
        """
        self.fingerprint.require(wanted, self.folder)

    def missing(self, keys: Sequence[str]) -> list[int]:
        """Return the indices in `keys` of missing samples."""
        return [int(place) for place in np.flatnonzero(self._find(keys) < 0)]

    def rows(self, keys: Sequence[str]) -> NDArray[np.int64]:
        """Return the number of distributions of each sample. Raises `DataError` if one is missing."""
        rows: NDArray[np.int64] = self._rows[self._find_all(keys)]
        return rows

    def read(self, keys: Sequence[str]) -> SparseLogits:
        """Return the distributions of the samples, one sample after the other in the given order.

        Raises:
            DataError: a sample is missing, or the bytes on disk are not what was written.
        """
        samples = self._find_all(keys)
        layout = self.fingerprint.row_format
        ends = np.cumsum(self._rows[samples])
        packed = np.empty((int(ends[-1]) if len(ends) else 0, layout.bytes_per_row), dtype=np.uint8)
        for shard in np.unique(self._shard[samples]):
            path = self._shards[shard]
            with _opened(path) as file:
                for place in np.flatnonzero(self._shard[samples] == shard).tolist():
                    sample = samples[place]
                    content = packed[ends[place] - self._rows[sample] : ends[place]]
                    file.seek(self._offset[sample])
                    taken = file.readinto(content.data)
                    if taken < content.size or checksum(content.data, self._keys[sample]) != self._checksum[sample]:
                        raise _damaged(path, f"the sample with the key {keys[place]!r} is not what was written")
        rows = layout.unpack(packed)
        return SparseLogits(
            ids_SK=torch.from_numpy(rows.ids_SK),
            log_probs_SK=torch.from_numpy(rows.log_probs_SK),
            tail_S=torch.from_numpy(rows.tail_S),
            vocabulary=self.fingerprint.vocabulary,
            temperature=self.fingerprint.temperature,
        )

    def _find(self, keys: Sequence[str]) -> NDArray[np.int64]:
        """Return the number of each sample, -1 if it is missing."""
        wanted = key_digests(keys)
        if not len(self._keys):
            return np.full(len(keys), -1, dtype=np.int64)
        last = len(self._keys) - 1
        places = np.searchsorted(self._keys[:, 0], wanted[:, 0]).clip(max=last)
        while True:  # two of a few billion keys may share their first half
            found = self._keys[places]
            further = (found[:, 0] == wanted[:, 0]) & (found[:, 1] < wanted[:, 1]) & (places < last)
            if not further.any():
                return np.where((found == wanted).all(axis=1), places, -1)
            places = places + further

    def _find_all(self, keys: Sequence[str]) -> NDArray[np.int64]:
        samples = self._find(keys)
        gone = np.flatnonzero(samples < 0)
        if len(gone):
            raise DataError(
                f"{len(gone)} of {len(keys)} samples are not in the teacher store {self.folder}, the first of them "
                f"with the key {keys[gone[0]]!r}: the data or the template has changed since it was created, or it "
                "was not finished. Run limbeck store again; it computes only what is missing"
            )
        return samples


def _require_whole(shard: Path, entries: NDArray[Any], bytes_per_row: int) -> None:
    ends = entries["offset"].astype(np.int64) + entries["rows"].astype(np.int64) * bytes_per_row
    with _opened(shard) as file:  # opened, since a network file system may cache its size
        size = file.seek(0, os.SEEK_END)
    if size < ends.max():
        raise _damaged(shard, f"its index lists {ends.max()} bytes, but it has {size}")


def _opened(shard: Path) -> BufferedReader:
    try:
        return shard.open("rb")
    except OSError as error:
        raise _damaged(shard, error.strerror or str(error)) from error


def _damaged(shard: Path, fault: str) -> DataError:
    return DataError(
        f"{shard} is damaged: {fault}. Remove it and {shard.with_suffix(INDEX).name}, and run limbeck store "
        "again; it computes only what is missing"
    )
