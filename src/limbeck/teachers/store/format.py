"""The format of one stored distribution: K token ids, K log-probabilities and the mass of all other tokens.

Every distribution of a store takes the same number of bytes, so a sample is a block of whole rows. One row, with
``l = floor(log2(V / K))`` (fields start at whole bytes, everything is little-endian):

    low   K * l bits                  the last l bits of the ids, in ascending order of the ids
    high  K + ((V - 1) >> l) bits     bit ``(id >> l) + k`` is set for the k-th id
    probs K uint16, or K float32      log-probabilities, in the order of the ids
    range float32, compact only       the largest ``-log p`` of the row
    tail  float32                     log of the mass of all other tokens

Ascending ids take about ``2 + log2(V / K)`` bits each instead of ``log2(V)``: P. Elias, "Efficient storage and
retrieval by content and address of static files", J. ACM 21(2), 1974; R. Fano, MIT Project MAC memo 61, 1971.

*compact*: ``log p = -range * (n / 65534) ** 2`` with n in two bytes; 65535 is ``-inf``. With ``x = -log p``, r the
row's range and ``h = 1 / 131068``, a stored log-probability is off by at most ``2 h sqrt(r x) + h^2 r``, up to
float32 rounding: smallest where the mass is. Log-probabilities below -128 (which float32 cannot tell from ``p = 0``)
become -128, so one excluded token does not coarsen the others. *exact*: float32 as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import ConfigError, DataError

__all__ = ["LEAST_LOG_PROB", "Distributions", "Precision", "RowFormat"]

Precision = Literal["compact", "exact"]

LEAST_LOG_PROB = -128.0
"""With compact precision, lower log-probabilities are stored as this one; ``-inf`` stays ``-inf``."""

_TOP_LEVEL = 65534
_RULED_OUT = 65535
_MASS_TOLERANCE = 0.01
"""Maximum deviation of a row's mass from 1: servers round. Raw logits, or a missing tail, deviate far more."""


class Distributions(NamedTuple):
    """Unpacked rows as arrays."""

    ids_SK: NDArray[np.int64]
    """Ascending."""
    log_probs_SK: NDArray[np.float32]
    tail_S: NDArray[np.float32]


@dataclass(frozen=True)
class RowFormat:
    """The packing of a store's distributions.

    >>> RowFormat(vocabulary=128_256, top_k=64).bytes_per_row
    240
    """

    vocabulary: int
    """V, at most ``2 ** 32``."""
    top_k: int
    """K."""
    precision: Precision = "compact"

    def __post_init__(self) -> None:
        if not 1 <= self.top_k <= self.vocabulary <= 2**32:
            raise ConfigError(
                f"top_k is {self.top_k}, but a store keeps from 1 token of each distribution to all "
                f"{self.vocabulary} of the vocabulary"
            )

    @property
    def bytes_per_row(self) -> int:
        """Bytes per distribution."""
        return self._row.itemsize

    def pack(self, rows: Distributions) -> NDArray[np.uint8]:
        """Return the bytes of each distribution, ``[S, bytes_per_row]``. Ids may come in any order.

        Raises:
            DataError: a row is not a distribution: an id outside the vocabulary or repeated, a mass that is not 1
        """
        self._check_shapes(rows)
        order_SK = np.argsort(rows.ids_SK, axis=1)
        ids_SK = np.take_along_axis(rows.ids_SK, order_SK, axis=1)
        log_probs_SK = np.take_along_axis(rows.log_probs_SK, order_SK, axis=1)
        self._check(ids_SK, log_probs_SK, rows.tail_S)
        packed = np.zeros(len(ids_SK), dtype=self._row)
        if self._low_bits:
            packed["low"] = _pack_bits(ids_SK, self._low_bits)
        bits = np.zeros((len(ids_SK), self._high_bits), dtype=np.uint8)
        bits[np.arange(len(ids_SK))[:, None], (ids_SK >> self._low_bits) + np.arange(self.top_k)] = 1
        packed["high"] = np.packbits(bits, axis=1, bitorder="little")
        if self.precision == "compact":
            packed["probs"], packed["range"] = _quantise(log_probs_SK)
        else:
            packed["probs"] = np.minimum(log_probs_SK, 0)
        packed["tail"] = np.minimum(rows.tail_S, 0)
        return packed.view(np.uint8).reshape(len(packed), self.bytes_per_row)

    def unpack(self, packed: NDArray[np.uint8]) -> Distributions:
        """Return the distributions of whole rows ``[S, bytes_per_row]``, ids ascending."""
        rows = np.ascontiguousarray(packed).view(self._row).reshape(len(packed))
        bits = np.unpackbits(rows["high"], axis=1, count=self._high_bits, bitorder="little")
        places_SK = np.flatnonzero(bits.view(np.bool_)).reshape(len(rows), self.top_k)
        places_SK -= (np.arange(len(rows)) * self._high_bits)[:, None]
        ids_SK = (places_SK - np.arange(self.top_k)) << self._low_bits
        if self._low_bits:
            ids_SK |= _unpack_bits(rows["low"], self.top_k, self._low_bits)
        log_probs_SK = rows["probs"]
        if self.precision == "compact":
            log_probs_SK = _dequantise(log_probs_SK, rows["range"])
        return Distributions(ids_SK, np.ascontiguousarray(log_probs_SK), np.ascontiguousarray(rows["tail"]))

    @property
    def _low_bits(self) -> int:
        return (self.vocabulary // self.top_k).bit_length() - 1

    @property
    def _high_bits(self) -> int:
        return self.top_k + ((self.vocabulary - 1) >> self._low_bits)

    @property
    def _row(self) -> np.dtype[Any]:
        fields: list[Any] = [
            ("low", "u1", (-(-self.top_k * self._low_bits // 8),)),
            ("high", "u1", (-(-self._high_bits // 8),)),
        ]
        if self.precision == "compact":
            fields += [("probs", "<u2", (self.top_k,)), ("range", "<f4")]
        else:
            fields += [("probs", "<f4", (self.top_k,))]
        return np.dtype([*fields, ("tail", "<f4")])

    def _check_shapes(self, rows: Distributions) -> None:
        shape = rows.ids_SK.shape
        if shape[1:] != (self.top_k,) or rows.log_probs_SK.shape != shape or rows.tail_S.shape != shape[:1]:
            raise DataError(
                f"the store keeps {self.top_k} tokens of each distribution; it was given ids {list(shape)}, "
                f"log-probabilities {list(rows.log_probs_SK.shape)} and tails {list(rows.tail_S.shape)}"
            )

    def _check(
        self, ids_SK: NDArray[np.int64], log_probs_SK: NDArray[np.float32], tail_S: NDArray[np.float32]
    ) -> None:
        outside_S = (ids_SK[:, 0] < 0) | (ids_SK[:, -1] >= self.vocabulary)
        _refuse(outside_S, f"has a token id outside the vocabulary of {self.vocabulary}")
        _refuse((np.diff(ids_SK, axis=1) == 0).any(axis=1), "has the same token id twice")
        mass_S = np.exp(log_probs_SK.astype(np.float64)).sum(axis=1) + np.exp(tail_S.astype(np.float64))
        wrong_S = ~(np.abs(mass_S - 1) <= _MASS_TOLERANCE)  # also where it is not a number
        _refuse(
            wrong_S,
            "is not a distribution: its K probabilities and tail sum to {}, not 1. The store takes log-probabilities "
            "of the whole vocabulary's softmax, finite or -inf; look for a teacher that overflows or for raw logits",
            mass_S,
        )


def _refuse(wrong_S: NDArray[np.bool_], fault: str, value_S: NDArray[np.float64] | None = None) -> None:
    if wrong_S.any():
        row = int(wrong_S.argmax())
        told = fault if value_S is None else fault.format(f"{value_S[row]:.6g}")
        raise DataError(f"position {row} of the distributions to store {told}")


def _pack_bits(ids_SK: NDArray[np.int64], bits: int) -> NDArray[np.uint8]:
    """Pack the last `bits` bits of each id, one after the other: eight of them fill `bits` bytes."""
    rows, count = ids_SK.shape
    groups = -(-count // 8)
    eights = np.zeros((rows, groups, 8), dtype=np.int64)
    eights.reshape(rows, groups * 8)[:, :count] = ids_SK & ((1 << bits) - 1)
    packed = np.zeros((rows, groups, bits), dtype=np.uint8)
    for place in range(8):
        first, shift, touched = _where(place, bits)
        for byte in range(touched):
            packed[:, :, first + byte] |= (eights[:, :, place] << shift >> 8 * byte).astype(np.uint8)
    return packed.reshape(rows, groups * bits)[:, : -(-count * bits // 8)]


def _unpack_bits(packed: NDArray[np.uint8], count: int, bits: int) -> NDArray[np.int64]:
    rows, groups = len(packed), -(-count // 8)
    padded = np.zeros((rows, groups * bits), dtype=np.uint8)
    padded[:, : packed.shape[1]] = packed
    eights = np.empty((rows, groups, 8), dtype=np.int64)
    for place in range(8):
        first, shift, touched = _where(place, bits)
        value = padded[:, first::bits].astype(np.int64)
        for byte in range(1, touched):
            value |= padded[:, first + byte :: bits].astype(np.int64) << 8 * byte
        eights[:, :, place] = value >> shift & ((1 << bits) - 1)
    return eights.reshape(rows, groups * 8)[:, :count]


def _where(place: int, bits: int) -> tuple[int, int, int]:
    """Return the first byte of a number among eight, the bit it begins at, and how many bytes it touches."""
    first, shift = divmod(place * bits, 8)
    return first, shift, -(-(shift + bits) // 8)


def _quantise(log_probs_SK: NDArray[np.float32]) -> tuple[NDArray[np.uint16], NDArray[np.float32]]:
    """Return square-root levels of ``-log p`` and their range."""
    ruled_out_SK = np.isneginf(log_probs_SK)
    size_SK = np.minimum(np.maximum(-log_probs_SK, 0), np.float32(-LEAST_LOG_PROB))
    size_SK[ruled_out_SK] = 0
    range_S = size_SK.max(axis=1)
    size_SK /= np.where(range_S > 0, range_S, 1)[:, None]
    level_SK = np.rint(np.sqrt(size_SK) * np.float32(_TOP_LEVEL)).astype(np.uint16)
    level_SK[ruled_out_SK] = _RULED_OUT
    return level_SK, range_S


def _dequantise(level_SK: NDArray[np.uint16], range_S: NDArray[np.float32]) -> NDArray[np.float32]:
    share_SK = level_SK * np.float32(1 / _TOP_LEVEL)
    share_SK *= share_SK
    share_SK *= -range_S[:, None]
    share_SK[level_SK == _RULED_OUT] = -np.inf
    return share_SK
