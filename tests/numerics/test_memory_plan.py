"""The planner's arithmetic against bytes counted by hand."""

from __future__ import annotations

import pytest

from limbeck.numerics.memory_plan import (
    NF4_BITS,
    adamw_bytes,
    parse_size,
    readable,
    weights_bytes,
)


def test_llama_in_four_bits_by_honest_arithmetic() -> None:
    linear, embeddings, norms = 6_476_005_376, 262_144_000, 266_240
    assert linear + embeddings + norms == 6_738_415_616
    assert pytest.approx(4.126953, abs=1e-6) == NF4_BITS
    base = weights_bytes(linear=linear, other=embeddings + norms, bytes_each=2, nf4=True)
    assert base / 1e9 == pytest.approx(3.866, abs=5e-4)
    for trainable, expected in [(39_976_960, 4.345), (67_108_864, 4.671)]:
        trained = 2 * trainable + 2 * trainable + adamw_bytes(trainable)
        assert (base + trained) / 1e9 == pytest.approx(expected, abs=5e-4)
    assert weights_bytes(linear=10, other=3, bytes_each=4) == 52


def test_sizes_are_read_and_written() -> None:
    assert parse_size("8GB") == 8e9
    assert parse_size(" 1.5 gib ") == 1.5 * 2**30
    assert [readable(n) for n in (84e9, 1.488e9, 62e6, 1.4e6)] == ["84.00 GB", "1.49 GB", "62 MB", "1.4 MB"]
    for wrong in ("8", "GB", "0GB", "-1GB", "8 gigs"):
        with pytest.raises(ValueError, match="expected a size such as 8GB"):
            parse_size(wrong)
