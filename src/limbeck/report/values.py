"""Figures and differences of a metric as cells and words."""

from __future__ import annotations

from limbeck import formatting
from limbeck.formatting import ABSENT, EN_DASH, figure_range, figure_text
from limbeck.report.block import Cell
from limbeck.results.figures import Comparison, Figure, Interval, Metric

__all__ = [
    "column_title",
    "difference_cell",
    "difference_range",
    "difference_text",
    "figure_cell",
    "in_sentence",
    "range_words",
    "tick_text",
    "value_text",
]


def column_title(metric: Metric) -> str:
    """Return the title of a column of figures, with the unit if figures do not show it."""
    return f"{metric.title}, nats" if metric.unit == "nats" else metric.title


def in_sentence(title: str) -> str:
    """Return a title as written within a sentence.

    >>> in_sentence("Macro F1"), in_sentence("ROUGE-L"), in_sentence("F1")
    ('macro F1', 'ROUGE-L', 'F1')
    """
    return title[:1].lower() + title[1:] if title[1:2].islower() else title


def value_text(metric: Metric, value: float | None) -> str:
    """Write a value, or a dash without one."""
    return figure_text(value, metric.unit)


def tick_text(metric: Metric, value: float) -> str:
    """Write a value at an axis."""
    return f"{value * 100:.4g} %" if metric.unit == "share" else formatting.power_text(f"{value:,.4g}")


def range_words(metric: Metric, interval: Interval | None) -> str:
    """Write the bounds of an interval within a sentence."""
    words = figure_range(interval, metric.unit).replace(EN_DASH, " to ")
    return f"{words} %" if words and metric.unit == "share" else words


def figure_cell(metric: Metric, figure: Figure | None) -> Cell:
    """Return a figure with its interval."""
    if figure is None:
        return Cell(ABSENT)
    return Cell(value_text(metric, figure.value), figure_range(figure.interval, metric.unit))


def difference_text(metric: Metric, difference: float | None, *, unit: bool = True) -> str:
    """Write a difference with its sign, in points for shares."""
    return (formatting.difference_text if unit else formatting.bare_difference)(difference, metric.unit)


def difference_range(metric: Metric, interval: Interval | None) -> str:
    """Write the bounds of a difference."""
    return formatting.difference_range(interval, metric.unit)


def difference_cell(metric: Metric, comparison: Comparison | None) -> Cell:
    """Return a difference with its interval, emphasised if that excludes zero."""
    if comparison is None:
        return Cell(ABSENT)
    interval = comparison.interval
    clear = interval is not None and (interval.low > 0 or interval.high < 0)
    words = difference_text(metric, comparison.value)
    return Cell(words, difference_range(metric, interval), emphasis="clear" if clear else "")
