"""False alarms at each sensitivity for risk: plot, table and page."""

from __future__ import annotations

from pathlib import Path

from limbeck.atomic import guard_storage, write_text
from limbeck.formatting import count_text, decimal_text, share_text
from limbeck.report.block import Cell, Column, Row, Table
from limbeck.report.palette import INK, MAIN
from limbeck.report.places import without_places
from limbeck.report.plotting import Plot, calm_axes, canvas, to_svg
from limbeck.report.templates import html_environment
from limbeck.results.alerts import AlertSweep

__all__ = ["draw_sweep", "render_sweep_page", "sweep_rows", "write_sweep_page"]

_WIDTH, _HEIGHT = 560, 360
_ROOM = 1.6


def sweep_rows(sweep: AlertSweep) -> list[list[str]]:
    """Return the sweep as a table, header first: one row per sensitivity."""
    header = ["Sensitivity", "Reached", "Threshold", "False alarms per 1,000", "95 % interval", "Alarms per 1,000"]
    rows = []
    for point in sweep.points:
        false = point.false_alarms_per_1000
        rows.append(
            [
                share_text(point.sensitivity, digits=0),
                share_text(point.reached_sensitivity),
                decimal_text(point.threshold),
                f"{false.value:.1f}",
                f"{false.low:.1f} to {false.high:.1f}",
                f"{point.alarms_per_1000:.1f}",
            ]
        )
    return [header, *rows]


def draw_sweep(sweep: AlertSweep) -> Plot:
    """Draw sensitivity over false alarms, with the three points and their intervals."""
    colour = MAIN.colour
    with canvas(_WIDTH, _HEIGHT) as figure:
        axes = figure.add_subplot()
        calm_axes(axes)
        axes.plot(sweep.curve_false_alarms_per_1000, sweep.curve_sensitivity, color=colour, linewidth=1.8)
        for point in sweep.points:
            false = point.false_alarms_per_1000
            axes.plot([false.low, false.high], [point.reached_sensitivity] * 2, color=colour, linewidth=5, alpha=0.3)
            axes.plot(false.value, point.reached_sensitivity, "D", color=colour, markersize=6)
            axes.annotate(
                f"{false.value:.0f} at {point.sensitivity * 100:.0f} %",
                (false.value, point.reached_sensitivity),
                xytext=(8, -14),
                textcoords="offset points",
                fontsize=11,
                color=INK,
            )
        most = max([1.0, *(_ROOM * point.false_alarms_per_1000.high for point in sweep.points)])
        axes.set(xlim=(0, min(most, 1000)), ylim=(0, 1.02))
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100 %"])
        axes.set_title("risk found", loc="left", fontsize=11)
        axes.set_xlabel("false alarms per 1,000 articles")
        svg = to_svg(figure, name="sweep", title="Sensitivity for risk over false alarms")
    caption = f"{count_text(sweep.risk_rows)} of {count_text(sweep.rows)} articles are risks; bars are 95 % intervals."
    return Plot("sweep", "The cost of finding more of the risk", caption, svg, _WIDTH)


def render_sweep_page(sweep: AlertSweep) -> str:
    """Return the page; the same sweep gives the same text."""
    sweep, _ = without_places(sweep)
    header, *rows = sweep_rows(sweep)
    table = Table(
        "False alarms at three sensitivities", list(map(Column, header)), [Row(list(map(Cell, row))) for row in rows]
    )
    page = html_environment().get_template("sweep_page.html.j2")
    return page.render(
        results=sweep, name="False alarms", version=sweep.limbeck_version, table=table, plot=draw_sweep(sweep)
    )


def write_sweep_page(sweep: AlertSweep, path: Path) -> None:
    """Write the page as one self-contained HTML file.

    Raises:
        StorageError: it cannot be written; an older page at `path` is kept.
    """
    page = render_sweep_page(sweep)
    with guard_storage(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, page)
