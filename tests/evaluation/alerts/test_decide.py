"""Which articles are raised: the worked example, and one case for each rule."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from limbeck.data.articles.article import Article
from limbeck.evaluation.alerts.decide import AlertMaker, decide
from limbeck.evaluation.alerts.rules import AlertRules
from limbeck.results.alerts import NO_REASON, Alert

RULES = AlertRules()
MAKER = AlertMaker(["safe", "caution", "risk"], [0, 0.5, 1], True, "abc", None)
HIGH = (0.1, 0.25, 0.65)
MEDIUM = (0.1, 0.7, 0.2)
SAFE = (0.9, 0.05, 0.05)
UNIFORM = (1 / 3, 1 / 3, 1 / 3)
UNSURE = (0.3, 0.15, 0.55)

TEXTS = [
    "The river has burst its banks and people wait on roofs for boats",
    "A bridge fell this morning, hospitals ask everyone with a car to stay away",
    "Shelters in the old school are full while the wind turns to the north",
    "Market day went on as ever and the band played until the evening came",
]


def article(n: int, **given: str) -> Article:
    return replace(Article(f"id{n}", TEXTS[n], crisis="flood", date="2018-11-12"), **given)


def decided(pairs: list[tuple[Article, tuple[float, ...]]], rules: AlertRules = RULES) -> list[Alert]:
    probs = np.array([p for _, p in pairs])
    return decide([a for a, _ in pairs], probs, MAKER, rules, time="2026-01-01T00:00:00+00:00")


def statuses(pairs: list[tuple[Article, tuple[float, ...]]], rules: AlertRules = RULES) -> list[str]:
    return [alert.status for alert in decided(pairs, rules)]


def test_the_worked_example_is_raised_once_a_second_article_of_the_crisis_arrives() -> None:
    (alone,) = decided([(article(0), HIGH)])
    assert (alone.severity, alone.band, alone.confidence) == (pytest.approx(0.775), "high", 0.65)
    assert alone.entropy == pytest.approx(0.780, abs=5e-4)
    assert (alone.label, alone.week, alone.status) == ("risk", "2018-W46", "unconfirmed")
    assert alone.probabilities == {"risk": 0.65, "caution": 0.25, "safe": 0.1}
    first, second = decided([(article(0), HIGH), (article(1), HIGH)])
    assert (first.status, first.confirmed_by) == ("raised", "id1")
    assert (second.status, second.confirmed_by) == ("raised", "id0")


def test_uniform_probabilities_need_review() -> None:
    (alert,) = decided([(article(0), UNIFORM)])
    assert (alert.severity, alert.entropy) == (pytest.approx(0.5), pytest.approx(1))
    assert (alert.status, alert.band) == ("needs_review", "medium")


def test_what_needs_review_is_never_raised_and_confirms_nothing() -> None:
    rules = AlertRules(confidence=0.3)
    unsure = (0.29, 0.31, 0.4)
    assert statuses([(article(0), unsure), (article(1), HIGH)], rules) == ["needs_review", "unconfirmed"]


def test_a_harmless_label_and_an_unsure_one_are_not_raised() -> None:
    assert statuses([(article(0), SAFE), (article(1), UNSURE)]) == ["none", "none"]


def test_a_lower_confidence_may_be_enough() -> None:
    assert statuses([(article(1), UNSURE)], AlertRules(confidence=0.55)) == ["raised"]


def test_the_medium_band_needs_no_second_article() -> None:
    assert statuses([(article(0), MEDIUM)]) == ["raised"]


def test_a_medium_alert_confirms_a_high_one() -> None:
    assert statuses([(article(0), HIGH), (article(1), MEDIUM)]) == ["raised", "raised"]


@pytest.mark.parametrize("other", [{"crisis": "fire"}, {"date": "2018-11-19"}, {"date": "2017-11-12"}])
def test_another_crisis_or_week_confirms_nothing(other: dict[str, str]) -> None:
    assert statuses([(article(0), HIGH), (article(1, **other), HIGH)]) == ["unconfirmed", "unconfirmed"]


def test_a_harmless_article_confirms_nothing() -> None:
    assert statuses([(article(0), HIGH), (article(3), SAFE), (article(2), UNIFORM)])[0] == "unconfirmed"


def test_a_near_duplicate_confirms_nothing_and_raises_nothing() -> None:
    copy = replace(article(0), id="copy", text=TEXTS[0].upper() + "!", title="")
    first, second = decided([(article(0), HIGH), (copy, HIGH)])
    assert (first.status, second.status, second.duplicate_of) == ("unconfirmed", "duplicate", "id0")
    assert statuses([(article(0), HIGH), (copy, HIGH), (article(1), HIGH)]) == ["raised", "duplicate", "raised"]


def test_a_duplicate_of_an_article_that_does_not_alarm_may_be_raised_itself() -> None:
    copy = replace(article(0), id="copy")
    assert statuses([(article(0), SAFE), (copy, MEDIUM)]) == ["none", "raised"]


def test_near_duplicates_raise_one_alert_even_in_two_crises() -> None:
    copy = replace(article(0), id="copy", crisis="fire", date="2018-12-24")
    assert statuses([(article(0), MEDIUM), (copy, MEDIUM)]) == ["raised", "duplicate"]


def test_three_articles_may_be_asked_for() -> None:
    rules = AlertRules(articles_for_high=3)
    pairs = [(article(n), HIGH) for n in range(3)]
    assert statuses(pairs[:2], rules) == ["unconfirmed"] * 2
    assert statuses(pairs, rules) == ["raised"] * 3
    assert statuses(pairs[:1], AlertRules(articles_for_high=1)) == ["raised"]


def test_without_crises_and_dates_all_articles_are_together() -> None:
    pairs = [(Article(f"{n}", TEXTS[n]), HIGH) for n in range(2)]
    assert statuses(pairs) == ["raised", "raised"]


def test_only_a_justification_that_passes_is_shown() -> None:
    good, bad, none = decided(
        [
            (article(0, reason="People wait on roofs."), MEDIUM),
            (article(1, reason="9 people died."), MEDIUM),
            (article(2), MEDIUM),
        ]
    )
    assert (good.reason, good.reason_fault) == ("People wait on roofs.", None)
    assert (bad.reason, bad.reason_fault) == (NO_REASON, "the number 9 is not in the article")
    assert (none.reason, none.reason_fault) == (NO_REASON, None)
    assert NO_REASON == "no verified justification"


def test_numbers_of_the_title_count() -> None:
    (alert,) = decided([(article(0, title="9 dead", reason="9 people died."), MEDIUM)])
    assert alert.reason_fault is None
