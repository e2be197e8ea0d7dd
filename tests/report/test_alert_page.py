"""The page of alerts: in order, complete, filtered without a script, and safe."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.report.parsed_page import Page

from limbeck.report.alert_page import render_alert_page, write_alert_page
from limbeck.results.alerts import NO_REASON, Alert, AlertRun, Status

SCRIPT = "<script>alert(1)</script>"


def alert(n: int, status: Status = "raised", severity: float = 0.5, **given: object) -> Alert:
    band = "high" if severity >= 0.7 else "medium" if severity >= 0.35 else "low"
    values: dict[str, object] = {
        "article_id": f"id{n}", "status": status, "label": "risk", "confidence": 0.8, "calibrated": True,
        "severity": severity, "band": band, "entropy": 0.2, "probabilities": {"risk": 0.8, "safe": 0.2},
        "title": f"Title {n}", "text": f"text {n}", "lang": "en", "crisis": "flood", "date": "2018-11-12",
        "week": "2018-W46", "confirmed_by": None, "duplicate_of": None, "reason": NO_REASON, "reason_fault": None,
        "model_hash": "a", "prompt_hash": None, "time": "2026-01-01T00:00:00+00:00",
    }  # fmt: skip
    return Alert.model_validate(values | given)


def run(alerts: list[Alert], notes: list[str] | None = None) -> AlertRun:
    return AlertRun(
        name="news", model="runs/x/student", limbeck_version="0.1.0", created="2026-01-01T00:00:00+00:00",
        alerts=alerts, notes=notes or [],
    )  # fmt: skip


def cards(html: str) -> list[str]:
    return re.findall(r'<li class="alert card ([^"]+)">', html)


def test_alerts_are_shown_by_severity() -> None:
    html = render_alert_page(run([alert(1, severity=0.4), alert(2, severity=0.9), alert(3, severity=0.1)]))
    assert re.findall(r"Title (\d)", html) == ["2", "1", "3"]
    assert cards(html) == ["s-raised b-high l-0", "s-raised b-medium l-0", "s-raised b-low l-0"]


def test_everything_of_an_alert_is_there() -> None:
    one = alert(1, severity=0.9, confirmed_by="id7", reason="A flood.", calibrated=False)
    other = alert(2, "duplicate", duplicate_of="id1", reason_fault="the number 9 is not in the article")
    words = Page(render_alert_page(run([one, other], ["No article has a date."]))).words()
    for part in ("0.900", "Raised", "risk 80.0 % (not calibrated)", "flood", "2018-W46", "confirmed by id7",
                 "A flood.",
                 "same story as id1", "no verified justification (the number 9 is not in the article)", "id2",
                 "risk 80.0 %, safe 20.0 %", "No article has a date.", "runs/x/student"):  # fmt: skip
        assert part in words


def test_check_boxes_hide_their_class_by_style_alone() -> None:
    statuses: list[Status] = ["raised", "unconfirmed", "needs_review", "duplicate", "none"]
    html = render_alert_page(run([alert(n, s, lang="en" if n else "de") for n, s in enumerate(statuses)]))
    page = Page(html)
    boxes = {a["id"]: "checked" in a for tag, a in page.tags if tag == "input"}
    assert boxes["f-s-raised"]
    assert boxes["f-s-needs_review"]
    assert not boxes["f-s-none"]
    assert not boxes["f-s-duplicate"]
    assert {"f-l-0", "f-l-1", "f-b-high", "f-b-medium", "f-b-low"} < set(boxes)
    for box in boxes:
        assert f"#{box}:not(:checked) ~ .alerts .{str(box)[2:]} {{ display: none; }}" in html
    assert {a.get("for") for tag, a in page.tags if tag == "label"} == set(boxes)


def test_one_language_needs_no_check_box() -> None:
    assert 'id="f-l-0"' not in render_alert_page(run([alert(1)]))


def test_of_articles_that_are_not_raised_the_most_severe_are_shown() -> None:
    html = render_alert_page(run([alert(n, "none", severity=n / 1000) for n in range(300)]))
    assert len(cards(html)) == 200
    assert "100 less severe articles are not on this page" in Page(html).words()
    assert "Title 299<" in html
    assert "Title 99<" not in html


def test_the_page_asks_nothing_of_the_network_and_holds_no_script() -> None:
    html = render_alert_page(run([alert(1)]))
    page = Page(html)
    assert not {tag for tag, _ in page.tags} & {"script", "iframe", "object", "embed", "img", "form", "base"}
    assert "default-src 'none'" in html
    for _, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
        assert "://" not in "".join(value or "" for value in attributes.values())
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    assert style
    assert not re.search(r"@import|url\(|://", style[1])


def test_foreign_text_stays_text() -> None:
    texts = dict.fromkeys(
        ("article_id", "label", "title", "text", "lang", "crisis", "date", "reason", "confirmed_by"), SCRIPT
    )
    hostile = alert(1, **texts, probabilities={SCRIPT: 1.0}, reason_fault="{{ 7*7 }}\x00")
    html = render_alert_page(
        run([hostile, alert(2, lang=None, title=None)], [SCRIPT]).model_copy(update={"name": SCRIPT})
    )
    assert "<script" not in html
    assert "\x00" not in html
    assert SCRIPT in Page(html).words()
    assert "{{ 7*7 }}" in html


def test_no_alert_makes_a_page() -> None:
    assert "Articles read" in Page(render_alert_page(run([]))).words()


def test_the_page_replaces_an_older_one(tmp_path: Path) -> None:
    path = tmp_path / "new" / "alerts.html"
    write_alert_page(run([alert(1)]), path)
    write_alert_page(run([alert(2)]), path)
    assert "Title 2" in path.read_text(encoding="utf-8")
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("languages", [13, 30])
def test_many_languages_share_a_check_box(languages: int) -> None:
    alerts = [alert(n, lang=f"x{n:02d}") for n in range(languages)]
    html = render_alert_page(run([alert(99, lang="x00"), *alerts]))
    assert html.count('<input type="checkbox" id="f-l-') == 13
    assert "others" in html
