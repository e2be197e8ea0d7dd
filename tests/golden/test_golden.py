"""Tiny runs of every kind give what they gave: losses, weights and figures, as `expected.json` has them.

    GOLDEN=rewrite pytest -n 0 -m "" tests/golden

writes that file anew, for a change that is meant to change values. Bits differ between processors, so values are
compared within a tolerance here; `benchmarks/golden.py` compares two revisions on one machine bit by bit.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from safetensors.torch import load_file
from tests.golden.carry_out import NAMES, carry_out
from tests.golden.inputs import make_inputs

from limbeck.results import Results

pytestmark = pytest.mark.slow

_EXPECTED = Path(__file__).parent / "expected.json"
_RELATIVE, _ABSOLUTE = 2e-3, 1e-3
"""Rounding alone moves a value by 1e-6 or so; AdamW, which divides by a gradient's size, makes more of it where a
gradient is next to nothing (a key's bias has none at all). Runs that sample texts take plain gradient descent, lest a
text turn out differently."""
_TIMES = {"seconds", "tokens_per_second", "memory_bytes"}
_LABELS = ("system", "stage", "seed", "step")
_FIGURES = ("accuracy", "agreement", "mrr", "nll", "kl", "entity_f1", "pearson", "mse", "micro_f1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("golden")
    make_inputs(folder)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_a_golden_run_gives_what_it_gave(name: str, folder: Path) -> None:
    values = {**_figures(carry_out(name, folder)), **_log(folder / "runs" / name), **_weights(folder / "runs" / name)}
    every = json.loads(_EXPECTED.read_text(encoding="utf-8")) if _EXPECTED.exists() else {}
    if os.environ.get("GOLDEN") == "rewrite":
        every[name] = {key: float(f"{value:.6g}") for key, value in sorted(values.items())}
        _EXPECTED.write_text(json.dumps(every, indent=0, sort_keys=True) + "\n", encoding="utf-8")
    assert values == pytest.approx(every[name], rel=_RELATIVE, abs=_ABSOLUTE)


def _figures(results: Results) -> dict[str, float]:
    """Return the main figures of every system, of all held-out rows."""
    return {
        f"figure/{figure.system}{'' if figure.budget is None else figure.budget}/{figure.metric}": figure.value
        for figure in results.figures
        if figure.metric in _FIGURES and not figure.slice and figure.system != "constant"
    }


def _log(run: Path) -> dict[str, float]:
    """Return the numbers of the log but its times."""
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return {
        "/".join(["log", *(str(line[label]) for label in _LABELS), name]): value
        for line in lines
        for name, value in line.items()
        if name not in {*_TIMES, *_LABELS}
    }


def _weights(run: Path) -> dict[str, float]:
    """Return the norms of the student's tensors."""
    tensors = load_file(run / "student" / "model.safetensors")
    return {f"weights/{name}": tensor.double().norm().item() for name, tensor in tensors.items()}
