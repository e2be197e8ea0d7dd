"""Final numbers as people, GSM8K and LaTeX write them."""

from __future__ import annotations

from fractions import Fraction

import pytest

from limbeck.evaluation.generation.numeric_match import final_number, numeric_match


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("72", 72),
        ("so 48 + 24 = 72 clips.", 72),
        ("48/2 = <<48/2=24>>24 clips\n#### 72\n\nQuestion: 5 boys", 72),
        ("####72", 72),
        ("#### $1,200.50 dollars, 3 of them", Fraction("1200.5")),
        ("#### 1. First add\n#### 2. Then\nThe answer is 5", 5),
        ("#### Step 3: done\nthe answer is 5", 5),
        ("1,234", 1234),
        ("1,234,567.5", Fraction("1234567.5")),
        ("1.234,56", Fraction("1234.56")),
        ("1.234.567", 1234567),
        ("1.234", Fraction("1.234")),
        ("12,34,567", 1234567),
        ("1'234", 1234),
        ("1\u202f234,5", Fraction("1234.5")),
        ("3,5", Fraction("3.5")),
        ("1,2,3", 3),
        ("3, 4", 4),
        ("1234,567", Fraction("1234.567")),
        (r"\boxed{1{,}234}", 1234),
        ("-5", -5),
        ("x = −5", -5),
        ("-$5", -5),
        ("$-5", -5),
        ("-1,000", -1000),
        ("10-5", 5),
        ("(3)-5", 5),
        ("- 5", 5),
        ("3/4", Fraction(3, 4)),
        ("-3/4", Fraction(-3, 4)),
        ("1 1/2", Fraction(3, 2)),
        ("2½ cups", Fraction(5, 2)),
        ("-½", Fraction(-1, 2)),
        (r"\frac{3}{4}", Fraction(3, 4)),
        (r"2\dfrac{1}{2}", Fraction(5, 2)),
        ("on 3/4/2024", 2024),
        ("5/0", None),
        ("1.5e3", 1500),
        ("1e-3", Fraction(1, 1000)),
        (".5", Fraction(1, 2)),
        ("50 %", 50),
        ("$1,200.00.", 1200),
        ("10²", 10),
        ("٣٫١٤", Fraction("3.14")),
        ("１２，３４５", 12345),
        ("共5个", 5),
        ("none", None),
        ("", None),
        ("7" * 5000, None),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_final_number(text: str, number: Fraction | int | None) -> None:
    assert final_number(text) == number


def test_a_huge_exponent_is_not_worked_out() -> None:
    assert final_number("1e999999999") == 999999999


@pytest.mark.parametrize(
    ("answer", "reference", "right"),
    [
        ("72.0", "#### 72", True),
        ("0.75", "3/4", True),
        ("72.000001", "72", False),
        ("73", "72", False),
        ("-72", "72", False),
        ("3.3333", "10/3", True),
        ("3.33", "10/3", False),
        ("3.1416", "3.14159", True),
        ("none", "72", False),
        ("72", "none", False),
        ("none", "none", False),
        ("", "0", False),
    ],
    ids=ascii,
)
def test_whole_numbers_have_no_tolerance_and_others_little(answer: str, reference: str, right: bool) -> None:
    assert numeric_match(answer, reference) is right
