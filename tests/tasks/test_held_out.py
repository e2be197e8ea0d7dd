"""Which rows are held out where a run has no test data."""

from __future__ import annotations

import pytest

from limbeck.errors import DataError
from limbeck.tasks.held_out import held_out, parted


def test_a_share_of_the_candidates_always_the_same() -> None:
    candidates = list(range(10, 60))
    taken = held_out(candidates, 0.2)
    assert len(set(taken)) == 10
    assert set(taken) <= set(candidates)
    assert taken == held_out(candidates, 0.2)
    assert taken != sorted(taken), "drawn at random"


@pytest.mark.parametrize(("candidates", "share"), [(0, 0.5), (1, 0.5), (4, 0.1), (3, 0.9)])
def test_none_or_all_of_them_is_refused(candidates: int, share: float) -> None:
    with pytest.raises(DataError, match=f"of {candidates} rows with completions for the report: give data.test"):
        held_out(range(candidates), share, "rows with completions")


def test_parts_are_in_order_and_have_every_row_once() -> None:
    assert parted(6, [4, 1]) == ([0, 2, 3, 5], [1, 4])
