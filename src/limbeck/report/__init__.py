"""Shows result records: HTML page, figures, tables, model card. Needs neither torch nor transformers."""

from limbeck.report.card import render_card
from limbeck.report.generation_card import render_generation_card
from limbeck.report.generation_page import render_generation_report
from limbeck.report.generation_tables import generation_headline_rows
from limbeck.report.language_card import render_language_card
from limbeck.report.language_page import render_language_report
from limbeck.report.page import render_report, write_report
from limbeck.report.read import read_any_results, read_results
from limbeck.report.tables import headline_rows

__all__ = [
    "generation_headline_rows",
    "headline_rows",
    "read_any_results",
    "read_results",
    "render_card",
    "render_generation_card",
    "render_generation_report",
    "render_language_card",
    "render_language_report",
    "render_report",
    "write_report",
]
