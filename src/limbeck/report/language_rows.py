"""Languages one by one: a row for each, who is left behind, and everything about a single one."""

from __future__ import annotations

from dataclasses import dataclass

from limbeck.formatting import ABSENT, bare_range, count_text, decimal_text, points_text, share_text
from limbeck.language_results import Cell, LanguageComparison, LanguageResults, LanguageSystem
from limbeck.report.language_comparisons import (
    ComparisonRow,
    TestedWords,
    absent_words,
    control_of,
    difference_in,
    difference_words,
    find_comparison,
    labels_text,
    language_comparison_rows,
)
from limbeck.report.looks import look_of
from limbeck.report.retention import (
    accuracy_in,
    beside_english,
    best_other,
    cells_in,
    language_name,
    mrr_in,
    retention_in,
    system_title,
)

__all__ = [
    "BASELINE",
    "Figure",
    "LanguagePart",
    "LanguageRow",
    "LeftBehind",
    "language_parts",
    "language_rows",
    "left_behind",
    "left_behind_order",
]

BASELINE = "ml_dft"
"""The system whose difference the tables of languages show."""


@dataclass(frozen=True)
class Figure:
    """A figure with its 95 % interval; no interval for a mean over several tasks."""

    text: str
    range: str = ""


@dataclass(frozen=True)
class LanguageRow:
    """One system in one language."""

    name: str
    code: str
    resource: str
    labels: str
    title: str
    mark: str
    records: list[str]
    """Of each task, in the order of ``results.tasks``."""
    by_task: list[tuple[Figure, Figure]]
    """Accuracy and MRR of each task; empty where the run has one task."""
    accuracy: Figure
    mrr: Figure
    kept: str
    words: TestedWords
    """The difference to ML-DFT."""


@dataclass(frozen=True)
class LeftBehind:
    """How far one language lies below English."""

    name: str
    resource: str
    kept: str
    kept_share: float | None
    accuracy: str
    gap: str
    """To the English model on English, in points."""
    other_title: str
    other_mark: str | None
    other_accuracy: str
    other_gap: str
    """What the best other system has more, in points."""
    distillation: str
    """``helped``, ``hurt``, ``no clear effect``; a dash where it was not compared."""
    words: TestedWords


@dataclass(frozen=True)
class LanguagePart:
    """Everything about one language."""

    name: str
    code: str
    resource: str
    records: str
    rows: list[LanguageRow]
    comparisons: list[ComparisonRow]


def language_rows(results: LanguageResults, system: LanguageSystem) -> list[LanguageRow]:
    """List the target languages of one system in the order of the run, one row each."""
    return [_row(results, system, lang) for lang in results.languages if cells_in(system, lang)]


def left_behind_order(results: LanguageResults, system: LanguageSystem) -> list[str]:
    """Return the target languages that keep the least of English first; those without a figure last."""
    present = [lang for lang in results.languages if cells_in(system, lang)]
    kept = {lang: retention_in(results, system, lang) for lang in present}
    known = [lang for lang in present if kept[lang] is not None]
    return [*sorted(known, key=lambda lang: kept[lang] or 0.0), *(lang for lang in present if lang not in known)]


def left_behind(results: LanguageResults, system: LanguageSystem) -> list[LeftBehind]:
    """List the target languages by what they keep of English, the least first."""
    control = control_of(results, system)
    return [_left_behind(results, system, lang, control) for lang in left_behind_order(results, system)]


def language_parts(results: LanguageResults) -> list[LanguagePart]:
    """Collect everything about each target language, then about the source language."""
    return [_part(results, lang) for lang in [*results.languages, results.source_language]]


def _part(results: LanguageResults, lang: str) -> LanguagePart:
    rows = [_row(results, system, lang) for system in results.systems if cells_in(system, lang)]
    cells = next((cells_in(system, lang) for system in results.systems if cells_in(system, lang)), [])
    records = [f"{cell.task}: {count_text(cell.records)} records, {cell.candidates} candidates" for cell in cells]
    return LanguagePart(
        name=language_name(results, lang),
        code=lang,
        resource=cells[0].resource if cells else "",
        records="; ".join(records),
        rows=rows,
        comparisons=language_comparison_rows(results, lang),
    )


def _row(results: LanguageResults, system: LanguageSystem, lang: str) -> LanguageRow:
    cells = {cell.task: cell for cell in cells_in(system, lang)}
    only = next(iter(cells.values())) if len(cells) == 1 else None
    several = [cells.get(task) for task in results.tasks] if len(results.tasks) > 1 else []
    return LanguageRow(
        name=language_name(results, lang),
        code=lang,
        resource=next(iter(cells.values())).resource,
        labels=labels_text(system.n_target),
        title=system.title,
        mark=look_of(system.name).mark,
        records=[count_text(cells[task].records) if task in cells else ABSENT for task in results.tasks],
        by_task=[(_accuracy(cell), _mrr(cell)) for cell in several],
        accuracy=_accuracy(only) if only else Figure(share_text(accuracy_in(system, lang))),
        mrr=_mrr(only) if only else Figure(decimal_text(mrr_in(system, lang))),
        kept=share_text(retention_in(results, system, lang)),
        words=_against_baseline(results, system, lang),
    )


def _accuracy(cell: Cell | None) -> Figure:
    return Figure(share_text(cell.accuracy.value), bare_range(cell.accuracy)) if cell else Figure(ABSENT)


def _mrr(cell: Cell | None) -> Figure:
    return Figure(decimal_text(cell.mrr.value), bare_range(cell.mrr, unit="nats")) if cell else Figure(ABSENT)


def _against_baseline(results: LanguageResults, system: LanguageSystem, lang: str) -> TestedWords:
    """Give the tested difference to ML-DFT; for a system that was not tested, the plain one."""
    tested = difference_in(find_comparison(results, system.name, BASELINE, system.n_target), lang)
    if tested:
        return difference_words(tested)
    baseline = next((s for s in results.systems if (s.name, s.n_target) == (BASELINE, system.n_target)), None)
    ours, theirs = accuracy_in(system, lang), accuracy_in(baseline, lang) if baseline else None
    if baseline is None or baseline is system or ours is None or theirs is None:
        return absent_words()
    return absent_words(points_text(ours - theirs))


def _left_behind(
    results: LanguageResults, system: LanguageSystem, lang: str, control: LanguageComparison | None
) -> LeftBehind:
    cells = cells_in(system, lang)
    accuracy = accuracy_in(system, lang)
    beside = beside_english(results, system, lang)
    other = best_other(results, system, lang)
    theirs = accuracy_in(other, lang) if other else None
    effect = difference_in(control, lang)
    return LeftBehind(
        name=language_name(results, lang),
        resource=cells[0].resource,
        kept=share_text(retention_in(results, system, lang)),
        kept_share=retention_in(results, system, lang),
        accuracy=share_text(accuracy),
        gap=points_text(beside[0] - beside[1] if beside else None),
        other_title=system_title(results, other.name) if other else ABSENT,
        other_mark=look_of(other.name).mark if other else None,
        other_accuracy=share_text(theirs),
        other_gap=_change(accuracy, theirs),
        distillation=_effect_word(effect.effect.difference.low, effect.effect.difference.high) if effect else ABSENT,
        words=difference_words(effect),
    )


def _change(before: float | None, after: float | None) -> str:
    return points_text(after - before if before is not None and after is not None else None)


def _effect_word(low: float, high: float) -> str:
    return "helped" if low > 0 else "hurt" if high < 0 else "no clear effect"
