"""The sweep as table, figure and page."""

from __future__ import annotations

import pytest

from limbeck.report.sweep_page import draw_sweep, render_sweep_page, sweep_rows
from limbeck.results import Interval
from limbeck.results.alerts import AlertSweep, SweepPoint


@pytest.fixture(scope="module")
def sweep() -> AlertSweep:
    points = [
        SweepPoint(
            sensitivity=wanted,
            reached_sensitivity=wanted + 0.01,
            threshold=1 - wanted,
            false_alarms_per_1000=Interval(value=100 * wanted, low=90 * wanted, high=140 * wanted),
            alarms_per_1000=300.0,
        )
        for wanted in (0.8, 0.9, 0.95)
    ]
    return AlertSweep(
        model="m", data="<b>", limbeck_version="0.1.0", created="2026-01-01T00:00:00+00:00", risk_labels=["risk"],
        rows=1000, risk_rows=200, calibrated=False, points=points, curve_false_alarms_per_1000=[0, 80, 800],
        curve_sensitivity=[0, 0.8, 1], notes=["Not calibrated."],
    )  # fmt: skip


def test_rows(sweep: AlertSweep) -> None:
    header, first, _, last = sweep_rows(sweep)
    assert header[0] == "Sensitivity"
    assert first == ["80 %", "81.0 %", "0.200", "80.0", "72.0 to 112.0", "300.0"]
    assert last[0] == "95 %"


def test_the_figure_names_every_point(sweep: AlertSweep) -> None:
    svg = draw_sweep(sweep).svg
    for words in ("80 at 80 %", "90 at 90 %", "95 at 95 %", "false alarms per 1,000 articles"):
        assert words in svg


def test_the_page(sweep: AlertSweep) -> None:
    html = render_sweep_page(sweep)
    assert html == render_sweep_page(sweep)
    assert "&lt;b&gt;" in html
    assert "<b>" not in html
    assert "72.0 to 112.0" in html
    assert "Not calibrated." in html
    assert html.count("<svg") == 1
    assert "<script" not in html
    assert "results.json" not in html
