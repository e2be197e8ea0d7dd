"""What each row adds to each figure."""

from __future__ import annotations

import numpy as np
from limbeck.evaluation.generation.row_figures import row_figures

from limbeck.evaluation.generation.outputs import SystemOutputs

OUTPUTS = SystemOutputs(
    tokens_N=np.array([2, 8]),
    nll_sum_N=np.array([6.0, 4.0]),
    kl_sum_N=np.array([1.0, 2.0]),
    agreed_N=np.array([1, 6]),
    texts=["so it goes so it goes so it", " \n"],
    cut_off_N=np.array([True, False]),
)


def test_per_token_and_per_row() -> None:
    found = row_figures(OUTPUTS, ["so it", "42"], ["rouge_l", "exact_match", "numeric_match"])
    figures = {name: figure.values_N.sum() / figure.weights_N.sum() for name, figure in found.items()}
    assert figures == {
        "nll_nats": 1.0,  # 10 nats over 10 tokens
        "nll_by_row_nats": 1.75,  # (3 + 0.5) / 2
        "kl_to_teacher_nats": 0.3,
        "agreement": 0.7,
        "rouge_l": (4 / 10) / 2,
        "exact_match": 0.0,
        "numeric_match": 0.0,
        "words": 4.0,
        "repeated_4_grams": (2 / 5) / 2,
        "empty": 0.5,
        "cut_off": 0.5,
    }


def test_what_was_not_measured_is_not_there() -> None:
    bare = SystemOutputs(tokens_N=np.array([2, 8]), nll_sum_N=None, agreed_N=np.array([1, 6]))
    assert set(row_figures(bare, [], ["rouge_l"])) == {"agreement"}
    written = SystemOutputs(tokens_N=np.array([2]), nll_sum_N=None, texts=["1"])
    assert set(row_figures(written, ["1"], [])) == {"words", "repeated_4_grams", "empty"}
