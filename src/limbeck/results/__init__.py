"""The contents of `results.json`: one record for runs of all kinds."""

from limbeck.results.figures import Comparison, Figure, Interval, Metric
from limbeck.results.record import Curve, Results, Run, StageCost, System

__all__ = ["Comparison", "Curve", "Figure", "Interval", "Metric", "Results", "Run", "StageCost", "System"]
