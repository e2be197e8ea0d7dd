"""Adding samples to a store, so that a kill or a full disk loses nothing that was acknowledged.

A writer creates its own shards and touches no others, so any number of processes may write to one folder, and a
process that died leaves nothing to repair: the next one creates a new shard. A shard's bytes reach the disk before
the index lists them.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from limbeck.atomic import guard_storage
from limbeck.errors import ConfigError
from limbeck.teachers.store.fingerprint import Fingerprint, write_fingerprint
from limbeck.teachers.store.format import Distributions
from limbeck.teachers.store.index import INDEX, SHARD, block, checksum, header, key_digests
from limbeck.types import SparseLogits

__all__ = ["StoreWriter"]

_SYNC_BYTES = 8 * 2**20
"""Maximum of bytes waiting in memory; beyond it they are written to disk."""


class StoreWriter:
    """A writer that appends samples to the store in a folder, creating the store if needed.

    >>> with StoreWriter(folder, fingerprint) as writer:  # doctest: +SKIP
    ...     writer.append(key, top_k(logits, k=64, temperature=1.0))
    ...     writer.sync()  # what was appended survives from here on

    It does not check for existing samples: `TokenStore.missing` tells what to append.
    """

    def __init__(self, folder: Path, fingerprint: Fingerprint, *, shard_bytes: int = 256 * 2**20) -> None:
        """Open the store.

        Args:
            folder: folder of the store; created if missing.
            fingerprint: the settings that the samples are computed with.
            shard_bytes: approximate size at which a shard is ended.

        Raises:
            ConfigError: the folder holds a store with another fingerprint, or `top_k` is impossible.
            DataError: the folder's store cannot be read.
            StorageError: the folder cannot be written.
        """
        self._format = fingerprint.row_format
        write_fingerprint(folder, fingerprint)
        self._folder, self._fingerprint, self._shard_bytes = folder, fingerprint, shard_bytes
        self._shard: _Shard | None = None
        self._waiting: list[tuple[NDArray[np.uint64], bytes]] = []
        self._waiting_bytes = 0

    def append(self, key: str, logits: SparseLogits) -> None:
        """Add a sample: the distributions at its supervised positions, in order. See `extend`."""
        self.extend([(key, logits)])

    def extend(self, samples: Sequence[tuple[str, SparseLogits]]) -> None:
        """Add samples that reach the disk together: after a kill, all of them are there, or none.

        Args:
            samples: keys, each with the distributions at its sample's supervised positions, in order.

        Raises:
            ConfigError: distributions have another vocabulary or temperature than the store.
            DataError: they are not distributions, or have another number of tokens than the store keeps. None of these
                samples is added then.
            StorageError: the disk is full. The samples wait in memory with all others that are not on disk yet:
                `sync` may be called again once there is space.
        """
        contents = [self._packed(logits) for _, logits in samples]
        self._waiting += zip(key_digests(key for key, _ in samples), contents, strict=True)
        self._waiting_bytes += sum(len(content) for content in contents)
        if self._waiting_bytes >= min(_SYNC_BYTES, self._shard_bytes):
            self.sync()

    def _packed(self, logits: SparseLogits) -> bytes:
        mine = self._fingerprint
        if (logits.vocabulary, logits.temperature) != (mine.vocabulary, mine.temperature):
            raise ConfigError(
                f"the teacher store {self._folder} keeps distributions over {mine.vocabulary} tokens at temperature "
                f"{mine.temperature}; these are over {logits.vocabulary} at {logits.temperature}"
            )
        rows = Distributions(
            logits.ids_SK.cpu().numpy(), logits.log_probs_SK.float().cpu().numpy(), logits.tail_S.float().cpu().numpy()
        )
        return self._format.pack(rows).tobytes()

    def sync(self) -> None:
        """Write everything appended to disk, where readers that open the store find it.

        Raises:
            StorageError: the disk is full; see `extend`.
        """
        if not self._waiting:
            return
        if self._shard and self._shard.size + self._waiting_bytes > self._shard_bytes:
            self._shard.close()
            self._shard = None
        if self._shard is None:
            self._shard = _Shard(self._folder, header(self._fingerprint.digest))
        self._shard.add(self._waiting, self._format.bytes_per_row)
        self._waiting, self._waiting_bytes = [], 0

    def close(self) -> None:
        """Write everything to disk and end the shard. Raises `StorageError` if the disk is full."""
        try:
            self.sync()
        finally:
            if self._shard:
                self._shard.close()
                self._shard = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Shard:
    """The parts of one shard and its index that are on disk."""

    def __init__(self, folder: Path, index_header: bytes) -> None:
        path = folder / f"{secrets.token_hex(8)}{SHARD}"  # a name that no other process draws
        self._path, self._index_header = path, index_header
        self.size = 0
        """Bytes of the shard that its index lists."""
        self._index_size = 0
        with guard_storage(path):
            # Unbuffered: a buffer that could not be written would be written again when the file is closed.
            self._file = path.open("xb", buffering=0)
            self._index = path.with_suffix(INDEX).open("xb", buffering=0)

    def add(self, samples: list[tuple[NDArray[np.uint64], bytes]], bytes_per_row: int) -> None:
        """Write samples to disk, then their entries; after a failure it may be called again."""
        entries, place = [], self.size
        for key, content in samples:
            entries.append((key, place, len(content) // bytes_per_row, checksum(content, key)))
            place += len(content)
        added = block(entries) if self._index_size else self._index_header + block(entries)
        with guard_storage(self._path):
            _write_at(self._file, self.size, b"".join(content for _, content in samples))
            _write_at(self._index, self._index_size, added)
        self.size = place
        self._index_size += len(added)

    def close(self) -> None:
        self._file.close()
        self._index.close()


def _write_at(file: FileIO, place: int, content: bytes) -> None:
    file.seek(place)
    left = memoryview(content)
    while left:
        left = left[file.write(left) :]  # a nearly full disk takes only a part
    os.fsync(file.fileno())
