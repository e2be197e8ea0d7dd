"""Decide which articles raise an alert; near-duplicates raise one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from limbeck.data.articles.article import Article
from limbeck.data.articles.near_duplicates import stories
from limbeck.evaluation.alerts.justification import fault_of
from limbeck.evaluation.alerts.rules import AlertRules
from limbeck.evaluation.alerts.severity import band_of, normalised_entropy, severity
from limbeck.results.alerts import NO_REASON, Alert, Band, Status

__all__ = ["AlertMaker", "decide"]

_DIGITS = 6


class _Told(NamedTuple):
    """The decision on an article."""

    status: Status
    confirmed_by: str | None = None
    duplicate_of: str | None = None


@dataclass(frozen=True)
class AlertMaker:
    """The student that raises the alerts."""

    labels: Sequence[str]
    severities: Sequence[float]
    """Severity of each label; a label of severity 0 never raises an alert."""
    calibrated: bool
    model_hash: str
    prompt_hash: str | None = None


def decide(
    articles: Sequence[Article], probs_NC: NDArray[np.float64], maker: AlertMaker, rules: AlertRules, *, time: str
) -> list[Alert]:
    """Return an alert record for every article, in order.

    An article is *alarming* if its label has a severity above 0, its probability is at least `rules.confidence`,
    and the entropy is not above `rules.review_entropy` (otherwise it needs review). Alarming articles that tell one
    story in nearly the same words (`stories`) count once: the first represents all. It is raised, and in the high band
    only if `rules.articles_for_high` alarming stories share its crisis and week; until then it is unconfirmed. Without
    crises all articles count as one crisis, without dates as one week.

    Args:
        articles: in the order of arrival.
        probs_NC: calibrated probabilities of the student's labels.
        maker: the student.
        rules: thresholds.
        time: of this call, ISO 8601.
    """
    severity_N = severity(probs_NC, maker.severities).tolist()
    entropy_N = normalised_entropy(probs_NC)
    bands = [band_of(value, rules.bands) for value in severity_N]
    unsure_N = entropy_N > rules.review_entropy
    harmful_N = np.asarray(maker.severities)[probs_NC.argmax(-1)] > 0
    alarming = np.flatnonzero(harmful_N & (probs_NC.max(-1) >= rules.confidence) & ~unsure_N).tolist()
    told = _told(articles, alarming, bands, rules)
    alerts = []
    for i, article in enumerate(articles):
        what = told.get(i, _Told("needs_review" if unsure_N[i] else "none"))
        order = np.argsort(-probs_NC[i], kind="stable").tolist()
        probabilities = {maker.labels[c]: round(float(probs_NC[i, c]), _DIGITS) for c in order}
        fault = None if article.reason is None else fault_of(article.reason, article.whole_text)
        alerts.append(Alert(
            article_id=article.id,
            status=what.status,
            label=maker.labels[order[0]],
            confidence=probabilities[maker.labels[order[0]]],
            calibrated=maker.calibrated,
            severity=round(severity_N[i], _DIGITS),
            band=bands[i],
            entropy=round(float(entropy_N[i]), _DIGITS),
            probabilities=probabilities,
            **{name: getattr(article, name) for name in ("title", "text", "lang", "crisis", "date", "week")},
            confirmed_by=what.confirmed_by,
            duplicate_of=what.duplicate_of,
            reason=article.reason if article.reason is not None and fault is None else NO_REASON,
            reason_fault=fault,
            model_hash=maker.model_hash,
            prompt_hash=maker.prompt_hash,
            time=time,
        ))  # fmt: skip
    return alerts


def _told(
    articles: Sequence[Article], alarming: Sequence[int], bands: Sequence[Band], rules: AlertRules
) -> dict[int, _Told]:
    """Return the decision on each alarming article, by index."""
    first_of = stories([articles[i].whole_text for i in alarming], rules.near_duplicate)
    stands_for = {i: alarming[first] for i, first in zip(alarming, first_of, strict=True)}
    together: dict[tuple[str | None, str | None], list[int]] = defaultdict(list)
    for i in alarming:
        if stands_for[i] == i:
            together[articles[i].crisis, articles[i].week].append(i)
    told = {}
    for i, first in stands_for.items():
        if first != i:
            told[i] = _Told("duplicate", duplicate_of=articles[first].id)
            continue
        others = [other for other in together[articles[i].crisis, articles[i].week] if other != i]
        confirmed = 1 + len(others) >= rules.articles_for_high
        needs_other = bands[i] == "high" and rules.articles_for_high > 1
        told[i] = _Told(
            "raised" if confirmed or bands[i] != "high" else "unconfirmed",
            confirmed_by=articles[others[0]].id if confirmed and needs_other else None,
        )
    return told
