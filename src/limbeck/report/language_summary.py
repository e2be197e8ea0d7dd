"""The few figures on top of the report of a cross-lingual run."""

from __future__ import annotations

from limbeck.formatting import hours_text, points_text, range_text, saving_text, share_text
from limbeck.language_results import LanguageResults, LanguageSystem, beats_most_frequent
from limbeck.report.language_comparisons import find_comparison, labels_text
from limbeck.report.retention import (
    best_other,
    english_accuracy,
    english_model,
    focus_of,
    language_name,
    macro_retention,
    retention_in,
    system_title,
)
from limbeck.report.summary import KeyFigure

__all__ = ["language_key_figures"]


def language_key_figures(results: LanguageResults) -> list[KeyFigure]:
    """Return the figures that this run can give, for ML-IPD at its largest label budget."""
    focus = focus_of(results)
    figures = [
        _macro(results, focus) if focus else None,
        _english(results),
        _best_other(results, focus) if focus else None,
        _kept(results, focus) if focus else None,
        _cost(results, focus) if focus else None,
    ]
    return [figure for figure in figures if figure]


def _macro(results: LanguageResults, focus: LanguageSystem) -> KeyFigure:
    languages = len(results.languages)
    where = f"{languages} languages" if languages != 1 else "1 language"
    return KeyFigure(
        share_text(focus.macro_accuracy.value),
        f"macro accuracy of {focus.title}",
        f"{where}, {labels_text(focus.n_target)} for each task and language; "
        f"95 % interval {range_text(focus.macro_accuracy)}",
    )


def _english(results: LanguageResults) -> KeyFigure | None:
    model, accuracy = english_model(results), english_accuracy(results)
    if model is None or accuracy is None:
        return None
    source = language_name(results, results.source_language)
    return KeyFigure(share_text(accuracy), f"{model.title} on {source}", "what the languages are measured against")


def _best_other(results: LanguageResults, focus: LanguageSystem) -> KeyFigure | None:
    other = best_other(results, focus)
    if other is None:
        return None
    comparison = find_comparison(results, focus.name, other.name, focus.n_target)
    plain = focus.macro_accuracy.value - other.macro_accuracy.value
    change = comparison.macro.difference.value if comparison else plain
    detail = f"{system_title(results, other.name)}; {focus.title} has {points_text(change)}"
    if comparison:
        detail += f" (95 % interval {range_text(comparison.macro.difference, unit='points')})"
    return KeyFigure(share_text(other.macro_accuracy.value), "macro accuracy of the best other system", detail)


def _kept(results: LanguageResults, focus: LanguageSystem) -> KeyFigure | None:
    kept = macro_retention(results, focus)
    shares = [(retention_in(results, focus, lang), lang) for lang in results.languages]
    known = [(share, lang) for share, lang in shares if share is not None]
    if kept is None:
        return None
    constant = results.most_frequent
    if constant is not None and not beats_most_frequent(focus, constant):
        title = f"macro accuracy of always the most frequent answer; {focus.title} is not shown to be better"
        return KeyFigure(share_text(constant), title, f"it has {share_text(focus.macro_accuracy.value)}")
    least, lang = min(known)
    source = language_name(results, results.source_language)
    detail = f"least in {language_name(results, lang)}: {share_text(least)}"
    return KeyFigure(share_text(kept), f"of the accuracy on {source} kept", detail)


def _cost(results: LanguageResults, focus: LanguageSystem) -> KeyFigure | None:
    costs = {cost.name: cost for cost in results.costs if cost.n_target == focus.n_target}
    own, baseline = costs.get(focus.name), costs.get("ml_dft")
    if own is None:
        return None
    detail = f"the English model's {hours_text(own.english_model_hours)} included"
    if baseline and baseline.saving is not None:
        title = system_title(results, baseline.name)
        detail = f"{detail}; saving against {title}: {saving_text(baseline.saving)}"
    return KeyFigure(hours_text(own.device_hours), f"on a device for {focus.title}", detail)
