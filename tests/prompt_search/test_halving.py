"""Halving: who goes on, whom the default meets, and what is chosen."""

from __future__ import annotations

import pytest

from limbeck.data.prompts.label_prompt import LabelPrompt
from limbeck.prompt_search.halving import choose, rung_sizes, successive_halving
from limbeck.prompt_search.objective import Score
from limbeck.prompt_search.space import Candidate


def candidates(count: int) -> list[Candidate]:
    whats = ["the default", *(f"prompt {i}" for i in range(1, count))]
    return [Candidate(LabelPrompt(instruction=what), what) for what in whats]


def number(candidate: Candidate) -> int:
    return 0 if candidate.what == "the default" else int(candidate.what.split()[1])


def score(objective: float, rows: int, *, error: float = 0.05, tokens: float = 100.0) -> Score:
    return Score(objective, error, objective, 0.0, 0.0, tokens, rows)


def test_thirty_two_prompts_on_a_quarter_eight_on_half_two_on_all() -> None:
    assert rung_sizes(32, 100) == [(32, 25), (8, 50), (2, 100)]
    asked: list[tuple[int, int]] = []

    def measure(candidate: Candidate, rows: int) -> Score:
        asked.append((number(candidate), rows))
        return score(number(candidate) / 100, rows)

    rungs = successive_halving(candidates(32), 100, measure)
    assert [(rung.rows, len(rung.measured)) for rung in rungs] == [(25, 32), (50, 9), (100, 3)]
    assert {n for n, rows in asked if rows == 50} == {0, *range(24, 32)}, "the best eight, and the default"
    assert {n for n, rows in asked if rows == 100} == {0, 30, 31}
    assert number(rungs[-1].measured[0].candidate) == 31


def test_a_default_that_is_among_the_best_takes_no_extra_place() -> None:
    rungs = successive_halving(candidates(32), 100, lambda c, rows: score(-number(c), rows))
    assert [len(rung.measured) for rung in rungs] == [32, 8, 2]


def test_ties_go_to_the_shorter_prompt() -> None:
    rungs = successive_halving(candidates(8), 80, lambda c, rows: score(0.5, rows, tokens=100 - number(c)))
    assert number(rungs[-1].measured[0].candidate) == 7


@pytest.mark.parametrize(("lead", "rows", "chosen"), [(0.04, 40, 0), (0.06, 40, 3), (0.01, 60, 3), (-0.1, 60, 0)])
def test_the_best_must_beat_the_default(lead: float, rows: int, chosen: int) -> None:
    """The specification's figures: default .70 and best .74, standard errors .05, few rows: the default is kept."""

    def measure(candidate: Candidate, used: int) -> Score:
        return score(0.70 + lead if number(candidate) == 3 else 0.70 - 0.2 * bool(number(candidate)), used)

    choice = choose(successive_halving(candidates(8), rows, measure))
    assert number(choice.chosen.candidate) == chosen
    assert number(choice.default.candidate) == 0
    assert ("noise" in choice.why) == (chosen == 0 and lead > 0)


def test_prompts_that_are_too_long_drop_out() -> None:
    rungs = successive_halving(
        candidates(8), 80, lambda c, rows: None if number(c) in (0, 7) else score(number(c), rows)
    )
    choice = choose(rungs)
    assert number(choice.chosen.candidate) == 6
    assert choice.default.score is None
    assert "the default prompt is too long for the teacher" in choice.why
