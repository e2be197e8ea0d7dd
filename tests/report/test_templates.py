"""What templates do with the words that they are given."""

from __future__ import annotations

from limbeck.report.templates import html_environment


def test_a_number_stays_on_one_line_with_its_unit_and_sign() -> None:
    unbroken = html_environment().filters["unbroken"]
    sentence = "Kept 95 % (p = 0.80, p < 0.001): 64.0 kB, 3 ms, 12 s, 3 h; 3 students, 5 h2o, up = down"
    assert [part.split("~") for part in unbroken(sentence).replace("\N{NO-BREAK SPACE}", "~").split(" ")] == [
        ["Kept"], ["95", "%"], ["(p", "=", "0.80,"], ["p", "<", "0.001):"], ["64.0", "kB,"], ["3", "ms,"],
        ["12", "s,"], ["3", "h;"], ["3"], ["students,"], ["5"], ["h2o,"], ["up"], ["="], ["down"],
    ]  # fmt: skip
