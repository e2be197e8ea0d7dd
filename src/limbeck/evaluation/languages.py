"""From credits per record to the figures of each language: one system at a time, and two against each other.

Nothing is pooled over languages: each task of a language has one vote in it, and each target language one
vote in a macro average. The bootstrap resamples records within each task and language, with the same
samples for all systems. It takes cells as independent: where the records of several languages are
translations of each other, intervals of macro averages may be somewhat narrow.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import DataError
from limbeck.evaluation.significance import holm, mcnemar, paired_t, resampled_means, share_p_value
from limbeck.language_results import (
    Cell,
    Effect,
    LanguageComparison,
    LanguageDifference,
    LanguageSystem,
    Metric,
    SeedCell,
    TTest,
)
from limbeck.results import Interval, McNemar
from limbeck.types import Instruction

__all__ = ["Credits", "Panel", "always_the_most_frequent", "language_records", "right_candidates"]

_RESAMPLES = 10_000
Resource = Literal["source", "high", "low"]
_METRICS: tuple[Metric, ...] = ("accuracy", "mrr")


@dataclass(frozen=True)
class Panel:
    """The test records, column by column, and the languages they are judged by."""

    task: Sequence[str]
    lang: Sequence[str]
    candidates: Sequence[int]
    """How many candidates each record has."""
    source_language: str
    languages: Sequence[str]
    """Target languages, in the order of the run file."""
    low_resource: frozenset[str] = frozenset()
    """Target languages that are called low-resource; the others are high-resource."""

    def __post_init__(self) -> None:
        present = set(self.lang)
        if missing := [lang for lang in self.languages if lang not in present]:
            raise DataError(f"no test records in {', '.join(missing)}; there are some in {', '.join(sorted(present))}")
        if unknown := sorted(present - {self.source_language, *self.languages}):
            raise DataError(f"test records in {', '.join(unknown)}, which is neither source nor target language")

    @cached_property
    def rows(self) -> dict[str, dict[str, NDArray[np.int64]]]:
        """Record numbers of each task in each language: source language first (if it has records), then targets."""
        found: dict[str, dict[str, list[int]]] = {lang: {} for lang in (self.source_language, *self.languages)}
        for row, (task, lang) in enumerate(zip(self.task, self.lang, strict=True)):
            found[lang].setdefault(task, []).append(row)
        return {
            lang: {task: np.array(tasks[task]) for task in sorted(tasks)} for lang, tasks in found.items() if tasks
        }

    def resource(self, lang: str) -> Resource:
        if lang == self.source_language:
            return "source"
        return "low" if lang in self.low_resource else "high"

    def of_resource(self, resource: str) -> list[str]:
        """Target languages of this kind."""
        return [lang for lang in self.languages if self.resource(lang) == resource]


def always_the_most_frequent(panel: Panel, records: Sequence[Instruction]) -> float:
    """Return the macro accuracy over target languages of one answer for all records of a task in a language.

    It is the most frequent right candidate. Where the candidates are the records' own, no answer is frequent, and
    the share that chance gets right is taken.

    Args:
        panel: of `records`.
        records: the test records.
    """

    def of_cell(rows: NDArray[np.int64]) -> float:
        cell = [records[row] for row in rows]
        if len({frozenset(record.candidates) for record in cell}) > 1:
            return float(np.mean([len(right_candidates(record)) / len(record.candidates) for record in cell]))
        counts = Counter(record.candidates[k] for record in cell for k in right_candidates(record))
        return max(counts.values()) / len(cell)

    shares = {lang: [of_cell(rows) for rows in panel.rows[lang].values()] for lang in panel.languages}
    return float(np.mean([np.mean(of_lang) for of_lang in shares.values()]))


def right_candidates(record: Instruction) -> tuple[int, ...]:
    """Return the right candidates; where a set grades instead, those of the highest grade."""
    if record.grades is None:
        return record.gold
    return tuple(k for k, grade in enumerate(record.grades) if grade == max(record.grades))


@dataclass(frozen=True)
class Credits:
    """What one system earned on each test record, ``[N]`` by training seed (`limbeck.evaluation.ranking`)."""

    name: str
    title: str
    n_target: int
    accuracy: Mapping[int, NDArray[np.float64]]
    mrr: Mapping[int, NDArray[np.float64]]
    """Reciprocal ranks; their mean is the MRR."""
    ndcg: Mapping[int, NDArray[np.float64]] = field(default_factory=dict)
    """`limbeck.evaluation.ranking.query_ndcg`: NaN but at the first record of a query."""
    spans: Mapping[int, NDArray[np.float64]] = field(default_factory=dict)
    """`limbeck.evaluation.ranking.span_counts`, ``[N, 3]``: NaN but at records of spans."""

    @property
    def key(self) -> tuple[str, int]:
        """Name and budget: what tells it from other systems."""
        return self.name, self.n_target

    def by_seed(self, metric: Metric) -> Mapping[int, NDArray[np.float64]]:
        return self.accuracy if metric == "accuracy" else self.mrr


def language_records(
    panel: Panel,
    systems: Sequence[Credits],
    pairs: Sequence[tuple[Credits, Credits]],
    *,
    resamples: int = _RESAMPLES,
    seed: int = 0,
) -> tuple[list[LanguageSystem], list[LanguageComparison]]:
    """Return a record for each system, and one for each pair (``first - second``) and metric.

    Args:
        panel: the test records.
        systems: all systems with different names or budgets; figures are means over their seeds.
        pairs: of `systems`, to be compared. Both need the same seeds, or one of them a single one, which then
            meets every seed of the other.
        resamples: bootstrap samples of each task and language.
        seed: of the bootstrap. The samples of a task and language depend on their names and number of
            records and on nothing else, so more systems or languages change no figure.

    Raises:
        DataError: the seeds of a pair do not match.
    """
    sampled = _Sampled(panel, systems, resamples, seed)
    comparisons = []
    for metric in _METRICS:
        found = [_compare(sampled, first, second, metric) for first, second in pairs]
        corrected = holm([c.t_test.p_value if c.t_test else None for c in found])
        comparisons += [c.model_copy(update={"holm_p_value": p}) for c, p in zip(found, corrected, strict=True)]
    return [_describe(sampled, system) for system in systems], comparisons


class _Sampled:
    """Every system's figures in every language, of the records and of the bootstrap samples of them."""

    def __init__(self, panel: Panel, systems: Sequence[Credits], resamples: int, seed: int) -> None:
        self.panel = panel
        self._resamples, self._seed = resamples, seed
        keys = [(system.key, metric) for system in systems for metric in _METRICS]
        self._column = {key: column for column, key in enumerate(keys)}
        values_NM = np.column_stack(
            [np.mean(list(system.by_seed(metric).values()), axis=0) for system in systems for metric in _METRICS]
        )
        assert len(values_NM) == len(panel.lang)
        self._cells: dict[tuple[str, str], NDArray[np.float64]] = {}
        self._languages: dict[str, NDArray[np.float64]] = {}
        self.ndcg: dict[tuple[str, str], dict[tuple[str, int], Interval]] = {}
        """By task and language, then by system; so is `span_f1`. Empty where the task has no such figure."""
        self.span_f1: dict[tuple[str, str], dict[tuple[str, int], Interval]] = {}
        for lang, tasks in panel.rows.items():
            draws = []
            for task, rows in tasks.items():
                draws.append(self._draws(values_NM[rows], task, lang))
                bounds = np.quantile(draws[-1][1:], [0.025, 0.975], axis=0)
                self._cells[task, lang] = np.vstack([draws[-1][0], bounds])
                self.ndcg[task, lang] = self._ndcg(systems, task, lang)
                self.span_f1[task, lang] = self._span_f1(systems, task, lang)
            self._languages[lang] = np.mean(draws, axis=0)

    def _draws(self, values_NM: NDArray[np.float64], task: str, lang: str) -> NDArray[np.float64]:
        """Column means: of the values themselves in the first row, of their bootstrap samples in the others."""
        rng = np.random.default_rng([self._seed, zlib.crc32(task.encode()), zlib.crc32(lang.encode())])
        means = resampled_means(values_NM, resamples=self._resamples, rng=rng)
        return np.vstack([values_NM.mean(axis=0), means])

    def cell(self, system: Credits, metric: Metric, task: str, lang: str) -> Interval:
        value, low, high = self._cells[task, lang][:, self._column[system.key, metric]]
        return Interval(value=float(value), low=float(low), high=float(high))

    def _ndcg(self, systems: Sequence[Credits], task: str, lang: str) -> dict[tuple[str, int], Interval]:
        """Mean nDCG of the cell's queries, by system; queries are resampled."""
        rows = self.panel.rows[lang][task]
        ranked = {s.key: np.mean([values_N[rows] for values_N in s.ndcg.values()], axis=0) for s in systems if s.ndcg}
        known = [~np.isnan(values) for values in ranked.values()]
        if not known or not known[0].any():
            return {}
        draws = self._draws(np.column_stack([values[known[0]] for values in ranked.values()]), task, lang)
        return {key: _interval(draws[:, column]) for column, key in enumerate(ranked)}

    def _span_f1(self, systems: Sequence[Credits], task: str, lang: str) -> dict[tuple[str, int], Interval]:
        """``2 right / (called + there)`` of the cell's spans, mean over seeds, by system; spans are resampled."""
        rows = self.panel.rows[lang][task]
        asked = {s.key: np.hstack([counts_N3[rows] for counts_N3 in s.spans.values()]) for s in systems if s.spans}
        known = [~np.isnan(counts[:, 0]) for counts in asked.values()]
        if not known or not any(counts[known[0], 2].any() for counts in asked.values()):
            return {}
        draws = self._draws(np.hstack([counts[known[0]] for counts in asked.values()]), task, lang)
        ends = np.cumsum([counts.shape[1] for counts in asked.values()])
        parts = np.split(draws, ends[:-1], axis=1)
        return {key: _interval(_micro_f1(part)) for key, part in zip(asked, parts, strict=True)}

    def macro(self, system: Credits, metric: Metric, languages: Sequence[str]) -> NDArray[np.float64]:
        """The mean over `languages` of the means over their tasks: of the records, then of each bootstrap sample."""
        column = self._column[system.key, metric]
        mean: NDArray[np.float64] = np.mean([self._languages[lang][:, column] for lang in languages], axis=0)
        return mean


def _describe(sampled: _Sampled, system: Credits) -> LanguageSystem:
    panel = sampled.panel

    def accuracy_over(resource: str) -> float | None:
        languages = panel.of_resource(resource)
        return float(sampled.macro(system, "accuracy", languages)[0]) if languages else None

    return LanguageSystem(
        name=system.name,
        title=system.title,
        n_target=system.n_target,
        cells=[
            Cell(
                task=task,
                lang=lang,
                resource=panel.resource(lang),
                records=len(rows),
                candidates=max(panel.candidates[row] for row in rows),
                accuracy=sampled.cell(system, "accuracy", task, lang),
                mrr=sampled.cell(system, "mrr", task, lang),
                seeds=[
                    SeedCell(
                        seed=seed, accuracy=float(accuracy[rows].mean()), mrr=float(system.mrr[seed][rows].mean())
                    )
                    for seed, accuracy in system.accuracy.items()
                ],
                ndcg=sampled.ndcg[task, lang].get(system.key),
                span_f1=sampled.span_f1[task, lang].get(system.key),
            )
            for lang, tasks in panel.rows.items()
            for task, rows in tasks.items()
        ],
        macro_accuracy=_interval(sampled.macro(system, "accuracy", panel.languages)),
        macro_mrr=_interval(sampled.macro(system, "mrr", panel.languages)),
        high_accuracy=accuracy_over("high"),
        low_accuracy=accuracy_over("low"),
    )


def _compare(sampled: _Sampled, first: Credits, second: Credits, metric: Metric) -> LanguageComparison:
    panel = sampled.panel
    seeds = _paired_seeds(first, second, metric)
    differences = {lang: _seed_differences(rows, seeds) for lang, rows in panel.rows.items()}

    def effect(languages: Sequence[str]) -> Effect:
        draws = sampled.macro(first, metric, languages) - sampled.macro(second, metric, languages)
        return Effect(difference=_interval(draws), bootstrap_p_value=share_p_value(draws[1:]))

    def difference_over(resource: str) -> float | None:
        languages = panel.of_resource(resource)
        return effect(languages).difference.value if languages else None

    def right_or_wrong(lang: str) -> list[McNemar]:
        if metric != "accuracy":
            return []
        rows = np.concatenate(list(panel.rows[lang].values()))
        return [mcnemar(a[rows] > 0.5, b[rows] > 0.5, seed) for seed, (a, b) in seeds.items()]

    languages = [
        LanguageDifference(
            lang=lang,
            resource=panel.resource(lang),
            effect=effect([lang]),
            t_test=_t_test(differences[lang]),
            holm_p_value=None,
            mcnemar=right_or_wrong(lang),
        )
        for lang in panel.rows
    ]
    return LanguageComparison(
        first=first.name,
        second=second.name,
        n_target=first.n_target,
        metric=metric,
        macro=effect(panel.languages),
        t_test=_t_test([d for lang in panel.languages for d in differences[lang]]),
        holm_p_value=None,
        high_difference=difference_over("high"),
        low_difference=difference_over("low"),
        languages=_corrected(languages),
    )


def _corrected(languages: list[LanguageDifference]) -> list[LanguageDifference]:
    """Holm over the target languages; the source language is no claim of a cross-lingual comparison."""
    p_values = holm([d.t_test.p_value if d.t_test and d.resource != "source" else None for d in languages])
    return [d.model_copy(update={"holm_p_value": p}) for d, p in zip(languages, p_values, strict=True)]


def _paired_seeds(
    first: Credits, second: Credits, metric: Metric
) -> dict[int, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Each seed's credits of both systems."""
    a, b = first.by_seed(metric), second.by_seed(metric)
    seeds = sorted(a if len(a) > 1 else b)
    if len(a) > 1 and len(b) > 1 and set(a) != set(b):
        raise DataError(
            f"{first.name} and {second.name} (n_target {first.n_target} and {second.n_target}) are compared seed by "
            f"seed, but have seeds {sorted(a)} and {sorted(b)}; train both with the same seeds"
        )

    def of(credit: Mapping[int, NDArray[np.float64]], seed: int) -> NDArray[np.float64]:
        return credit[seed] if len(credit) > 1 else next(iter(credit.values()))

    return {seed: (of(a, seed), of(b, seed)) for seed in seeds}


def _seed_differences(
    tasks: Mapping[str, NDArray[np.int64]], seeds: Mapping[int, tuple[NDArray[np.float64], NDArray[np.float64]]]
) -> list[float]:
    """One language's difference for each seed: the mean over its tasks."""
    return [float(np.mean([(a[rows] - b[rows]).mean() for rows in tasks.values()])) for a, b in seeds.values()]


def _t_test(differences: Sequence[float]) -> TTest | None:
    test = paired_t(differences)
    if test is None:
        return None
    return TTest(
        t=test.t,
        degrees_of_freedom=test.degrees_of_freedom,
        p_value=test.p_value,
        mean=test.mean,
        low=test.low,
        high=test.high,
    )


def _micro_f1(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Micro F1 in each row of (right, called, there) seed by seed; mean over seeds."""
    right, called, there = (counts[:, column::3] for column in range(3))
    # A sample without any entity, found or there, has nothing right.
    f1: NDArray[np.float64] = (2 * right / np.where(called + there > 0, called + there, 1)).mean(axis=1)
    return f1


def _interval(figure_and_draws: NDArray[np.float64]) -> Interval:
    low, high = np.quantile(figure_and_draws[1:], [0.025, 0.975])
    return Interval(value=float(figure_and_draws[0]), low=float(low), high=float(high))
