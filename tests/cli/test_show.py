"""The figures of any kind of run on the terminal."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console
from tests.report.conftest import KINDS, changed, record

from limbeck.cli.show import show_comparisons, show_figures, show_results
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
