"""The page of alerts: one HTML file, most severe first, with filters that need neither script nor network."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from limbeck.atomic import guard_storage, write_text
from limbeck.formatting import count_text, decimal_text, share_text
from limbeck.report.block import KeyFigure
from limbeck.report.places import without_places
from limbeck.report.templates import html_environment
from limbeck.results.alerts import NO_REASON, Alert, AlertRun, Status

__all__ = ["render_alert_page", "write_alert_page"]

_STATUS: dict[Status, tuple[str, str]] = {
    "raised": ("Raised", "read these now"),
    "unconfirmed": ("Waiting for a second article", "high, but the only one of its crisis and week"),
    "needs_review": ("Needs review", "the student is unsure"),
    "duplicate": ("Duplicates", "the same story as an article shown above"),
    "none": ("Not raised", "harmless, or not confident enough"),
}
_BANDS = {"high": "High", "medium": "Medium", "low": "Low"}
_SHOWN_NOT_RAISED = 200
_SHOWN = 5000
_LANGUAGES = 12


@dataclass(frozen=True)
class _Filter:
    """A check box; alerts of its class are hidden while it is not checked."""

    name: str
    title: str
    count: str
    checked: bool


@dataclass(frozen=True)
class _Card:
    """One alert as shown."""

    alert: Alert
    classes: str
    status: str
    severity: str
    confidence: str
    facts: list[str]
    probabilities: str
    verified: bool


def write_alert_page(run: AlertRun, path: Path) -> None:
    """Write the page as one self-contained HTML file.

    Raises:
        StorageError: it cannot be written; an older page at `path` is kept.
    """
    page = render_alert_page(run)
    with guard_storage(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, page)


def render_alert_page(run: AlertRun) -> str:
    """Return the page; the same alerts give the same text.

    It shows the 200 most severe of the articles that are not raised, and up to 5,000 of the others.
    """
    run, _ = without_places(run)
    ranked = sorted(run.alerts, key=lambda alert: -alert.severity)
    quiet = [alert for alert in ranked if alert.status == "none"][:_SHOWN_NOT_RAISED]
    loud = [alert for alert in ranked if alert.status != "none"][:_SHOWN]
    shown = sorted([*loud, *quiet], key=lambda alert: -alert.severity)
    languages = _languages(shown)
    return (
        html_environment()
        .get_template("alert_page.html.j2")
        .render(
            results=run,
            name=run.name,
            version=run.limbeck_version,
            keys=_key_figures(run.alerts),
            groups=_filters(shown, languages),
            cards=[_card(alert, languages) for alert in shown],
            left_out=len(run.alerts) - len(shown),
        )
    )


def _key_figures(alerts: list[Alert]) -> list[KeyFigure]:
    counts = Counter(alert.status for alert in alerts)
    figures = [KeyFigure(count_text(counts[status]), *_STATUS[status]) for status in _STATUS if status != "none"]
    return [*figures, KeyFigure(count_text(len(alerts)), "Articles read", f"{count_text(counts['none'])} not raised")]


def _languages(alerts: list[Alert]) -> dict[str | None, str]:
    """Return the CSS class of each language; those after the first twelve share one."""
    common = Counter(alert.lang for alert in alerts).most_common()
    return {lang: f"l-{min(n, _LANGUAGES)}" for n, (lang, _) in enumerate(common)}


def _filters(alerts: list[Alert], languages: dict[str | None, str]) -> list[tuple[str, list[_Filter]]]:
    statuses = Counter(alert.status for alert in alerts)
    bands = Counter(alert.band for alert in alerts)
    spoken: Counter[str] = Counter(languages[alert.lang] for alert in alerts)
    titles = {name: lang or "unknown" for lang, name in languages.items()} | {f"l-{_LANGUAGES}": "others"}
    by_status = [
        _Filter(f"s-{status}", title, count_text(statuses[status]), status not in ("duplicate", "none"))
        for status, (title, _) in _STATUS.items()
    ]
    by_band = [_Filter(f"b-{band}", title, count_text(bands[band]), True) for band, title in _BANDS.items()]  # type: ignore[index]
    by_language = [_Filter(name, titles[name], count_text(n), True) for name, n in spoken.most_common()]
    groups = [("Status", by_status), ("Severity", by_band)]
    return [*groups, ("Language", by_language)] if len(by_language) > 1 else groups


def _card(alert: Alert, languages: dict[str | None, str]) -> _Card:
    facts = [fact for fact in (alert.crisis, alert.week, alert.lang) if fact]
    if alert.confirmed_by:
        facts.append(f"confirmed by {alert.confirmed_by}")
    if alert.duplicate_of:
        facts.append(f"same story as {alert.duplicate_of}")
    return _Card(
        alert=alert,
        classes=f"s-{alert.status} b-{alert.band} {languages[alert.lang]}",
        status=_STATUS[alert.status][0],
        severity=decimal_text(alert.severity),
        confidence=share_text(alert.confidence),
        facts=facts,
        probabilities=", ".join(f"{label} {share_text(p)}" for label, p in alert.probabilities.items()),
        verified=alert.reason != NO_REASON,
    )
