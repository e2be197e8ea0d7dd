"""The outcome of a comparison of two systems: better, worse, no difference, or not settled.

A difference is called significant only if the tests agree: over held-out rows (bootstrap) and, if there are enough,
over seeds (paired t-test, with Holm's correction for several tests). They cover different sources of chance.
"""

from __future__ import annotations

from typing import Literal

from limbeck.formatting import difference_range, difference_text, p_value_text
from limbeck.results.figures import SIGNIFICANT, Comparison, Metric

__all__ = ["Outcome", "difference_words", "in_prose", "outcome", "outcome_words", "over_seeds", "the"]

Outcome = Literal["better", "worse", "same", "unsettled"]


def outcome(comparison: Comparison, metric: Metric, *, needs_seeds: bool = False) -> Outcome:
    """Return whether the first system is better or worse than the second, or why it is open.

    Args:
        comparison: with a bootstrap test over rows.
        metric: of the comparison.
        needs_seeds: whether a test over seeds is required.
    """
    over_rows = (comparison.p_value() or 0) < SIGNIFICANT
    p_value = over_seeds(comparison)
    agrees = p_value is not None and p_value < SIGNIFICANT
    if p_value is None and not needs_seeds:
        agrees = over_rows
    if over_rows != agrees:
        return "unsettled"
    if not over_rows:
        return "same"
    return "better" if (comparison.value > 0) != (metric.higher_is_better is False) else "worse"


def over_seeds(comparison: Comparison) -> float | None:
    """Return the p-value over seeds, corrected if it was; ``None`` without a test."""
    corrected = comparison.p_value("holm")
    return comparison.p_value("t") if corrected is None else corrected


def outcome_words(found: Outcome, ours: str, other: str) -> str:
    """Describe the outcome for two systems."""
    return {
        "better": f"{ours} beat {other}",
        "worse": f"{ours} was worse than {other}",
        "same": f"there is no significant difference between {ours} and {other}",
        "unsettled": f"it is not settled whether {ours} differs from {other}, since one test says so and one does not",
    }[found]


def difference_words(comparison: Comparison, metric: Metric) -> str:
    """Write a difference with its interval and tests."""
    details = [f"95 % interval {difference_range(comparison.interval, metric.unit)}"] if comparison.interval else []
    details.append(f"{p_value_text(comparison.p_value())} over rows")
    if comparison.p_value("t") is not None:
        details.append(f"{p_value_text(comparison.p_value('t'))} over {len(comparison.seeds)} seeds")
    return f"{difference_text(comparison.value, metric.unit)} of {in_prose(metric.title)} ({', '.join(details)})"


def the(title: str) -> str:
    """Write the title of a system inside a sentence.

    >>> the("Fine-tuned student"), the("English model (zero-shot)"), the("ML-DFT")
    ('the fine-tuned student', 'the English model (zero-shot)', 'ML-DFT')
    """
    if not {"student", "teacher", "model"} & set(title.lower().split()):
        return title
    # A model is named after its language.
    return f"the {title if title.partition(' (')[0].endswith(' model') else in_prose(title)}"


def in_prose(title: str) -> str:
    """Write a title inside a sentence: abbreviations and names with inner capitals stay as they are.

    >>> in_prose("Exact match"), in_prose("ROUGE-L"), in_prose("nDCG"), in_prose("SetFit")
    ('exact match', 'ROUGE-L', 'nDCG', 'SetFit')
    """
    first = title.split(" ", 1)[0]
    return title if first[1:] != first[1:].lower() or not title[1:2].islower() else title[:1].lower() + title[1:]
