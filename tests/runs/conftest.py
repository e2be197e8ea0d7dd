"""Runs of every kind of task: those that rank read the toy languages."""

from __future__ import annotations

from tests.tasks.ranking.conftest import make_toy_sets, own_toy_data, toy_data, toy_model, toy_run

__all__ = ["make_toy_sets", "own_toy_data", "toy_data", "toy_model", "toy_run"]
