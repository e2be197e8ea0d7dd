"""The published memory formula against the published table."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "plan_paper.py"
SCOPE = runpy.run_path(str(SCRIPT))
paper_bytes = SCOPE["paper_bytes"]

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


@pytest.mark.parametrize(("parameters", "trained", "exact", "printed", "total"), TABLE)
def test_the_formula_gives_table_3(
    parameters: float,
    trained: float | None,
    exact: list[float],
    printed: list[float],
    total: float,
) -> None:
    parts = [size / 1e9 for size in paper_bytes(parameters, trained)]
    assert parts == pytest.approx(exact, abs=1e-9)
    assert parts == pytest.approx(printed, abs=0.009)
    assert sum(parts) == pytest.approx(total, abs=0.009)
    factor = 12 * parameters if trained is None else parameters / 2 + 10 * trained
    assert sum(paper_bytes(parameters, trained)) == pytest.approx(factor, rel=1e-12)


@pytest.mark.parametrize(
    ("parameters", "trained", "saved", "frozen"),
    [(7.0e9, 40.0e6, 95.36, 99.4286), (1.3e9, 20.0e6, 94.55, 98.46), (124e6, 0.70e6, 95.36, 99.44)],
)
def test_the_shares_that_the_paper_claims(parameters: float, trained: float, saved: float, frozen: float) -> None:
    share = 1 - sum(paper_bytes(parameters, trained)) / sum(paper_bytes(parameters))
    assert 100 * share == pytest.approx(saved, abs=0.005)
    assert 100 * (1 - trained / parameters) == pytest.approx(frozen, abs=0.005)


def test_the_script_prints_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    SCOPE["main"]()
    llama = next(line for line in capsys.readouterr().out.splitlines() if "LLaMA-2 7B" in line)
    assert [cell.strip() for cell in llama.split("|")][2:-1] == [
        "14 / 3.5", "14 / 0.08", "28 / 0.16", "28 / 0.16", "84 / 3.9", "95.36 %",
    ]  # fmt: skip
