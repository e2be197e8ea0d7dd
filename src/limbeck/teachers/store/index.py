"""The index of a shard: an append-only file next to the shard, valid up to the first broken block.

The index begins with a magic number and the store's fingerprint (24 bytes). Then come blocks: the number of samples
(uint32), the CRC-32 of their entries (uint32), the entries. A block is written once its samples are on disk, so all
samples in an index exist. A block that was cut short has a wrong checksum; it and all later ones do not count.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import DataError

__all__ = ["ENTRY", "INDEX", "SHARD", "block", "checksum", "header", "key_digests", "read_index"]

SHARD = ".shard"
"""Ending of a shard's name: packed distributions, sample after sample, and nothing else."""
INDEX = ".index"

ENTRY: np.dtype[Any] = np.dtype(
    [("key", "<u8", (2,)), ("offset", "<u8"), ("rows", "<u4"), ("checksum", "<u4")],
)
"""A sample: 128 bits of its key's BLAKE2b, its first byte in the shard, its distributions, and a CRC-32."""

_MAGIC = b"limbeck1"
_COUNT_AND_CHECKSUM = struct.Struct("<II")


def key_digests(keys: Iterable[str]) -> NDArray[np.uint64]:
    """Hash each key to 128 bits, as two numbers, ``[N, 2]``."""
    digests = b"".join(hashlib.blake2b(key.encode("utf-8"), digest_size=16).digest() for key in keys)
    return np.frombuffer(digests, dtype="<u8").reshape(-1, 2)


def checksum(content: bytes | memoryview, key: NDArray[np.uint64]) -> int:
    """Return the CRC-32 of a sample's bytes; it starts with the key, so another sample's bytes are noticed too."""
    return zlib.crc32(content, zlib.crc32(key.astype("<u8").tobytes()))


def header(fingerprint_digest: bytes) -> bytes:
    """Return the first bytes of an index."""
    return _MAGIC + fingerprint_digest


def block(entries: Sequence[Any]) -> bytes:
    """Return the bytes that add entries to an index."""
    content = np.array(entries, dtype=ENTRY).tobytes()
    return _COUNT_AND_CHECKSUM.pack(len(entries), zlib.crc32(content)) + content


def read_index(path: Path, fingerprint_digest: bytes) -> NDArray[Any]:
    """Return the entries of an index, up to the first broken block.

    Raises:
        DataError: the shard has another fingerprint.
    """
    content = path.read_bytes()
    start = header(fingerprint_digest)
    if len(content) < len(start):  # killed while starting
        return np.empty(0, dtype=ENTRY)
    if not content.startswith(start):
        raise DataError(
            f"{path} does not belong to this store: it was created with another teacher, template or top_k, or its "
            f"first bytes are damaged. Remove it and its {SHARD} file, and run limbeck store again to compute what is "
            "missing"
        )
    blocks = []
    place = len(start)
    while place + _COUNT_AND_CHECKSUM.size <= len(content):
        count, crc = _COUNT_AND_CHECKSUM.unpack_from(content, place)
        place += _COUNT_AND_CHECKSUM.size
        entries = content[place : place + count * ENTRY.itemsize]
        if count == 0 or len(entries) < count * ENTRY.itemsize or zlib.crc32(entries) != crc:
            break
        blocks.append(np.frombuffer(entries, dtype=ENTRY))
        place += len(entries)
    return np.concatenate(blocks) if blocks else np.empty(0, dtype=ENTRY)
