"""Rendering of result records: HTML page, plots, tables, model card. Needs neither torch nor transformers."""

from limbeck.report.card import render_card
from limbeck.report.page import render_report, write_report

__all__ = ["render_card", "render_report", "write_report"]
