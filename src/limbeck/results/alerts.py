"""Alerts and their threshold sweep: what `limbeck alerts predict` and `limbeck alerts evaluate` write.

Every number carries its unit in its name. Shares are between 0 and 1.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from limbeck.results.figures import Interval

__all__ = ["NO_REASON", "Alert", "AlertRun", "AlertSweep", "Band", "Status", "SweepPoint"]

NO_REASON = "no verified justification"
"""Replaces the justification of an article that has none, or one that failed its checks."""

Band = Literal["low", "medium", "high"]
Status = Literal["raised", "unconfirmed", "needs_review", "duplicate", "none"]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Alert(_Record):
    """A student's prediction for one article, and the decision on it."""

    article_id: str
    status: Status
    """``raised``: an alert. ``unconfirmed``: needs another alarming article of the same crisis and week.
    ``needs_review``: the student is unsure. ``duplicate``: a near-duplicate of the article that represents the story.
    ``none``: a harmless label, or not confident enough."""
    label: str
    confidence: float
    """Calibrated probability of the label."""
    calibrated: bool
    """Whether the student's folder has a temperature; if not, the confidence is the raw softmax."""
    severity: float
    """Expected severity: the sum of probability times severity over labels."""
    band: Band
    entropy: float
    """Entropy of the probabilities over its maximum: 0 certain, 1 uniform."""
    probabilities: dict[str, float]
    """Calibrated, most likely first."""
    title: str | None
    text: str
    lang: str | None
    crisis: str | None
    date: str | None
    """As in the article."""
    week: str | None
    """ISO week of the date, such as ``2018-W46``."""
    confirmed_by: str | None
    """The other article that confirms a high alert."""
    duplicate_of: str | None
    reason: str
    """The justification, if it passed its checks, else `NO_REASON`."""
    reason_fault: str | None
    """What is wrong with the given justification; None if it passed, or there was none."""
    model_hash: str
    prompt_hash: str | None
    """None for students without a prompt."""
    time: str
    """When the alert was made, ISO 8601, UTC."""


class AlertRun(_Record):
    """Alerts of one call and their settings: everything that the page shows."""

    name: str
    model: str
    limbeck_version: str
    created: str
    alerts: list[Alert]
    notes: list[str]
    """Plain sentences: what was missing, and the consequences."""


class SweepPoint(_Record):
    """The threshold on the probability of risk for one sensitivity."""

    sensitivity: float
    """The requested sensitivity."""
    reached_sensitivity: float
    """The actual sensitivity, at least as high, as rows are whole."""
    threshold: float
    """Articles with at least this probability of risk are alarms."""
    false_alarms_per_1000: Interval
    """Alarms on articles that are not risks, per 1,000 articles of any kind; the interval resamples rows and
    recomputes the threshold each time."""
    alarms_per_1000: float


class AlertSweep(_Record):
    """False alarms at each sensitivity for risk."""

    format: Literal["limbeck-alert-sweep-1"] = "limbeck-alert-sweep-1"
    model: str
    data: str
    limbeck_version: str
    created: str
    risk_labels: list[str]
    """The labels of the highest severity."""
    rows: int
    risk_rows: int
    calibrated: bool
    points: list[SweepPoint]
    curve_false_alarms_per_1000: list[float]
    """The whole curve, by falling threshold, parallel to `curve_sensitivity`."""
    curve_sensitivity: list[float]
    notes: list[str]
