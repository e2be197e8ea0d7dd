"""All figures of a report, as inline SVG in the order in which the page shows them."""

from __future__ import annotations

from dataclasses import dataclass

from limbeck.report.class_figures import class_change_figures, confusion_figures
from limbeck.report.curves import curve_figures
from limbeck.report.drawing import Drawing
from limbeck.report.reliability import reliability_figures
from limbeck.report.trade_off import trade_off_figures
from limbeck.results import Results

__all__ = ["Figures", "draw_figures"]


@dataclass(frozen=True)
class Figures:
    """What can be drawn of a run; a list is empty where the record holds nothing to draw."""

    trade_off: list[Drawing]
    class_change: list[Drawing]
    confusion: list[Drawing]
    reliability: list[Drawing]
    curves: list[Drawing]


def draw_figures(results: Results) -> Figures:
    """Draw every figure; the same record gives the same bytes."""
    return Figures(
        trade_off=trade_off_figures(results),
        class_change=class_change_figures(results),
        confusion=confusion_figures(results),
        reliability=reliability_figures(results),
        curves=curve_figures(results),
    )
