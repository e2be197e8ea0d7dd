"""Of which articles should somebody be told, and of which only once?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limbeck.data.articles.article import Article
from limbeck.data.articles.near_duplicates import stories
from limbeck.evaluation.alerts.justification import fault_of
from limbeck.evaluation.alerts.rules import AlertRules
from limbeck.evaluation.alerts.severity import band_of, normalised_entropy, severity
from limbeck.results.alerts import NO_REASON, Alert, Status

__all__ = ["AlertMaker", "decide"]

_DIGITS = 6
_Told = dict[tuple[str | None, str | None], list[int]]
"""The stories of a crisis and a week, each by the number of its first article."""


@dataclass(frozen=True)
class AlertMaker:
    """The student that alerts come from."""

    labels: Sequence[str]
    severities: Sequence[float]
    """Of the labels; a label of severity 0 is never raised."""
    calibrated: bool
    model_hash: str
    prompt_hash: str | None = None


def decide(
    articles: Sequence[Article], probs_NC: NDArray[np.float64], maker: AlertMaker, rules: AlertRules, *, time: str
) -> list[Alert]:
    """Return an alert record for every article, in their order.

    An article is *alarming* if its label has a severity above 0, its probability is at least `rules.confidence`,
    and the entropy is not above `rules.review_entropy` (otherwise it needs review). Alarming articles that tell one
    story in nearly the same words (`stories`) count once: the first stands for all. It is raised, and in the high band
    only if `rules.articles_for_high` alarming stories are of its crisis and week; until the articles are there it
    is unconfirmed. What no row tells apart counts together: without crises all articles are of one, without dates
    of one week.

    Args:
        articles: in the order in which they came.
        probs_NC: calibrated probabilities of the student's labels.
        maker: the student.
        rules: thresholds.
        time: when this is, ISO 8601.
    """
    severity_N = severity(probs_NC, maker.severities)
    entropy_N = normalised_entropy(probs_NC)
    label_N, confidence_N = probs_NC.argmax(-1), probs_NC.max(-1)
    unsure_N = entropy_N > rules.review_entropy
    harmful_N = np.asarray(maker.severities)[label_N] > 0
    alarming = np.flatnonzero(harmful_N & (confidence_N >= rules.confidence) & ~unsure_N).tolist()
    first_of = stories([articles[i].whole_text for i in alarming], rules.near_duplicate)
    stands_for = {i: alarming[first] for i, first in zip(alarming, first_of, strict=True)}
    told: _Told = defaultdict(list)
    for i in alarming:
        if stands_for[i] == i:
            told[articles[i].crisis, articles[i].week].append(i)
    alerts = []
    for i, article in enumerate(articles):
        band = band_of(float(severity_N[i]), rules.bands)
        status: Status = "needs_review" if unsure_N[i] else "none"
        confirmed_by: str | None = None
        if i in stands_for and stands_for[i] != i:
            status = "duplicate"
        elif i in stands_for:
            others = [articles[other].id for other in told[article.crisis, article.week] if other != i]
            confirmed = 1 + len(others) >= rules.articles_for_high
            status = "raised" if confirmed or band != "high" else "unconfirmed"
            if confirmed and band == "high" and rules.articles_for_high > 1:
                confirmed_by = others[0]
        order = np.argsort(-probs_NC[i], kind="stable")
        fault = None if article.reason is None else fault_of(article.reason, article.whole_text)
        alerts.append(
            Alert(
                article_id=article.id,
                status=status,
                label=maker.labels[label_N[i]],
                confidence=round(float(confidence_N[i]), _DIGITS),
                calibrated=maker.calibrated,
                severity=round(float(severity_N[i]), _DIGITS),
                band=band,
                entropy=round(float(entropy_N[i]), _DIGITS),
                probabilities={maker.labels[c]: round(float(probs_NC[i, c]), _DIGITS) for c in order},
                title=article.title,
                text=article.text,
                lang=article.lang,
                crisis=article.crisis,
                date=article.date,
                week=article.week,
                confirmed_by=confirmed_by,
                duplicate_of=articles[stands_for[i]].id if status == "duplicate" else None,
                reason=article.reason if article.reason is not None and fault is None else NO_REASON,
                reason_fault=fault,
                model_hash=maker.model_hash,
                prompt_hash=maker.prompt_hash,
                time=time,
            )
        )
    return alerts
