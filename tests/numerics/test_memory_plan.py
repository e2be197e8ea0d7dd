"""The planner's arithmetic against the published table and against bytes counted by hand."""

from __future__ import annotations

import pytest

from limbeck.numerics.memory_plan import (
    NF4_BITS,
    adamw_bytes,
    paper_items,
    parse_size,
    readable,
    total_bytes,
    weights_bytes,
)

# Table 3 in GB: exact values of the formula, and as printed (the GPT-2 column is cut off, not rounded).
TABLE = [
    pytest.param(7.0e9, None, [14.0, 14.0, 28.0, 28.0], [14, 14, 28, 28], 84, id="LLaMA-2 7B"),
    pytest.param(7.0e9, 40.0e6, [3.50, 0.080, 0.160, 0.160], [3.5, 0.08, 0.16, 0.16], 3.9, id="LLaMA-2 7B, 4-bit"),
    pytest.param(1.3e9, None, [2.6, 2.6, 5.2, 5.2], [2.6, 2.6, 5.2, 5.2], 15.6, id="OPT 1.3B"),
    pytest.param(1.3e9, 20.0e6, [0.650, 0.040, 0.080, 0.080], [0.65, 0.04, 0.08, 0.08], 0.85, id="OPT 1.3B, 4-bit"),
    pytest.param(124e6, None, [0.248, 0.248, 0.496, 0.496], [0.24, 0.24, 0.49, 0.49], 1.48, id="GPT-2"),
    pytest.param(
        124e6, 0.70e6, [0.0620, 0.0014, 0.0028, 0.0028], [0.06, 0.0014, 0.0028, 0.0028], 0.066, id="GPT-2 124M, 4-bit"
    ),
]


@pytest.mark.parametrize(("parameters", "trainable", "exact", "printed", "total"), TABLE)
def test_paper_mode_gives_table_3(
    parameters: float,
    trainable: float | None,
    exact: list[float],
    printed: list[float],
    total: float,
) -> None:
    items = [item.bytes / 1e9 for item in paper_items(parameters, trainable)]
    assert items == pytest.approx(exact, abs=1e-9)
    assert items == pytest.approx(printed, abs=0.009)
    assert sum(items) == pytest.approx(total, abs=0.009)
    factor = 12 * parameters if trainable is None else parameters / 2 + 10 * trainable
    assert total_bytes(paper_items(parameters, trainable)) == pytest.approx(factor, rel=1e-12)


@pytest.mark.parametrize(
    ("parameters", "trainable", "saved", "frozen"),
    [(7.0e9, 40.0e6, 95.36, 99.4286), (1.3e9, 20.0e6, 94.55, 98.46), (124e6, 0.70e6, 95.36, 99.44)],
)
def test_the_shares_that_the_paper_claims(parameters: float, trainable: float, saved: float, frozen: float) -> None:
    share = 1 - total_bytes(paper_items(parameters, trainable)) / total_bytes(paper_items(parameters))
    assert 100 * share == pytest.approx(saved, abs=0.005)
    assert 100 * (1 - trainable / parameters) == pytest.approx(frozen, abs=0.005)


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
