"""The figures of any kind of run on the terminal."""

from __future__ import annotations

import html
import io
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tests.report.conftest import KINDS, card_of, changed, record

from limbeck.cli.show import show_comparisons, show_figures, show_results
from limbeck.evaluation.metrics.entities import ENTITIES
from limbeck.evaluation.metrics.label_sets import LABEL_SETS
from limbeck.evaluation.metrics.measure import Measure
from limbeck.evaluation.metrics.regression import REGRESSION
from limbeck.report import render_report
from limbeck.report.values import figure_cell
from limbeck.results.figures import Figure
from limbeck.results.record import Results


def shown(results: Results, width: int = 100) -> str:
    stream = io.StringIO()
    show_results(results, Path("runs/x"), Console(file=stream, width=width))
    return stream.getvalue()


def lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


@pytest.mark.parametrize("kind", KINDS)
def test_figures_verdict_warnings_and_places(kind: str) -> None:
    results = record(kind)
    text = shown(results)
    for sentence in results.verdict:
        assert f"- {sentence}" in text
    for warning in results.warnings:
        assert f"! {warning}" in text
    assert f"report:  {Path('runs/x/report.html')}" in text
    used = {figure.metric for figure in results.figures if not figure.slice}
    for metric in results.metrics:
        assert (metric.title in text) == (metric.key in used) or metric.table in ("classes", "tasks")


def test_systems_stand_side_by_side() -> None:
    found = lines(shown(record("classification"), width=120))
    assert "Accuracy 93.2 % 2.3 % 88.4 % 89.5 % 90.3 % 1.3 %" in found
    assert "Sensitivity 93.0 % 2.1 % 88.2 % 90.1 % 90.1 % 1.3 %" in found
    (one,) = [line for line in found if line.startswith("- Always the most frequent label: ")]
    assert "card_arrival" in one


def test_budgets_and_languages_have_rows() -> None:
    found = lines(shown(record("ranking"), width=160))
    assert "16 labels" in found
    assert "ML-IPD 76.1 % 0.881" in found
    assert "ML-IPD in each language, 16 labels" in found
    assert any(line.startswith("Swahili low 68.2 % 56.4 %") and "hurt" in line for line in found)


@pytest.mark.parametrize("width", [40, 80])
def test_no_figure_is_cut_on_a_narrow_terminal(width: int) -> None:
    text = shown(record("ranking"), width=width)
    assert "…" not in text
    assert "68.2 %" in text


def test_foreign_text_is_not_markup() -> None:
    results = changed(record("ranking"), name="[bold]run[/bold]", warnings=["[red]One seed only.[/red]"])
    text = shown(results)
    assert "[bold]run[/bold]" in text
    assert "[red]One seed only.[/red]" in text


def test_nothing_measured_is_no_table(capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    show_figures(changed(record("bare_classification"), systems=[], sections=[], figures=[]), Console(file=stream))
    assert stream.getvalue() == ""


def test_comparisons_have_a_line_each() -> None:
    stream = io.StringIO()
    show_comparisons(record("classification"), Console(file=stream, width=100))
    first = stream.getvalue().splitlines()[0]
    assert first == "Distilled - Fine-tuned, Accuracy: +1.9 points (+1.1 to +2.7), p < 0.001"


def with_metrics(results: Results, measures: list[Measure[Any]]) -> Results:
    """The same systems with figures of other metrics."""
    metrics = [measure.metric for measure in measures]
    scale = {"quantity": 123_456_789.0, "perplexity": 40.0, "words": 40.0}
    figures = [
        Figure(system=system.name, metric=metric.key, value=value, low=0.9 * value, high=1.1 * value)
        for row, system in enumerate(results.systems)
        for column, metric in enumerate(metrics)
        for value in [(0.31 + row / 10 + column / 100) * scale.get(metric.unit, 1.0)]
    ]
    return changed(results, metrics=metrics, headline=metrics[0].key, figures=figures, comparisons=[], sections=[],
                   verdict=[], costs=[], curves=[])  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    "results",
    [*map(record, KINDS), *(with_metrics(record("classification"), of) for of in (ENTITIES, REGRESSION, LABEL_SETS))],
    ids=[*KINDS, "token_classification", "regression", "multi_label"],
)
def test_page_card_and_terminal_show_the_same_figures(results: Results) -> None:
    page = " ".join(re.sub("<[^>]*>", " ", html.unescape(render_report(results))).split())
    card = card_of(results.model_copy(update={"kind": "classification"}))
    terminal = shown(results, width=250)
    whole = [figure for figure in results.figures if not figure.slice]
    assert len(whole) > 10
    for figure in whole:
        metric = results.metric(figure.metric)
        cell = figure_cell(metric, figure)
        for view in (page, card, terminal):
            assert cell.text in view
        assert f"{cell.text} {cell.small}".strip() in page
        assert cell.flat() in card
