"""Reliability diagrams."""

from __future__ import annotations

from functools import partial

from limbeck.report.block import Block
from limbeck.report.plots.reliability import reliability_plots
from limbeck.results.record import Results
from limbeck.results.sections import Reliability

__all__ = ["render"]


def render(section: Reliability, results: Results) -> Block:
    """Draw a diagram for each system."""
    if not any(bin.rows for bins in section.systems.values() for bin in bins):
        return Block()
    lead = (
        "A system whose points lie on the dashed line is right as often as it claims. Below the line it is "
        "overconfident."
    )
    return Block("Calibration", lead, plots=partial(reliability_plots, results, section))
