"""What counts as the same answer."""

from __future__ import annotations

import pytest

from limbeck.evaluation.generation.exact_match import exact_match


@pytest.mark.parametrize(
    ("answer", "reference", "same"),
    [
        ("Paris", "Paris", True),
        (" paris.\n", "PARIS", True),
        ("Ｐａｒｉｓ", "Paris", True),
        ("東京。", "東京", True),
        ("new   york", "New\nYork", True),
        ("the Paris", "Paris", False),
        ("-5", "5", False),
        ("C++", "C", False),
        ("Paris!", "Paris", False),
        ("", "Paris", False),
    ],
    ids=ascii,
)
def test_exact_match(answer: str, reference: str, same: bool) -> None:
    assert exact_match(answer, reference) is same
    assert exact_match(reference, answer) is same
