"""Looks up single figures and comparisons of a record, or of what was measured for one."""

from __future__ import annotations

from typing import TypeVar

from limbeck.evaluation.measured import Measured
from limbeck.results.figures import Comparison, Figure, Interval
from limbeck.results.record import Results

AnySection = TypeVar("AnySection")


def find(
    measured: Measured | Results, system: str, metric: str, budget: int | None = None, **slice: str
) -> Figure | None:
    wanted = (system, metric, budget, slice)
    return next((f for f in measured.figures if (f.system, f.metric, f.budget, f.slice) == wanted), None)


def figure(measured: Measured | Results, system: str, metric: str, budget: int | None = None, **slice: str) -> Figure:
    found = find(measured, system, metric, budget, **slice)
    assert found is not None, (system, metric, budget, slice)
    return found


def value(measured: Measured | Results, system: str, metric: str, budget: int | None = None, **slice: str) -> float:
    return figure(measured, system, metric, budget, **slice).value


def compared(
    measured: Measured | Results, second: str, metric: str, budget: int | None = None, **slice: str
) -> Comparison:
    """The comparison of the main system, or of whatever comes first."""
    wanted = (second, metric, budget, slice)
    return next(c for c in measured.comparisons if (c.second, c.metric, c.budget, c.slice) == wanted)


def interval(found: Figure | Comparison) -> Interval:
    assert found.interval is not None
    return found.interval


def section(measured: Measured | Results, kind: type[AnySection]) -> AnySection:
    return next(one for one in measured.sections if isinstance(one, kind))
