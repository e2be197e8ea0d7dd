"""Retention: accuracy in a language over the English model's on English, on the tasks that both have."""

from __future__ import annotations

import pytest

from limbeck.language_results import LanguageResults, LanguageSystem
from limbeck.report.retention import (
    accuracy_in,
    beside_english,
    best_other,
    english_accuracy,
    english_model,
    find_system,
    focus_of,
    language_name,
    macro_retention,
    mrr_in,
    retention_in,
    system_title,
)


def focus(results: LanguageResults, n_target: int) -> LanguageSystem:
    system = find_system(results, "ml_ipd", n_target)
    assert system
    return system


def without_task(system: LanguageSystem, lang: str, task: str) -> LanguageSystem:
    cells = [cell for cell in system.cells if (cell.lang, cell.task) != (lang, task)]
    return system.model_copy(update={"cells": cells})


def test_a_language_has_one_vote_per_task(language_results: LanguageResults) -> None:
    system = focus(language_results, 0)
    # 0.803 with +0.02 in one task and -0.03 in the other.
    assert accuracy_in(system, "de") == pytest.approx(0.798)
    assert mrr_in(system, "de") == pytest.approx(0.899)
    assert accuracy_in(system, "xx") is None


def test_english_is_that_of_the_english_model(language_results: LanguageResults) -> None:
    assert english_accuracy(language_results) == pytest.approx(0.842 - 0.031 * 0.3 - 0.005, abs=1e-4)
    assert retention_in(language_results, focus(language_results, 0), "de") == pytest.approx(0.798 / 0.8277, abs=1e-4)
    model = english_model(language_results)
    assert model
    assert retention_in(language_results, model, "en") == pytest.approx(1)


def test_only_tasks_that_both_have_are_compared(language_results: LanguageResults) -> None:
    system = without_task(focus(language_results, 0), "de", "entailment")
    pair = beside_english(language_results, system, "de")
    assert pair == pytest.approx((0.823, 0.8527), abs=1e-4)
    model = english_model(language_results)
    assert model
    others = [s for s in language_results.systems if s is not model]
    record = language_results.model_copy(update={"systems": [without_task(model, "en", "topic"), *others]})
    assert beside_english(record, system, "de") is None
    assert retention_in(record, system, "de") is None


def test_the_macro_leaves_out_english(language_results: LanguageResults) -> None:
    system = focus(language_results, 128)
    kept = [retention_in(language_results, system, lang) for lang in language_results.languages]
    assert macro_retention(language_results, system) == pytest.approx(sum(share or 0 for share in kept) / 12)


def test_without_the_english_model_nothing_is_kept_or_lost(bare_language_results: LanguageResults) -> None:
    system = bare_language_results.systems[0]
    assert english_accuracy(bare_language_results) is None
    assert macro_retention(bare_language_results, system) is None


def test_an_english_model_that_knows_nothing(language_results: LanguageResults) -> None:
    model = english_model(language_results)
    assert model
    nothing = [
        cell.model_copy(update={"accuracy": cell.accuracy.model_copy(update={"value": 0.0})}) for cell in model.cells
    ]
    systems = [model.model_copy(update={"cells": nothing}), *language_results.systems[1:]]
    record = language_results.model_copy(update={"systems": systems})
    assert retention_in(record, systems[1], "de") is None


def test_the_focus_is_ml_ipd_at_its_largest_budget(
    language_results: LanguageResults, bare_language_results: LanguageResults
) -> None:
    found = focus_of(language_results)
    assert found
    assert (found.name, found.n_target) == ("ml_ipd", 128)
    assert focus_of(language_results, 16) is focus(language_results, 16)
    assert focus_of(language_results, 17) is None
    assert focus_of(bare_language_results.model_copy(update={"systems": []})) is None
    others = [s for s in language_results.systems if s.name in ("english_model", "rl_ia")]
    instead = focus_of(language_results.model_copy(update={"systems": others}))
    assert instead
    assert instead.name == "rl_ia"


def test_the_best_other_has_the_same_budget_or_is_the_english_model(language_results: LanguageResults) -> None:
    other = best_other(language_results, focus(language_results, 16))
    assert other
    assert (other.name, other.n_target) == ("transfer", 16)
    model, rest = language_results.systems[0], language_results.systems[1:]
    strong = model.model_copy(update={"macro_accuracy": model.macro_accuracy.model_copy(update={"value": 0.99})})
    record = language_results.model_copy(update={"systems": [strong, *rest]})
    assert best_other(record, focus(record, 16)) is strong
    by_language = best_other(record, focus(record, 16), "sw")
    assert by_language
    assert by_language.name == "transfer"
    assert best_other(record.model_copy(update={"systems": [strong]}), strong) is None


def test_names_fall_back_to_codes(bare_language_results: LanguageResults) -> None:
    assert language_name(bare_language_results, "de") == "de"
    assert system_title(bare_language_results, "ml_dft") == "ml_dft"
