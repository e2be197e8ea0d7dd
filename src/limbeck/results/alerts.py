"""Alerts and their threshold sweep: what `limbeck alerts predict` and `limbeck alerts evaluate` write.

Every number carries its unit in its name. Shares are between 0 and 1.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from limbeck.results.figures import Interval

__all__ = ["NO_REASON", "Alert", "AlertRun", "AlertSweep", "Band", "Status", "SweepPoint"]

NO_REASON = "no verified justification"
"""Stands where an article has no justification, or one that did not pass its checks."""

Band = Literal["low", "medium", "high"]
Status = Literal["raised", "unconfirmed", "needs_review", "duplicate", "none"]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Alert(_Record):
    """What a student says about one article, and whether somebody should be told."""

    article_id: str
    status: Status
    """``raised``: tell somebody. ``unconfirmed``: it would be raised if one more article of its crisis and week said
    so. ``needs_review``: the student does not know. ``duplicate``: a near-duplicate of an article that stands for the
    story. ``none``: a harmless label, or not sure enough."""
    label: str
    confidence: float
    """Calibrated probability of the label."""
    calibrated: bool
    """Whether the student's folder has a temperature; if not, the confidence is the bare softmax."""
    severity: float
    """Sum of the probabilities, each times the severity of its label."""
    band: Band
    entropy: float
    """Of the probabilities, over its largest possible value: 0 sure, 1 uniform."""
    probabilities: dict[str, float]
    """Calibrated, likeliest first."""
    title: str | None
    text: str
    lang: str | None
    crisis: str | None
    date: str | None
    """As the article gives it."""
    week: str | None
    """ISO week of the date, such as ``2018-W46``."""
    confirmed_by: str | None
    """The other article that confirms a high alert."""
    duplicate_of: str | None
    reason: str
    """The justification, if it passed its checks, else `NO_REASON`."""
    reason_fault: str | None
    """What is wrong with the justification that was given; None where it passed, or there was none."""
    model_hash: str
    prompt_hash: str | None
    """None for students that read no prompt."""
    time: str
    """When the alert was made, ISO 8601, UTC."""


class AlertRun(_Record):
    """Alerts of one call with what they were made by: all that the page shows."""

    name: str
    model: str
    limbeck_version: str
    created: str
    alerts: list[Alert]
    notes: list[str]
    """Plain sentences: what was not there, and what follows."""


class SweepPoint(_Record):
    """Where the threshold on the probability of risk has to be for one sensitivity."""

    sensitivity: float
    """What was asked for."""
    reached_sensitivity: float
    """At least as much, since rows are whole."""
    threshold: float
    """Articles with at least this probability of risk are alarms."""
    false_alarms_per_1000: Interval
    """Alarms on articles that are no risk, for 1,000 articles of any kind; the interval resamples rows and finds the
    threshold anew each time."""
    alarms_per_1000: float


class AlertSweep(_Record):
    """What a sensitivity for risk costs in false alarms."""

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
    """The whole curve, by falling threshold, beside `curve_sensitivity`."""
    curve_sensitivity: list[float]
    notes: list[str]
