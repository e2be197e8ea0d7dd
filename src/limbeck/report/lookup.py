"""Queries that summary, tables and plots make on a record."""

from __future__ import annotations

from limbeck.results.figures import Comparison, Figure, Metric
from limbeck.results.record import Results, System

__all__ = [
    "budget_text",
    "headline_metric",
    "last_budget",
    "main_figure",
    "metrics_in",
    "of_budget",
    "whole_comparisons",
]


def budget_text(budget: int) -> str:
    """Write a budget of labels.

    >>> budget_text(0), budget_text(1), budget_text(1000)
    ('no labels', '1 label', '1,000 labels')
    """
    return "no labels" if budget == 0 else f"{budget:,} label{'' if budget == 1 else 's'}"


def headline_metric(results: Results) -> Metric:
    """Return the verdict's metric."""
    return results.metric(results.headline)


def metrics_in(results: Results, *tables: str) -> list[Metric]:
    """Return the metrics of these tables (default: all) with a figure over all rows."""
    found = {figure.metric for figure in results.figures if not figure.slice}
    return [metric for metric in results.metrics if metric.key in found and (not tables or metric.table in tables)]


def last_budget(results: Results, system: System) -> int | None:
    """Return the largest budget of a system's figures; ``None`` if it has none."""
    budgets = [f.budget for f in results.figures if f.system == system.name and f.budget is not None]
    return max(budgets, default=None)


def of_budget(results: Results, system: System, budget: int | None) -> int | None:
    """Return the budget of a system in a table of `budget`: teacher and constant have one for all."""
    return last_budget(results, system) if system.role in ("teacher", "constant") else budget


def main_figure(results: Results, system: System | None, metric: Metric) -> Figure | None:
    """Return the figure over all rows at a system's largest budget, if it was measured."""
    if system is None:
        return None
    return results.figure(system.name, metric.key, budget=last_budget(results, system))


def whole_comparisons(results: Results) -> list[Comparison]:
    """Return the comparisons over all held-out rows."""
    return [comparison for comparison in results.comparisons if not comparison.slice]
