"""Figures of each language and comparisons at each budget, from the scores of each example.

Nothing is pooled over languages: each task has equal weight within a language, and each target language
equal weight in a macro average. The bootstrap resamples records within each task and language, with the
same samples for all systems. It treats cells as independent: if the records of several languages are
translations of each other, intervals of macro averages may be somewhat narrow.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from limbeck.data.languages import language_name
from limbeck.errors import DataError
from limbeck.evaluation.measured import Measured
from limbeck.evaluation.metrics.measure import Sampled, average, compare, measure
from limbeck.evaluation.metrics.ranking import RANKING, ExampleScores
from limbeck.evaluation.significance import holm, share_p_value
from limbeck.results.figures import Comparison, Figure, Slice, Test
from limbeck.results.record import System
from limbeck.results.sections import Forgetting, Languages, SourceCheck
from limbeck.types import Instruction

__all__ = ["LanguageTestSet", "Ranked", "measure_languages", "most_frequent_accuracy", "right_candidates"]

RESAMPLES = 10_000
ALARM = 0.02
"""The report warns of a loss of this much accuracy on the source language."""
Resource = Literal["source", "high", "low"]
_AVERAGED = ("accuracy", "mrr")
"""Metrics that every task has; the others belong to single tasks."""


@dataclass(frozen=True)
class LanguageTestSet:
    """The test records, column by column, and their languages."""

    task: Sequence[str]
    lang: Sequence[str]
    candidates: Sequence[int]
    """Number of candidates of each record."""
    source_language: str
    """Empty if there is only one language, so no other to compare with."""
    languages: Sequence[str]
    """Target languages, in the order of the run file."""
    low_resource: frozenset[str] = frozenset()
    """Low-resource target languages; the others are high-resource."""

    def __post_init__(self) -> None:
        present = set(self.lang)
        if missing := [lang for lang in self.languages if lang not in present]:
            raise DataError(f"no test records in {', '.join(missing)}; there are some in {', '.join(sorted(present))}")
        if unknown := sorted(present - {self.source_language, *self.languages}):
            raise DataError(f"test records in {', '.join(unknown)}, which is neither source nor target language")

    @cached_property
    def rows(self) -> dict[str, dict[str, NDArray[np.int64]]]:
        """Record indices of each task in each language: source language first (if it has records), then targets."""
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
        """Return the target languages of this resource level."""
        return [lang for lang in self.languages if self.resource(lang) == resource]

    def section(self) -> Languages:
        """Return the languages as a section of the report."""
        return Languages(
            source=self.source_language,
            targets=list(self.languages),
            names={lang: language_name(lang) for lang in (self.source_language, *self.languages) if lang},
            resources={lang: self.resource(lang) for lang in self.rows},
            tasks=sorted(set(self.task)),
            candidates={
                lang: {task: max(self.candidates[row] for row in rows) for task, rows in tasks.items()}
                for lang, tasks in self.rows.items()
            },
        )


@dataclass(frozen=True)
class Ranked:
    """One system at one budget of target labels, with its scores on each test record, by training seed."""

    system: System
    budget: int
    example_scores: Mapping[int, ExampleScores]

    @property
    def key(self) -> tuple[str, int]:
        """Name and budget, which identify it."""
        return self.system.name, self.budget


Key = tuple[str, int]
Found = Mapping[tuple[Key, str], Sampled]
"""The figures of one slice, by system and metric."""


def measure_languages(
    test_set: LanguageTestSet,
    systems: Sequence[Ranked],
    *,
    constant: float | None = None,
    resamples: int | None = None,
    seed: int = 0,
) -> Measured:
    """Return figures of each task and language and their averages, and compare the main system with all others.

    Args:
        test_set: the test records.
        systems: all systems, each with its own name or budget; figures are means over their seeds.
        constant: accuracy of always giving the most frequent answer, if known.
        resamples: bootstrap samples of each task and language; `RESAMPLES` by default.
        seed: of the bootstrap. The samples of a task and language depend only on their names and number of
            records, so more systems or languages change no figure.

    Raises:
        DataError: the seeds of two compared systems do not match.
    """
    figures: list[Figure] = []
    languages: dict[str, Found] = {}
    for lang, tasks in test_set.rows.items():
        cells = {
            task: _cell(systems, rows, (seed, task, lang), resamples or RESAMPLES) for task, rows in tasks.items()
        }
        for task, cell in cells.items():
            figures += _figures(cell, {"lang": lang, "task": task})
        languages[lang] = _averages(list(cells.values()))
        figures += _figures(languages[lang], {"lang": lang})
    macros = _macros(test_set, languages)
    for slice, macro in macros:
        figures += _figures(macro, slice)
    figures += _by_task(figures, test_set)
    described = list({one.system.name: one.system for one in systems}.values())
    if constant is not None:
        described.append(_CONSTANT)
        figures.append(Figure(system=_CONSTANT.name, metric="accuracy", value=constant))
    return Measured(
        metrics=[one.metric for one in RANKING],
        headline="accuracy",
        systems=described,
        figures=figures,
        comparisons=_comparisons(test_set, systems, languages, macros),
        sections=[test_set.section(), Forgetting(checks=_source_checks(test_set, systems, languages))],
    )


_CONSTANT = System(
    name="constant",
    title="Always the most frequent answer",
    role="constant",
    detail="for each task and language; chance if records have their own candidates",
)


def _cell(
    systems: Sequence[Ranked], rows: NDArray[np.int64], seed: tuple[int, str, str], resamples: int
) -> dict[tuple[Key, str], Sampled]:
    """Measure all systems on one task in one language."""
    number, task, lang = seed
    rng = partial(np.random.default_rng, [number, zlib.crc32(task.encode()), zlib.crc32(lang.encode())])
    outputs = {
        one.key: {s: example_scores.take(rows) for s, example_scores in one.example_scores.items()} for one in systems
    }
    return measure(outputs, RANKING, resamples=resamples, rng=rng)


def _averages(parts: Sequence[Found]) -> Found:
    """Return macro averages of the metrics that all parts have."""
    keys = [key for key in parts[0] if key[1] in _AVERAGED]
    return {key: average([part[key] for part in parts]) for key in keys}


def _macros(test_set: LanguageTestSet, languages: Mapping[str, Found]) -> list[tuple[Slice, Found]]:
    """Average over all target languages, and over the high- and the low-resource ones."""
    groups: list[tuple[Slice, list[str]]] = [({}, list(test_set.languages))]
    groups += [({"resource": resource}, test_set.of_resource(resource)) for resource in ("high", "low")]
    return [(slice, _unpaired(_averages([languages[lang] for lang in group]))) for slice, group in groups if group]


def _unpaired(found: Found) -> Found:
    """Remove rows that are right or wrong: they are not pooled over languages."""
    return {key: replace(sampled, right={}) for key, sampled in found.items()}


def _figures(found: Found, slice: Slice) -> list[Figure]:
    return [
        sampled.figure(name, metric, slice=slice, budget=budget) for ((name, budget), metric), sampled in found.items()
    ]


def _by_task(figures: Sequence[Figure], test_set: LanguageTestSet) -> list[Figure]:
    """Return each task's mean over the target languages that have it."""
    groups: dict[tuple[str, int | None, str, str], list[Figure]] = {}
    for figure in figures:
        if "task" in figure.slice and figure.slice["lang"] in test_set.languages:
            key = (figure.system, figure.budget, figure.metric, figure.slice["task"])
            groups.setdefault(key, []).append(figure)
    return [_mean(group, {"task": task}) for (*_, task), group in groups.items()]


def _mean(figures: Sequence[Figure], slice: Slice) -> Figure:
    """Return the mean of figures; a single one keeps its interval."""
    only = figures[0] if len(figures) == 1 else None
    return figures[0].model_copy(
        update={
            "slice": slice,
            "value": float(np.mean([figure.value for figure in figures])),
            "low": only and only.low,
            "high": only and only.high,
            "seeds": {seed: float(np.mean([figure.seeds[seed] for figure in figures])) for seed in figures[0].seeds},
            "rows": sum(figure.rows or 0 for figure in figures),
        }
    )


def _comparisons(
    test_set: LanguageTestSet,
    systems: Sequence[Ranked],
    languages: Mapping[str, Found],
    macros: Sequence[tuple[Slice, Found]],
) -> list[Comparison]:
    """Compare the main system with all others of the same budget: over the target languages, and in each language."""
    pairs = [
        (ours.key, other.key)
        for ours in systems
        if ours.system.role == "main"
        for other in systems
        if other.system.role != "main" and other.budget == ours.budget
    ]
    found = []
    for metric in _AVERAGED:
        wholes, parts = [], []
        for pair in pairs:
            (whole, *groups), of_languages = _compare(test_set, pair, metric, languages, macros)
            wholes.append(whole)
            parts.append([*groups, *of_languages])
        for whole, rest in zip(_corrected(wholes), parts, strict=True):
            found += [whole, *rest]
    return found


def _compare(
    test_set: LanguageTestSet,
    pair: tuple[Key, Key],
    metric: str,
    languages: Mapping[str, Found],
    macros: Sequence[tuple[Slice, Found]],
) -> tuple[list[Comparison], list[Comparison]]:
    """Compare two systems by one metric: on macro averages and in each language, with corrected target languages."""
    first, second = pair
    cells = [(languages[lang][first, metric], languages[lang][second, metric]) for lang in test_set.languages]

    def of(found: Found, slice: Slice, over: Sequence[tuple[Sampled, Sampled]] = ()) -> Comparison:
        return compare(
            (first[0], found[first, metric]),
            (second[0], found[second, metric]),
            metric,
            slice=slice,
            budget=first[1],
            p_value=share_p_value,
            cells=over,
        )

    whole, *groups = [of(found, slice, () if slice else cells) for slice, found in macros]
    targets = _corrected([of(languages[lang], {"lang": lang}) for lang in test_set.languages])
    source = [of(found, {"lang": lang}) for lang, found in languages.items() if lang not in test_set.languages]
    return [whole, *groups], [*source, *targets]


def _corrected(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Add Holm's correction of the t-tests over all these comparisons."""
    corrected = holm([comparison.p_value("t") for comparison in comparisons])
    return [
        comparison
        if p_value is None
        else comparison.model_copy(update={"tests": [*comparison.tests, Test(name="holm", p_value=p_value)]})
        for comparison, p_value in zip(comparisons, corrected, strict=True)
    ]


def _source_checks(
    test_set: LanguageTestSet, systems: Sequence[Ranked], languages: Mapping[str, Found]
) -> list[SourceCheck]:
    """Compare each trained system's accuracy on the source language with the teacher's."""
    teacher = next((one for one in systems if one.system.role == "teacher"), None)
    at_home = languages.get(test_set.source_language)
    if teacher is None or at_home is None:
        return []
    before = at_home[teacher.key, "accuracy"].interval.value
    checks = []
    for one in systems:
        accuracy = at_home[one.key, "accuracy"].interval.value
        checks.append(
            SourceCheck(
                system=one.system.name,
                budget=one.budget,
                stage="source" if one is teacher else "target" if one.budget else "before target",
                accuracy=accuracy,
                change=accuracy - before,
                alarm=accuracy - before <= -ALARM,
            )
        )
    return checks


def most_frequent_accuracy(test_set: LanguageTestSet, records: Sequence[Instruction]) -> float:
    """Return the macro accuracy over target languages of one answer for all records of a task in a language.

    It is the most frequent right candidate. If records have their own candidates, no answer is frequent, and
    the accuracy of chance is used.

    Args:
        test_set: the test set of `records`.
        records: the test records.
    """

    def of_cell(rows: NDArray[np.int64]) -> float:
        cell = [records[row] for row in rows]
        if len({frozenset(record.candidates) for record in cell}) > 1:
            return float(np.mean([len(right_candidates(record)) / len(record.candidates) for record in cell]))
        counts = Counter(record.candidates[k] for record in cell for k in right_candidates(record))
        return max(counts.values()) / len(cell)

    shares = {lang: [of_cell(rows) for rows in test_set.rows[lang].values()] for lang in test_set.languages}
    return float(np.mean([np.mean(of_lang) for of_lang in shares.values()]))


def right_candidates(record: Instruction) -> tuple[int, ...]:
    """Return the right candidates; in graded sets, those of the highest grade."""
    if record.grades is None:
        return record.gold
    return tuple(k for k, grade in enumerate(record.grades) if grade == max(record.grades))
