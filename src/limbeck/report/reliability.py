"""Reliability: how often a system is right when it is that sure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from limbeck.formatting import decimal_text, share_text
from limbeck.report.drawing import LINE, MARKERS, MUTED, SYSTEM_COLOURS, Drawing, calm_axes, canvas, to_svg
from limbeck.results import ReliabilityBin, Results, System

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["reliability_figures"]

_WIDTH, _HEIGHT = 250, 290


def reliability_figures(results: Results) -> list[Drawing]:
    """Draw, per system, the share of right answers over confidence; below, how sure it is how often."""
    drawings = []
    for system in results.systems:
        filled = [b for b in system.reliability if b.rows > 0]
        if filled:
            drawings.append(_diagram(system, filled))
    return drawings


def _diagram(system: System, filled: list[ReliabilityBin]) -> Drawing:
    name = f"reliability-{system.name.replace('_', '-')}"
    with canvas(_WIDTH, _HEIGHT, find_margins=False) as figure:
        figure.subplots_adjust(left=0.2, right=0.92, top=0.93, bottom=0.14, hspace=0.36)
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
        _draw_accuracy(upper, system, filled)
        _draw_histogram(lower, system, filled)
        svg = to_svg(figure, name=name, title=f"Reliability of {system.title}")
    caption = f"Calibration error {share_text(system.expected_calibration_error)}"
    if system.loss_nats is not None:
        caption += f", mean loss {decimal_text(system.loss_nats)} nats"
    return Drawing(name, system.title, caption, svg, _WIDTH)


def _draw_accuracy(axes: Axes, system: System, filled: list[ReliabilityBin]) -> None:
    colour = SYSTEM_COLOURS[system.name]
    calm_axes(axes)
    axes.plot([0, 1], [0, 1], "--", color=MUTED, linewidth=1)
    for b in filled:
        axes.plot([b.mean_confidence] * 2, [b.mean_confidence, b.accuracy], color=colour, linewidth=3, alpha=0.3)
    axes.plot(
        [b.mean_confidence for b in filled],
        [b.accuracy for b in filled],
        marker=MARKERS[system.name],
        color=colour,
        linewidth=1.8,
        markersize=5.5,
    )
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.set_title("rows right", loc="left", color=MUTED, fontsize=11)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100 %"])


def _draw_histogram(axes: Axes, system: System, filled: list[ReliabilityBin]) -> None:
    calm_axes(axes, grid=None)
    rows = sum(b.rows for b in filled)
    for b in filled:
        axes.bar(
            b.low,
            b.rows / rows,
            width=(b.high - b.low) * 0.9,
            align="edge",
            color=SYSTEM_COLOURS[system.name],
            alpha=0.75,
        )
    axes.spines["bottom"].set_color(LINE)
    most = max(b.rows for b in filled) / rows
    axes.set_ylim(0, most)
    axes.set_yticks([0, most], ["0", f"{most * 100:.0f} %"])
    axes.set_title("share of rows", loc="left", color=MUTED, fontsize=11)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100 %"])
    axes.set_xlabel("confidence")
