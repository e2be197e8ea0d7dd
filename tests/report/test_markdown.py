"""Foreign text in Markdown."""

from __future__ import annotations

import doctest

from limbeck.report import markdown


def test_the_examples_in_the_docstrings_hold() -> None:
    found = doctest.testmod(markdown)
    assert found.attempted > 0
    assert found.failed == 0


def test_a_fence_is_longer_than_any_inside() -> None:
    assert markdown.fenced("a\n````\nb", "sh") == "`````sh\na\n````\nb\n`````"


def test_a_table_has_a_rule_and_no_foreign_bars() -> None:
    assert markdown.markdown_table([["A", "B"], ["a|b", "1"]]) == "| A | B |\n| --- | ---: |\n| a\\|b | 1 |"
