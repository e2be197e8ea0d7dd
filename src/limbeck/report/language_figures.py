"""All figures of the report of a cross-lingual run, as inline SVG."""

from __future__ import annotations

from dataclasses import dataclass

from limbeck.language_results import LanguageResults
from limbeck.report.curves import draw_curves
from limbeck.report.drawing import Drawing
from limbeck.report.heat_map import heat_maps
from limbeck.report.label_budget import label_budget_figures
from limbeck.report.language_comparisons import control_of, find_comparison
from limbeck.report.language_gaps import difference_figure, gap_figure
from limbeck.report.language_rows import BASELINE, left_behind_order
from limbeck.report.retention import budgets, focus_of, system_title

__all__ = ["LanguageFigures", "draw_language_figures"]


@dataclass(frozen=True)
class LanguageFigures:
    """What can be drawn of a run; a list is empty where the record holds nothing to draw."""

    label_budget: list[Drawing]
    heat_maps: list[Drawing]
    gaps: dict[int, list[Drawing]]
    """By label budget: languages below English, then the differences to ML-DFT and to the control."""
    curves: list[Drawing]


def draw_language_figures(results: LanguageResults) -> LanguageFigures:
    """Draw every figure; the same record gives the same bytes."""
    return LanguageFigures(
        label_budget=label_budget_figures(results),
        heat_maps=heat_maps(results),
        gaps={n_target: _gaps(results, n_target) for n_target in budgets(results)},
        curves=_curves(results),
    )


def _gaps(results: LanguageResults, n_target: int) -> list[Drawing]:
    system = focus_of(results, n_target)
    if system is None:
        return []
    order = left_behind_order(results, system)
    comparisons = [find_comparison(results, system.name, BASELINE, n_target), control_of(results, system)]
    differences = [difference_figure(results, comparison, order) for comparison in comparisons if comparison]
    return [drawing for drawing in [gap_figure(results, system), *differences] if drawing]


def _curves(results: LanguageResults) -> list[Drawing]:
    """Draw the curves system by system: objectives and stages differ too much to share a panel."""
    names = dict.fromkeys(curve.system for curve in results.curves)
    drawings = [
        Drawing(d.name, f"{system_title(results, name)}: {d.title}", d.caption, d.svg, d.width)
        for place, name in enumerate(names)
        for d in draw_curves(
            [curve for curve in results.curves if curve.system == name],
            lambda name: system_title(results, name),
            name=f"curve-{place}",
        )
    ]
    # Stable: every system's loss first, for only the first few panels are shown unfolded.
    return sorted(drawings, key=lambda drawing: not drawing.name.endswith("-loss"))
