"""Figures and comparisons: every number that was measured, as rows of one tidy table.

A row gives its system and metric, its slice of the held-out rows (a language, a class, a domain), and its label
budget. The meaning of a number is declared once, by its `Metric`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["SIGNIFICANT", "Comparison", "Figure", "Interval", "Metric", "Record", "Slice", "Test", "Unit"]

SIGNIFICANT = 0.05
"""p-values below this are called significant."""

Slice = dict[str, str]
"""A part of the held-out rows, such as ``{"lang": "bg", "task": "topic"}`` or ``{"class": "refund"}``; empty: all
rows. A slice without a key is the macro average over that key."""

Unit = Literal["share", "nats", "number", "quantity", "perplexity", "words"]
"""``share``: between 0 and 1, shown in per cent. ``number``: without a unit, such as a correlation. ``quantity``: in
the unit of the user's own values, of any size."""


class Record(BaseModel):
    """A part of a result record: immutable, without unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Interval(Record):
    """A figure with its 95 % bootstrap interval over held-out rows."""

    value: float
    low: float
    high: float


class Metric(Record):
    """The meaning of a number."""

    key: str
    title: str
    detail: str = ""
    """What is counted, in two or three words below the title, such as "rows right"."""
    unit: Unit
    higher_is_better: bool | None
    """None: neither direction is better."""
    table: str = "headline"
    """Metrics with the same value share a table; ``headline`` is the first of the report."""
    meaning: str = ""
    """One sentence for readers who do not know the metric."""


class _Measured(Record):
    metric: str
    """Key of a `Metric`."""
    slice: Slice = Field(default_factory=dict)
    budget: int | None = None
    """Labelled rows that the system was given; None if systems do not differ in this."""
    value: float
    """Mean over seeds."""
    low: float | None = None
    """Lower bound of the 95 % bootstrap interval over held-out rows; None: no interval."""
    high: float | None = None
    seeds: dict[int, float] = Field(default_factory=dict)
    """The value of each training seed; empty if not kept."""

    @property
    def interval(self) -> Interval | None:
        """Return the value with its bounds, if it has them."""
        if self.low is None or self.high is None:
            return None
        return Interval(value=self.value, low=self.low, high=self.high)


class Figure(_Measured):
    """One metric of one system on one slice of the held-out rows."""

    system: str
    rows: int | None = None
    """Number of held-out rows; None if not kept."""


class Test(Record):
    """A test of the null hypothesis "no difference"."""

    __test__ = False  # not a pytest class

    name: Literal["bootstrap", "mcnemar", "t", "holm"]
    """``bootstrap`` resamples held-out rows, ``mcnemar`` uses the rows that only one of two systems has right,
    ``t`` pairs seeds (or cells of language and seed), ``holm`` is the t-test's p-value corrected by Holm."""
    p_value: float
    seed: int | None = None
    """The seed, if the test is over a single one."""
    details: dict[str, float] = Field(default_factory=dict)
    """For McNemar ``only_first_right`` and ``only_second_right``; for t ``t``, ``degrees_of_freedom``, ``mean``, and
    ``low`` and ``high``, the bounds of the mean's 95 % interval."""


class Comparison(_Measured):
    """The paired difference ``first - second`` of one metric over the same held-out rows."""

    first: str
    second: str
    tests: list[Test] = Field(default_factory=list)

    def test(self, name: str) -> Test | None:
        """Return the first test of this name, if it was made."""
        return next((test for test in self.tests if test.name == name), None)

    def p_value(self, name: str = "bootstrap") -> float | None:
        """Return the p-value of the first test of this name, if it was made."""
        found = self.test(name)
        return None if found is None else found.p_value
