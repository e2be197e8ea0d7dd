"""How much of the English model's accuracy on English remains in each language.

The language of the instructions is called English here, as in the method; a run may have another one.
"""

from __future__ import annotations

from limbeck.language_results import Cell, LanguageResults, LanguageSystem

__all__ = [
    "ENGLISH_MODEL",
    "accuracy_in",
    "beside_english",
    "best_other",
    "budgets",
    "cells_in",
    "english_accuracy",
    "english_model",
    "find_system",
    "focus_of",
    "language_name",
    "macro_retention",
    "mrr_in",
    "retention_in",
    "system_title",
    "systems_at",
]

ENGLISH_MODEL = "english_model"
_FOCUS = "ml_ipd"


def budgets(results: LanguageResults) -> list[int]:
    """Return the label budgets of a run, smallest first."""
    return sorted({system.n_target for system in results.systems})


def systems_at(results: LanguageResults, n_target: int) -> list[LanguageSystem]:
    """Return the systems of one label budget, in the order of the record."""
    return [system for system in results.systems if system.n_target == n_target]


def find_system(results: LanguageResults, name: str, n_target: int) -> LanguageSystem | None:
    """Return one system at one label budget, if the run has it."""
    return next((system for system in systems_at(results, n_target) if system.name == name), None)


def english_model(results: LanguageResults) -> LanguageSystem | None:
    """Return the teacher after stage 1, if the run has it; it has seen no label of another language."""
    return next((system for system in results.systems if system.name == ENGLISH_MODEL), None)


def focus_of(results: LanguageResults, n_target: int | None = None) -> LanguageSystem | None:
    """Return the system that the report is about: ML-IPD; without it the first that is no teacher.

    Args:
        results: the record of a run.
        n_target: the label budget; None for the largest at which the system was trained.
    """
    name = next((s.name for s in results.systems if s.name == _FOCUS), None)
    name = name or next((s.name for s in results.systems if s.name != ENGLISH_MODEL), ENGLISH_MODEL)
    found = [s for s in results.systems if s.name == name and n_target in (None, s.n_target)]
    return max(found, key=lambda system: system.n_target, default=None)


def system_title(results: LanguageResults, name: str) -> str:
    """Return how a system is called, also where the run lacks it."""
    return next((system.title for system in results.systems if system.name == name), name)


def language_name(results: LanguageResults, lang: str) -> str:
    """Return the name of a language, or its code where the record has none."""
    return results.language_names.get(lang) or lang


def cells_in(system: LanguageSystem, lang: str) -> list[Cell]:
    """Return the tasks of a system in one language."""
    return [cell for cell in system.cells if cell.lang == lang]


def accuracy_in(system: LanguageSystem, lang: str) -> float | None:
    """Return accuracy in one language, each task one vote; None without any task."""
    return _mean([cell.accuracy.value for cell in cells_in(system, lang)])


def mrr_in(system: LanguageSystem, lang: str) -> float | None:
    """Return mean reciprocal rank in one language, each task one vote; None without any task."""
    return _mean([cell.mrr.value for cell in cells_in(system, lang)])


def english_accuracy(results: LanguageResults) -> float | None:
    """Return the English model's accuracy on English, each task one vote; None without that model."""
    model = english_model(results)
    return accuracy_in(model, results.source_language) if model else None


def beside_english(results: LanguageResults, system: LanguageSystem, lang: str) -> tuple[float, float] | None:
    """Return accuracy in a language, and the English model's on English, over the tasks that both have.

    A language without the hard task would seem to keep more than it does if English were averaged over all
    of its tasks. None where they share no task.
    """
    model = english_model(results)
    english = {c.task: c.accuracy.value for c in cells_in(model, results.source_language)} if model else {}
    shared = [cell for cell in cells_in(system, lang) if cell.task in english]
    own = _mean([cell.accuracy.value for cell in shared])
    reference = _mean([english[cell.task] for cell in shared])
    return (own, reference) if own is not None and reference is not None else None


def retention_in(results: LanguageResults, system: LanguageSystem, lang: str) -> float | None:
    """Return accuracy in a language as a share of the English model's on English (see `beside_english`)."""
    pair = beside_english(results, system, lang)
    return pair[0] / pair[1] if pair and pair[1] > 0 else None


def macro_retention(results: LanguageResults, system: LanguageSystem) -> float | None:
    """Return the mean of `retention_in` over the target languages that have one."""
    kept = [retention_in(results, system, lang) for lang in results.languages]
    return _mean([share for share in kept if share is not None])


def best_other(results: LanguageResults, system: LanguageSystem, lang: str | None = None) -> LanguageSystem | None:
    """Return the best of the other systems with the same budget; the English model competes at every budget.

    Args:
        results: the record of a run.
        system: the system that the others are measured against.
        lang: one language, or None for the macro average over target languages.
    """
    scored = [
        (other.macro_accuracy.value if lang is None else accuracy_in(other, lang), other)
        for other in results.systems
        if other.name != system.name and (other.n_target == system.n_target or other.name == ENGLISH_MODEL)
    ]
    known = [(value, other) for value, other in scored if value is not None]
    return max(known, key=lambda pair: pair[0], default=(None, None))[1]


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
