from __future__ import annotations

import pytest
from tests.hostile.tally import Tally


def test_counts(tally: Tally) -> None:
    tally.ended(0, "")
    tally.ended(130, "", signalled=True)
    with pytest.raises(AssertionError):
        tally.ended(130, "")
    with pytest.raises(AssertionError):
        tally.ended(1, "")
    with pytest.raises(AssertionError):
        tally.ended(2, "Traceback (most recent call last):")
