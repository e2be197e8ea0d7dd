"""Measure the systems of a run: the same steps for every kind of task.

A kind defines its outputs and metrics. The roles of the systems determine which are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from limbeck.evaluation.metrics.measure import Measure, Sampled, compare, measure, ratio
from limbeck.results.figures import Comparison, Figure, Metric, Slice
from limbeck.results.record import System
from limbeck.results.sections import Kept, Retention, Section

__all__ = ["Found", "Measured", "Score", "compared_pairs", "comparisons", "figures", "figures_of_slices", "retention"]

Outputs = TypeVar("Outputs")
Found = Mapping[tuple[str, str], Sampled]
"""By name of the system and key of the metric."""


@dataclass(frozen=True)
class Measured:
    """The part of `Results` that follows from the systems' outputs on the held-out rows."""

    metrics: list[Metric]
    headline: str
    systems: list[System]
    figures: list[Figure]
    comparisons: list[Comparison]
    sections: list[Section]
    warnings: list[str] = field(default_factory=list)
    """What could not be measured, and why."""


@dataclass(frozen=True)
class Score:
    """What one system is worth by the metric of the verdict."""

    metric: Metric
    value: float | None
    """``None``: it could not be measured."""
    rows: int

    @classmethod
    def of(cls, measured: Measured, system: str) -> Score:
        """Return the score of a system on all rows."""
        metric = next(one for one in measured.metrics if one.key == measured.headline)
        of_system = [one for one in measured.figures if one.system == system and not one.slice]
        figure = next((one for one in of_system if one.metric == metric.key), None)
        return cls(metric, None, 0) if figure is None else cls(metric, figure.value, figure.rows or 0)


def compared_pairs(systems: Sequence[System]) -> list[tuple[System, System]]:
    """Return the pairs of systems to compare, first minus second.

    The main system is compared with every other; the control with the teacher: whether plain training alone would
    have done as well; and the teacher with simple baselines: whether it has anything to teach.
    """
    main = [system for system in systems if system.role == "main"]
    order = ("baseline", "simple", "teacher", "student_init", "constant")
    pairs = [(ours, other) for ours in main for role in order for other in systems if other.role == role]
    teachers = [system for system in systems if system.role == "teacher"]
    pairs += [(control, teacher) for control in systems if control.control for teacher in teachers]
    return pairs + [(teacher, simple) for teacher in teachers for simple in systems if simple.role == "simple"]


def figures(found: Found) -> list[Figure]:
    """Return each figure as a row of the record."""
    return [sampled.figure(system, metric) for (system, metric), sampled in found.items()]


def figures_of_slices(
    outputs: Mapping[str, Mapping[int, Outputs]],
    measures: Sequence[Measure[Outputs]],
    slices: Iterable[tuple[Slice, Callable[[Outputs], Outputs]]],
) -> list[Figure]:
    """Return the figures of each slice, such as one label.

    Args:
        outputs: of each system, by training seed.
        measures: the metrics.
        slices: each slice, with a function that returns its part of some outputs.
    """
    found: list[Figure] = []
    for slice, alone in slices:
        of_slice = {name: {seed: alone(one) for seed, one in by_seed.items()} for name, by_seed in outputs.items()}
        sampled = measure(of_slice, measures)
        found += [one.figure(system, metric, slice=slice) for (system, metric), one in sampled.items()]
    return found


def comparisons(
    found: Found,
    pairs: Sequence[tuple[System, System]],
    measures: Sequence[Measure[Outputs]],
    headline: str,
) -> list[Comparison]:
    """Compare pairs by every metric meant for it that both have.

    With a constant only by the headline, and with a simple baseline not by fidelity to the teacher: neither learned
    from it.

    Raises:
        DataError: two systems have several seeds each, but not the same ones.
    """
    keys = [one.metric.key for one in measures if one.compared]
    quality = {one.metric.key for one in measures if one.retained} | {headline}
    less: dict[str, set[str]] = {"constant": {headline}, "simple": quality}
    return [
        compare((first.name, found[first.name, key]), (second.name, found[second.name, key]), key)
        for first, second in pairs
        for key in keys
        if (first.name, key) in found and (second.name, key) in found
        if key in less.get(second.role, keys)
    ]


def retention(found: Found, systems: Sequence[System], measures: Sequence[Measure[Outputs]]) -> Retention:
    """Return the share of the teacher's figures that each student keeps, if the teacher has any."""
    kept = []
    for teacher in (system for system in systems if system.role == "teacher"):
        for student in (system for system in systems if system.role not in ("teacher", "simple", "constant")):
            for one in (one for one in measures if one.retained):
                ours, its = (found.get((system.name, one.metric.key)) for system in (student, teacher))
                if ours is None or its is None:
                    continue
                share = ratio(ours, its) if one.metric.higher_is_better else ratio(its, ours)
                if share is not None:
                    kept.append(Kept(system=student.name, metric=one.metric.key, kept=share))
    return Retention(kept=kept)
