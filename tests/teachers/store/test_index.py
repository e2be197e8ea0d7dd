"""An index counts as far as it is whole, wherever it was cut or damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from limbeck.errors import DataError
from limbeck.teachers.store.index import ENTRY, block, checksum, header, key_digests, read_index

DIGEST = bytes(range(16))


def entries(numbers: range) -> list[tuple[object, ...]]:
    return [(key_digests([str(number)])[0], 100 * number, number, 7 * number) for number in numbers]


BLOCKS = [block(entries(range(3))), block(entries(range(3, 4))), block(entries(range(4, 9)))]
WHOLE = header(DIGEST) + b"".join(BLOCKS)
ENDS = {len(header(DIGEST)): 0}
"""Samples that count once so many bytes are there."""
for added, samples in zip(BLOCKS, (3, 4, 9), strict=True):
    ENDS[max(ENDS) + len(added)] = samples


def read(path: Path, content: bytes) -> list[int]:
    path.write_bytes(content)
    return [int(row) for row in read_index(path, DIGEST)["rows"]]


def test_all_of_it(tmp_path: Path) -> None:
    assert read(tmp_path / "x.index", WHOLE) == list(range(9))
    found = read_index(tmp_path / "x.index", DIGEST)
    np.testing.assert_array_equal(found, np.array(entries(range(9)), dtype=ENTRY))


def test_cut_off_at_every_byte(tmp_path: Path) -> None:
    for length in range(len(WHOLE)):
        expected = max((samples for end, samples in ENDS.items() if end <= length), default=0)
        assert read(tmp_path / "x.index", WHOLE[:length]) == list(range(expected)), length


def test_another_byte_at_any_place_after_the_header(tmp_path: Path) -> None:
    for place in range(len(header(DIGEST)), len(WHOLE)):
        damaged = WHOLE[:place] + bytes([WHOLE[place] ^ 4]) + WHOLE[place + 1 :]
        expected = max(samples for end, samples in ENDS.items() if end <= place)
        assert read(tmp_path / "x.index", damaged) == list(range(expected)), place


def test_zeros_that_a_power_cut_leaves(tmp_path: Path) -> None:
    assert read(tmp_path / "x.index", header(DIGEST) + BLOCKS[0] + bytes(300)) == [0, 1, 2]
    assert read(tmp_path / "x.index", header(DIGEST) + bytes(8) + BLOCKS[0]) == []


def test_an_index_of_another_store(tmp_path: Path) -> None:
    (tmp_path / "x.index").write_bytes(WHOLE)
    with pytest.raises(DataError, match=r"x\.index does not belong to this store.*Remove it and its \.shard file"):
        read_index(tmp_path / "x.index", DIGEST[::-1])


def test_a_checksum_is_that_of_the_content_and_the_key() -> None:
    first, second = key_digests(["a", "b"])
    assert checksum(b"content", first) != checksum(b"content", second)
    assert checksum(b"content", first) != checksum(b"contend", first)
    assert checksum(b"content", first) == checksum(memoryview(b"content"), key_digests(["a"])[0])


def test_keys_are_told_apart() -> None:
    keys = [f"{number}" for number in range(1000)] + ["é", "", "a" * 1000]
    assert len(np.unique(key_digests(keys), axis=0)) == len(keys)
    assert key_digests([]).shape == (0, 2)
