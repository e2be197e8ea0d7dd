"""Outputs that no figure can be made of."""

from __future__ import annotations

import numpy as np
import pytest

from limbeck.errors import DataError
from limbeck.evaluation.generation.outputs import SystemOutputs


def test_a_row_without_supervised_tokens_is_named() -> None:
    with pytest.raises(DataError, match=r"held-out row 1 .* no supervised token.* 2 of 4 rows .* training.max_length"):
        SystemOutputs(tokens_N=np.array([3, 0, 2, 0]), nll_sum_N=np.zeros(4))


def test_no_rows() -> None:
    with pytest.raises(DataError, match="need held-out rows"):
        SystemOutputs(tokens_N=np.array([], dtype=np.int64), nll_sum_N=None)


def test_all_parts_are_of_the_same_rows() -> None:
    with pytest.raises(AssertionError):
        SystemOutputs(tokens_N=np.array([1, 2]), nll_sum_N=np.zeros(3))
