"""Figures and comparisons: every number that was measured, as rows of one tidy table.

A row says of which system and metric it is, of which slice of the held-out rows (a language, a class, a domain), and
at which budget of labels. What a number counts is said once, by its `Metric`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["SIGNIFICANT", "Comparison", "Figure", "Interval", "Metric", "Record", "Slice", "Test", "Unit"]

SIGNIFICANT = 0.05
"""p-values below it are called significant."""

Slice = dict[str, str]
"""Which part of the held-out rows, such as ``{"lang": "bg", "task": "topic"}`` or ``{"class": "refund"}``; empty: the
whole. A slice that leaves a key out is the macro average over that key."""

Unit = Literal["share", "nats", "number", "quantity", "perplexity", "words"]
"""``share``: between 0 and 1, shown in per cent. ``number``: has no unit, such as a correlation. ``quantity``: in the
unit of the user's own values, so it may be of any size."""


class Record(BaseModel):
    """A part of a result record: all fields known, none ever changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Interval(Record):
    """A figure with its 95 % bootstrap interval over held-out rows."""

    value: float
    low: float
    high: float


class Metric(Record):
    """What a number counts."""

    key: str
    title: str
    detail: str = ""
    """In two or three words what is counted, to stand under the title, such as "rows right"."""
    unit: Unit
    higher_is_better: bool | None
    """None: neither direction is better."""
    table: str = "headline"
    """Metrics with the same one stand in one table; ``headline`` is the first of the report."""
    meaning: str = ""
    """One sentence for those who do not know the metric."""


class _Measured(Record):
    metric: str
    """Key of a `Metric`."""
    slice: Slice = Field(default_factory=dict)
    budget: int | None = None
    """Labelled rows that the system was given; None where systems do not differ by it."""
    value: float
    """Mean over seeds."""
    low: float | None = None
    """Lower bound of the 95 % bootstrap interval over held-out rows; None: there is none."""
    high: float | None = None
    seeds: dict[int, float] = Field(default_factory=dict)
    """The value of each training seed; empty where it was not kept."""

    @property
    def interval(self) -> Interval | None:
        """The value with its bounds, where it has them."""
        if self.low is None or self.high is None:
            return None
        return Interval(value=self.value, low=self.low, high=self.high)


class Figure(_Measured):
    """One metric of one system on one slice of the held-out rows."""

    system: str
    rows: int | None = None
    """Held-out rows that it is of; None where it was not kept."""


class Test(Record):
    """A test of the null hypothesis "no difference"."""

    __test__ = False  # no test of pytest's

    name: Literal["bootstrap", "mcnemar", "t", "holm"]
    """``bootstrap`` resamples held-out rows, ``mcnemar`` looks at the rows that only one of two systems has right,
    ``t`` pairs seeds (or cells of language and seed), ``holm`` is the t-test's p-value corrected by Holm."""
    p_value: float
    seed: int | None = None
    """The one seed that it looks at, if it is of one."""
    details: dict[str, float] = Field(default_factory=dict)
    """Of McNemar ``only_first_right`` and ``only_second_right``; of t ``t``, ``degrees_of_freedom``, ``mean``, and
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
