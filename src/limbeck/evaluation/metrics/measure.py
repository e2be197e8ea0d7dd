"""Figures, comparisons and tests from statistics, in the same way for every metric of every kind of task.

Two sources of chance are kept apart: the choice of held-out rows (bootstrap and McNemar), and the training seed (the
t-test).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import DataError
from limbeck.evaluation.metrics.statistic import Statistic, pooled, sample
from limbeck.evaluation.significance import bootstrap_p_value, mcnemar, paired_t
from limbeck.results.figures import Comparison, Figure, Interval, Metric, Slice, Test

__all__ = ["RESAMPLES", "Measure", "Sampled", "average", "compare", "measure", "ratio"]

RESAMPLES = 2000

Outputs = TypeVar("Outputs", contravariant=True)
Key = TypeVar("Key", bound=Hashable)
PValue = Callable[[NDArray[np.float64]], float]


@dataclass(frozen=True)
class Measure(Generic[Outputs]):
    """A metric with its statistic."""

    metric: Metric
    statistic: Callable[[Outputs], Statistic | None]
    """Of one system and seed; ``None`` if the metric does not apply."""
    after: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None
    """An increasing function of the mean over seeds, such as ``exp`` for a perplexity."""
    pooled: bool = False
    """Whether the rows of all seeds are pooled; else the figure is a mean over seeds."""
    compared: bool = False
    """Whether systems are compared by it."""
    retained: bool = False
    """Whether a share of the teacher's figure tells how much of the teacher was kept."""


@dataclass(frozen=True)
class Sampled:
    """One metric of one system on one slice, for the held-out rows and bootstrap samples of them."""

    draws: NDArray[np.float64]
    """Mean over seeds: of the rows themselves, then of each sample, ``[1 + R]``; NaN where undefined."""
    seeds: Mapping[int, float]
    """Values on the rows themselves, by training seed; empty if the rows of all seeds are pooled."""
    rows: int
    right: Mapping[int, NDArray[np.bool_]] = field(default_factory=dict)
    """Whether each row is right, by seed; empty if the figure is not a share of right rows."""
    after: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None

    @property
    def interval(self) -> Interval:
        """The figure with its 95 % percentile interval."""
        bounds = np.nanquantile(self.draws[1:], [0.025, 0.975])
        value, low, high = self.applied(np.array([self.draws[0], *bounds])).tolist()
        return Interval(value=value, low=low, high=high)

    def applied(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Apply `after` to values, if there is one."""
        return values if self.after is None else self.after(values)

    def figure(self, system: str, metric: str, *, slice: Slice | None = None, budget: int | None = None) -> Figure:
        """Return the figure as a row of the record."""
        seeds = {seed: float(self.applied(np.array(value))) for seed, value in sorted(self.seeds.items())}
        return Figure(
            system=system,
            metric=metric,
            slice=slice or {},
            budget=budget,
            **self.interval.model_dump(),
            seeds=seeds,
            rows=self.rows,
        )


def measure(
    outputs: Mapping[Key, Mapping[int, Outputs]],
    measures: Sequence[Measure[Outputs]],
    *,
    resamples: int | None = None,
    rng: Callable[[], np.random.Generator] = lambda: np.random.default_rng(0),
) -> dict[tuple[Key, str], Sampled]:
    """Measure systems by all metrics that apply to them, on the same samples of rows.

    Args:
        outputs: of each system, by training seed, on the same rows.
        measures: the metrics.
        resamples: bootstrap samples; `RESAMPLES` by default.
        rng: as for `sample`.

    Returns:
        Figures by system and metric. A metric that does not apply to one seed of a system is left out for that system.
    """
    statistics: dict[tuple[Key, str, int | None], Statistic] = {}
    for one in measures:
        for key, by_seed in outputs.items():
            found = {seed: one.statistic(of_seed) for seed, of_seed in by_seed.items()}
            known = {seed: statistic for seed, statistic in found.items() if statistic is not None}
            if not known or len(known) < len(found):
                continue
            if one.pooled:
                statistics[key, one.metric.key, None] = pooled(list(known.values()))
            else:
                statistics |= {(key, one.metric.key, seed): statistic for seed, statistic in known.items()}
    draws = sample(statistics, resamples=resamples or RESAMPLES, rng=rng)
    after = {one.metric.key: one.after for one in measures}
    groups: dict[tuple[Key, str], list[int | None]] = {}
    for key, metric, seed in statistics:
        groups.setdefault((key, metric), []).append(seed)
    return {
        (key, metric): Sampled(
            draws=np.mean([draws[key, metric, seed] for seed in seeds], axis=0),
            seeds={seed: float(draws[key, metric, seed][0]) for seed in seeds if seed is not None},
            rows=statistics[key, metric, seeds[0]].counted,
            right={
                seed: right
                for seed in seeds
                if seed is not None and (right := statistics[key, metric, seed].right_N) is not None
            },
            after=after[metric],
        )
        for (key, metric), seeds in groups.items()
    }


def average(parts: Sequence[Sampled]) -> Sampled:
    """Return the macro average over equally weighted slices: sample by sample, and over the seeds that all have."""
    seeds = [seed for seed in parts[0].seeds if all(seed in part.seeds for part in parts)]
    return Sampled(
        draws=np.mean([part.draws for part in parts], axis=0),
        seeds={seed: float(np.mean([part.seeds[seed] for part in parts])) for seed in seeds},
        rows=sum(part.rows for part in parts),
        right={
            seed: np.concatenate([part.right[seed] for part in parts])
            for seed in seeds
            if all(seed in part.right for part in parts)
        },
        after=parts[0].after,
    )


def ratio(first: Sampled, second: Sampled) -> Interval | None:
    """Return ``first / second`` with its interval; ``None`` unless `second` is above 0 in every sample."""
    above, below = first.applied(first.draws), second.applied(second.draws)
    if not np.nanmin(below) > 0:
        return None
    draws = above / below
    low, high = np.nanquantile(draws[1:], [0.025, 0.975])
    return Interval(value=float(draws[0]), low=float(low), high=float(high))


def compare(
    first: tuple[str, Sampled],
    second: tuple[str, Sampled],
    metric: str,
    *,
    slice: Slice | None = None,
    budget: int | None = None,
    p_value: PValue = bootstrap_p_value,
    cells: Sequence[tuple[Sampled, Sampled]] = (),
) -> Comparison:
    """Return the paired difference ``first - second``, rows and seeds matched, with its tests.

    Args:
        first: name and figure of a system.
        second: of another; one with a single seed, such as a teacher, is paired with every seed of the other.
        metric: of both.
        slice: of both.
        budget: of both.
        p_value: returns the p-value of resampled differences.
        cells: pairs of figures for the t-test on their differences, seed by seed; by default the two themselves.

    Raises:
        DataError: both have several seeds, but not the same ones.
    """
    (first_name, ours), (second_name, theirs) = first, second
    draws = ours.draws - theirs.draws
    low, high = np.nanquantile(draws[1:], [0.025, 0.975])
    pairs = _paired_seeds(first_name, second_name, ours.seeds, theirs.seeds)
    tests = [Test(name="bootstrap", p_value=p_value(draws[1:][~np.isnan(draws[1:])]))]
    for seed, (a, b) in pairs.items():
        if a in ours.right and b in theirs.right:
            tests.append(mcnemar(ours.right[a], theirs.right[b], seed))
    per_seed = _seed_differences(ours, theirs, pairs)
    differences = [d for pair in cells for d in _seed_differences(*pair, pairs).values()] or [*per_seed.values()]
    if (t_test := paired_t(differences)) is not None:
        details = {key: value for key, value in t_test._asdict().items() if key not in ("p_value", "sd")}
        tests.append(Test(name="t", p_value=t_test.p_value, details=details))
    return Comparison(
        first=first_name,
        second=second_name,
        metric=metric,
        slice=slice or {},
        budget=budget,
        value=float(draws[0]),
        low=float(low),
        high=float(high),
        seeds=per_seed,
        tests=tests,
    )


def _paired_seeds(
    first: str, second: str, ours: Mapping[int, float], theirs: Mapping[int, float]
) -> dict[int, tuple[int, int]]:
    """Return the pairs of seeds that are compared, by seed; a single seed is paired with all."""
    if len(ours) > 1 and len(theirs) > 1 and set(ours) != set(theirs):
        raise DataError(
            f"{first} and {second} are compared seed by seed, but have seeds {sorted(ours)} and {sorted(theirs)}; "
            "train both with the same seeds"
        )
    if len(ours) > 1 or len(theirs) == 1:
        return {seed: (seed, seed if len(theirs) > 1 else next(iter(theirs))) for seed in sorted(ours) if theirs}
    return {seed: (next(iter(ours)), seed) for seed in sorted(theirs) if ours}


def _seed_differences(first: Sampled, second: Sampled, pairs: Mapping[int, tuple[int, int]]) -> dict[int, float]:
    return {seed: first.seeds[a] - second.seeds[b] for seed, (a, b) in pairs.items()}
