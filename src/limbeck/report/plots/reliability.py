"""Reliability diagrams: how often a system is right at each confidence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from limbeck.formatting import shorten
from limbeck.report.lookup import main_figure, metrics_in
from limbeck.report.palette import LINE, MUTED, Look, looks
from limbeck.report.plotting import Plot, calm_axes, canvas, slug, to_svg
from limbeck.report.values import in_sentence, value_text
from limbeck.results.record import Results, System
from limbeck.results.sections import Reliability, ReliabilityBin

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["reliability_plots"]

_WIDTH, _HEIGHT = 250, 290


def reliability_plots(results: Results, section: Reliability) -> list[Plot]:
    """Draw, per system, the share of right answers over confidence, and the distribution of confidence below."""
    plots = []
    for system in results.systems:
        filled = [b for b in section.systems.get(system.name, []) if b.rows > 0]
        if filled:
            plots.append(_diagram(results, system, filled))
    return plots


def _diagram(results: Results, system: System, filled: list[ReliabilityBin]) -> Plot:
    name, look = f"reliability-{slug(system.name)}", looks(results)[system.name]
    with canvas(_WIDTH, _HEIGHT, find_margins=False) as figure:
        figure.subplots_adjust(left=0.2, right=0.92, top=0.93, bottom=0.14, hspace=0.36)
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
        _draw_accuracy(upper, look, filled)
        _draw_histogram(lower, look, filled)
        svg = to_svg(figure, name=name, title=f"Reliability of {system.title}")
    return Plot(name, shorten(system.title, 60), _caption(results, system), svg, _WIDTH)


def _caption(results: Results, system: System) -> str:
    """Return the metrics about probabilities and gold labels, in words."""
    about = [m for m in metrics_in(results) if m.detail in ("calibration", "on gold labels")]
    found = [(m, figure) for m in about if (figure := main_figure(results, system, m))]
    nats = {m.key: " nats" if m.unit == "nats" else "" for m in about}
    return ", ".join(f"{in_sentence(m.title)} {value_text(m, f.value)}{nats[m.key]}" for m, f in found)


def _draw_accuracy(axes: Axes, look: Look, filled: list[ReliabilityBin]) -> None:
    calm_axes(axes)
    axes.plot([0, 1], [0, 1], "--", color=MUTED, linewidth=1)
    for b in filled:
        axes.plot([b.mean_confidence] * 2, [b.mean_confidence, b.accuracy], color=look.colour, linewidth=3, alpha=0.3)
    axes.plot(
        [b.mean_confidence for b in filled],
        [b.accuracy for b in filled],
        marker=look.marker,
        color=look.colour,
        linewidth=1.8,
        markersize=5.5,
        clip_on=False,
    )
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.set_title("rows right", loc="left", color=MUTED, fontsize=11)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100 %"])


def _draw_histogram(axes: Axes, look: Look, filled: list[ReliabilityBin]) -> None:
    calm_axes(axes, grid=None)
    rows = sum(b.rows for b in filled)
    for b in filled:
        axes.bar(
            b.low,
            b.rows / rows,
            width=(b.high - b.low) * 0.9,
            align="edge",
            color=look.colour,
            alpha=0.75,
        )
    axes.spines["bottom"].set_color(LINE)
    most = max(b.rows for b in filled) / rows
    axes.set_ylim(0, most)
    axes.set_yticks([0, most], ["0", f"{most * 100:.0f} %"])
    axes.set_title("share of rows", loc="left", color=MUTED, fontsize=11)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100 %"])
    axes.set_xlabel("confidence")
