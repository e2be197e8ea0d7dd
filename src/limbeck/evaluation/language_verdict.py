"""What the figures of a cross-lingual run say, in plain sentences.

A difference is called significant only if two tests agree: over (language, seed) cells (paired t-test,
corrected by Holm) and over test records (bootstrap). They ask about different sources of chance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np

from limbeck.evaluation.verdict import SIGNIFICANT
from limbeck.formatting import hours_text, p_value_text, points_text, range_text, share_text
from limbeck.language_results import (
    LanguageComparison,
    LanguageDifference,
    LanguageSystem,
    SystemCost,
    beats_most_frequent,
)

__all__ = ["language_verdict"]

_OURS, _ENGLISH_MODEL, _CONTROL = "ml_ipd", "english_model", "transfer"
_FURTHEST_BEHIND = 3

Outcome = Literal["better", "worse", "same", "unsettled"]


def language_verdict(
    systems: Sequence[LanguageSystem],
    comparisons: Sequence[LanguageComparison],
    costs: Sequence[SystemCost],
    *,
    source_language: str,
    language_names: Mapping[str, str],
    most_frequent: float | None = None,
) -> list[str]:
    """Return sentences on ML-IPD against each system it was compared with, its weakest languages, and its cost.

    Args:
        systems: all systems; ML-IPD is ``ml_ipd``.
        comparisons: those that are not of ML-IPD's accuracy are left out.
        costs: with their savings.
        source_language: the language of the instructions.
        language_names: names of all languages by code.
        most_frequent: macro accuracy of one answer for all records of a task in a language, if it is known.
    """
    titles = {system.name: system.title for system in systems}
    ours = [system for system in systems if system.name == _OURS]
    of_accuracy = [c for c in comparisons if c.first == _OURS and c.metric == "accuracy"]
    english = next((system for system in systems if system.name == _ENGLISH_MODEL), None)
    sentences = [_against(c, titles, language_names) for c in of_accuracy]
    sentences += [_due_to_distillation(system, of_accuracy, titles) for system in ours]
    if english is not None:
        for system in ours:
            if most_frequent is not None and not beats_most_frequent(system, most_frequent):
                sentences.append(_no_better(system, most_frequent))
            elif sentence := _left_behind(system, english, source_language, language_names):
                sentences.append(sentence)
        if most_frequent is not None:
            sentences.append(f"Always the most frequent answer is right on {share_text(most_frequent)} on average.")
    return sentences + [_took(cost, costs, titles) for cost in costs if cost.name == _OURS]


def _outcome(comparison: LanguageComparison) -> Outcome:
    over_records = comparison.macro.bootstrap_p_value < SIGNIFICANT
    over_cells = comparison.holm_p_value is not None and comparison.holm_p_value < SIGNIFICANT
    if over_records != over_cells:
        return "unsettled"
    if not over_records:
        return "same"
    return "better" if comparison.macro.difference.value > 0 else "worse"


def _against(comparison: LanguageComparison, titles: Mapping[str, str], names: Mapping[str, str]) -> str:
    ours, other = titles[comparison.first], titles[comparison.second]
    said = {
        "better": f"{ours} beat {other}",
        "worse": f"{ours} was worse than {other}",
        "same": f"there is no significant difference between {ours} and {other}",
        "unsettled": f"it is not settled whether {ours} differs from {other}, since one test says so and one does not",
    }[_outcome(comparison)]
    targets = [language for language in comparison.languages if language.resource != "source"]
    difference = comparison.macro.difference
    over_cells = (
        "no test over languages and seeds is possible"
        if comparison.holm_p_value is None
        else f"{p_value_text(comparison.holm_p_value)} over languages and seeds after Holm's correction"
    )
    return (
        f"{_labels(comparison.n_target).capitalize()}, {said}: {points_text(difference.value)} of accuracy on "
        f"average over {_count(len(targets))} (95 % interval {range_text(difference, unit='points')}; {over_cells}, "
        f"{p_value_text(comparison.macro.bootstrap_p_value)} over test records). "
        f"{_by_language(targets, names)}"
    )


def _by_language(targets: Sequence[LanguageDifference], names: Mapping[str, str]) -> str:
    tested = [d for d in targets if d.holm_p_value is not None]
    if not tested:
        return "No language can be tested on its own: that takes three seeds that differ."

    def listed(counts: Callable[[LanguageDifference], bool]) -> str:
        found = [names[d.lang] for d in tested if (d.holm_p_value or 0) < SIGNIFICANT and counts(d)]
        return f"{len(found)} ({', '.join(found)})" if found else "none"

    better, worse = listed(lambda d: d.effect.difference.value > 0), listed(lambda d: d.effect.difference.value < 0)
    return f"Of {_count(len(tested))} tested one by one, it is significantly better in {better} and worse in {worse}."


def _due_to_distillation(
    system: LanguageSystem, comparisons: Sequence[LanguageComparison], titles: Mapping[str, str]
) -> str:
    """Whether the control without distillation is beaten: only then has distillation done anything."""
    budget = system.n_target
    # Without labels to fine-tune on, the control is the English model itself.
    controls = (_CONTROL, _ENGLISH_MODEL) if budget == 0 else (_CONTROL,)
    found = [c for name in controls for c in comparisons if (c.second, c.n_target) == (name, budget)]
    if not found:
        return (
            f"{_labels(budget).capitalize()}, nothing was trained without the distillation and otherwise alike, so no "
            "gain can be put down to it."
        )
    control = f"{titles[found[0].second]}, its control without it,"
    if _outcome(found[0]) == "better":
        return f"{_labels(budget).capitalize()}, distillation itself helped: {control} is beaten."
    return (
        f"{_labels(budget).capitalize()}, nothing here shows that distillation itself helped: {control} is not beaten."
    )


def _no_better(system: LanguageSystem, most_frequent: float) -> str:
    macro = system.macro_accuracy
    return (
        f"{_labels(system.n_target).capitalize()}, {system.title} is not shown to be better than always the most "
        f"frequent answer: it is right on {share_text(macro.value)} on average (95 % interval {range_text(macro)}), "
        f"that answer on {share_text(most_frequent)}."
    )


def _left_behind(
    system: LanguageSystem, english: LanguageSystem, source_language: str, names: Mapping[str, str]
) -> str | None:
    """The target languages that keep least of the English model's accuracy in English, on the same tasks."""
    at_home = {cell.task: cell.accuracy.value for cell in english.cells if cell.lang == source_language}
    kept = {}
    for lang in dict.fromkeys(cell.lang for cell in system.cells if cell.lang != source_language):
        here = {cell.task: cell.accuracy.value for cell in system.cells if cell.lang == lang}
        tasks = sorted(set(here) & set(at_home))
        if tasks and any(at_home[task] for task in tasks):
            kept[lang] = sum(here[task] for task in tasks) / sum(at_home[task] for task in tasks)
    if not kept:
        return None
    lowest = sorted(kept, key=lambda lang: kept[lang])[:_FURTHEST_BEHIND]
    listed = ", ".join(f"{names[lang]} ({share_text(kept[lang])})" for lang in lowest)
    mean = share_text(float(np.mean(list(kept.values()))))
    return (
        f"{_labels(system.n_target).capitalize()}, {system.title} keeps {mean} of the accuracy that {english.title} "
        f"has in {names[source_language]}, on average over {_count(len(kept))}; furthest behind: {listed}."
    )


def _took(ours: SystemCost, costs: Sequence[SystemCost], titles: Mapping[str, str]) -> str:
    others = [
        f"{share_text(abs(cost.saving))} {'less' if cost.saving >= 0 else 'more'} than {titles[cost.name]} "
        f"({hours_text(cost.device_hours)})"
        for cost in costs
        if cost.n_target == ours.n_target and cost.saving is not None
    ]
    return (
        f"{_labels(ours.n_target).capitalize()}, {titles[ours.name]} took {hours_text(ours.device_hours)} on a "
        f"device, {hours_text(ours.english_model_hours)} of it for the English model"
        + (f": {', '.join(others)}." if others else ".")
    )


def _labels(n_target: int) -> str:
    if n_target == 0:
        return "without target-language labels"
    return f"with {n_target:,} label{'' if n_target == 1 else 's'} for each task and target language"


def _count(languages: int) -> str:
    return f"{languages} language{'' if languages == 1 else 's'}"
