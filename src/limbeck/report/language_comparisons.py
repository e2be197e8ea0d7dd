"""Comparisons of a cross-lingual run in words: over all languages, and in each."""

from __future__ import annotations

from dataclasses import dataclass, replace

from limbeck.formatting import ABSENT, EN_DASH, MINUS, p_value_text, points_text, signed_text
from limbeck.language_results import (
    Effect,
    LanguageComparison,
    LanguageDifference,
    LanguageResults,
    LanguageSystem,
    Metric,
    TTest,
)
from limbeck.report.retention import ENGLISH_MODEL, system_title
from limbeck.report.tables import mcnemar_text

__all__ = [
    "METRICS",
    "ComparisonRow",
    "TestedWords",
    "absent_words",
    "control_of",
    "difference_in",
    "difference_words",
    "find_comparison",
    "labels_text",
    "language_comparison_rows",
    "macro_rows",
]

METRICS: dict[Metric, str] = {"accuracy": "Accuracy", "mrr": "MRR"}
NOT_DEFINED = "not defined"


@dataclass(frozen=True)
class TestedWords:
    """A paired difference and its tests in words."""

    difference: str
    range: str
    clear: bool
    """Whether the interval leaves out zero."""
    bootstrap: str
    t: str
    """t with its degrees of freedom."""
    t_range: str
    """The 95 % interval of the mean over cells."""
    p: str
    holm: str
    mcnemar: list[str]


@dataclass(frozen=True)
class ComparisonRow:
    """One comparison: over all target languages, or in one of them."""

    title: str
    metric: str
    labels: str
    words: TestedWords
    high: str = ABSENT
    low: str = ABSENT


def labels_text(n_target: int) -> str:
    """Write a label budget.

    >>> labels_text(0), labels_text(1), labels_text(1000)
    ('no labels', '1 label', '1,000 labels')
    """
    return "no labels" if n_target == 0 else f"{n_target:,} label{'' if n_target == 1 else 's'}"


def find_comparison(
    results: LanguageResults, first: str, second: str, n_target: int, metric: Metric = "accuracy"
) -> LanguageComparison | None:
    """Return the comparison of two systems at one budget, if the run made it."""
    wanted = (first, second, n_target, metric)
    return next((c for c in results.comparisons if (c.first, c.second, c.n_target, c.metric) == wanted), None)


def difference_in(comparison: LanguageComparison | None, lang: str) -> LanguageDifference | None:
    """Return one language of a comparison."""
    return next((d for d in comparison.languages if d.lang == lang), None) if comparison else None


def control_of(results: LanguageResults, system: LanguageSystem) -> LanguageComparison | None:
    """Return the comparison that tells what distillation did: with the control that leaves it out.

    Without target labels, and only then, the control is the English model itself.
    """
    found = find_comparison(results, system.name, "transfer", system.n_target)
    if found is None and system.n_target == 0:
        return find_comparison(results, system.name, ENGLISH_MODEL, 0)
    return found


def macro_rows(results: LanguageResults, metric: Metric) -> list[ComparisonRow]:
    """Put every comparison over target languages into words."""
    return [
        ComparisonRow(
            title=_title(results, c),
            metric=METRICS[c.metric],
            labels=labels_text(c.n_target),
            words=_effect_words(c.macro, c.t_test, c.holm_p_value, c.metric),
            high=_difference_text(c.high_difference, c.metric),
            low=_difference_text(c.low_difference, c.metric),
        )
        for c in results.comparisons
        if c.metric == metric
    ]


def language_comparison_rows(results: LanguageResults, lang: str) -> list[ComparisonRow]:
    """Put every comparison in one language into words."""
    found = [(c, difference_in(c, lang)) for c in results.comparisons]
    return [
        ComparisonRow(
            _title(results, c), METRICS[c.metric], labels_text(c.n_target), difference_words(difference, c.metric)
        )
        for c, difference in found
        if difference
    ]


def difference_words(difference: LanguageDifference | None, metric: Metric = "accuracy") -> TestedWords:
    """Put one language of a comparison into words; dashes where it was not compared."""
    if difference is None:
        return absent_words()
    words = _effect_words(difference.effect, difference.t_test, difference.holm_p_value, metric)
    return replace(words, mcnemar=[mcnemar_text(test) for test in difference.mcnemar])


def absent_words(difference: str = ABSENT) -> TestedWords:
    """Return dashes for a difference that was not tested."""
    return TestedWords(difference, "", False, EN_DASH, EN_DASH, "", EN_DASH, EN_DASH, [])


def _effect_words(effect: Effect, t_test: TTest | None, holm_p_value: float | None, metric: Metric) -> TestedWords:
    """Put a difference with its tests into words; a test that has no value is "not defined"."""
    interval = effect.difference
    return TestedWords(
        difference=_difference_text(interval.value, metric),
        range=_bounds(interval.low, interval.high, metric),
        clear=interval.low > 0 or interval.high < 0,
        bootstrap=p_value_text(effect.bootstrap_p_value),
        t=f"t({t_test.degrees_of_freedom}) = {t_test.t:.2f}".replace("-", MINUS) if t_test else NOT_DEFINED,
        t_range=_bounds(t_test.low, t_test.high, metric) if t_test else "",
        p=p_value_text(t_test.p_value) if t_test else NOT_DEFINED,
        holm=NOT_DEFINED if holm_p_value is None else p_value_text(holm_p_value),
        mcnemar=[],
    )


def _bounds(low: float, high: float, metric: Metric) -> str:
    ends = [_difference_text(end, metric).removesuffix(" points") for end in (low, high)]
    return " to ".join(ends)


def _difference_text(difference: float | None, metric: Metric) -> str:
    """Write a difference: of accuracy in points, of MRR, which is not a share, with three decimals."""
    if metric == "accuracy" or difference is None:
        return points_text(difference)
    return signed_text(difference)


def _title(results: LanguageResults, comparison: LanguageComparison) -> str:
    return f"{system_title(results, comparison.first)} against {system_title(results, comparison.second)}"
