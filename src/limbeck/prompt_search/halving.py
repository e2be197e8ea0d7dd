"""Successive halving: many prompts on few rows, few prompts on all of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from limbeck.prompt_search.objective import Score, beats
from limbeck.prompt_search.space import Candidate

__all__ = ["Choice", "Measured", "Rung", "choose", "rung_sizes", "successive_halving"]

_SHARES = (0.25, 0.5, 1.0)
"""Share of the rows on each rung."""
_KEPT = (1, 4, 16)
"""Divisors of the number of configurations on each rung: 32, 8 and 2 of 32."""


@dataclass(frozen=True)
class Measured:
    """A candidate with its figures; ``None`` if the prompt is too long for the teacher."""

    candidate: Candidate
    score: Score | None


@dataclass(frozen=True)
class Rung:
    """The candidates measured on a number of rows, best first."""

    rows: int
    measured: tuple[Measured, ...]


@dataclass(frozen=True)
class Choice:
    """The outcome of a search."""

    chosen: Measured
    default: Measured
    best: Measured
    """The best of the last rung, whether or not it was chosen."""
    why: str


def rung_sizes(configurations: int, rows: int) -> list[tuple[int, int]]:
    """Return the configurations and rows of each rung.

    >>> rung_sizes(32, 100)
    [(32, 25), (8, 50), (2, 100)]
    """
    return [
        (max(2, math.ceil(configurations / kept)), math.ceil(share * rows))
        for kept, share in zip(_KEPT, _SHARES, strict=True)
    ]


def successive_halving(
    candidates: Sequence[Candidate], rows: int, measure: Callable[[Candidate, int], Score | None]
) -> list[Rung]:
    """Measure candidates on growing shares of the rows and keep the better ones; ties go to the shorter prompt.

    The first candidate is the default: it is measured on every rung, so the last rung compares it on all rows.

    Reference: Jamieson & Talwalkar 2016, "Non-stochastic Best Arm Identification and Hyperparameter Optimization",
    arXiv:1502.07943.

    Args:
        candidates: the default first.
        rows: number of rows.
        measure: returns a candidate's figures on the first rows, given how many.
    """
    default, going = candidates[0], list(candidates)
    rungs = []
    for count, used in rung_sizes(len(candidates), rows):
        going = going[:count]
        taken = going if default in going else [*going, default]
        measured = sorted((Measured(one, measure(one, used)) for one in taken), key=_worst_last)
        rungs.append(Rung(used, tuple(measured)))
        going = [one.candidate for one in measured if one.score is not None]
    return rungs


def choose(rungs: Sequence[Rung]) -> Choice:
    """Return the prompt to use: the best on all rows if it `beats` the default, else the default."""
    last = rungs[-1].measured
    best = last[0]
    default = next(one for one in last if one.candidate.what == "the default")
    assert best.score is not None
    if default.score is None:
        return Choice(best, default, best, "the default prompt is too long for the teacher")
    if best is default:
        return Choice(default, default, best, "nothing was better than the default")
    lead = best.score.objective - default.score.objective
    noise = max(best.score.standard_error, default.score.standard_error)
    words = f"{lead:+.3f} on {best.score.rows} rows; standard error {noise:.3f}"
    if beats(best.score, default.score):
        return Choice(best, default, best, f"better than the default by {words}")
    return Choice(default, default, best, f"the best of the search is within noise: {words}; the default is kept")


def _worst_last(measured: Measured) -> tuple[float, float]:
    if measured.score is None:
        return (math.inf, 0.0)
    return (-round(measured.score.objective, 9), measured.score.prompt_tokens)
