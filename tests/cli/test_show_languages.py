"""The summary of a cross-lingual run on the terminal."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from limbeck.cli.show_languages import show_language_results, show_ranking_student
from limbeck.language_results import Cell, LanguageResults, LanguageSystem, SeedCell
from limbeck.results import Interval


def system(name: str, n_target: int, accuracy: float) -> LanguageSystem:
    figure = Interval(value=accuracy, low=accuracy - 0.01, high=accuracy + 0.01)
    cells = [
        Cell(
            task="topic",
            lang=lang,
            resource=resource,
            records=204,
            candidates=7,
            accuracy=figure,
            mrr=figure,
            seeds=[SeedCell(seed=0, accuracy=accuracy, mrr=accuracy)],
        )
        for lang, resource in (("en", "source"), ("de", "high"), ("sw", "low"))
    ]
    return LanguageSystem(
        name=name,
        title=name.upper(),
        n_target=n_target,
        cells=cells,
        macro_accuracy=figure,
        macro_mrr=figure,
        high_accuracy=accuracy,
        low_accuracy=None,
    )


@pytest.fixture
def record() -> LanguageResults:
    return LanguageResults(
        name="[bold]run[/bold]",
        created="",
        limbeck_version="",
        command="",
        verdict=["Swahili is left behind."],
        warnings=["[red]One seed only.[/red]"],
        source_language="en",
        languages=["de", "sw"],
        language_names={"de": "German", "sw": "Swahili [x]"},
        tasks=["topic"],
        seeds=[0],
        pairing="",
        prompts="",
        scorer="",
        kept_by_gate={},
        records={},
        systems=[system("english_model", 0, 0.8), system("ml_ipd", 0, 0.6), system("ml_ipd", 16, 0.72)],
        comparisons=[],
        english=[],
        costs=[],
        stage_costs=[],
        curves=[],
        resolved_run="",
        environment={},
        data_fingerprints={},
    )


def shown(results: LanguageResults) -> str:
    stream = io.StringIO()
    show_language_results(results, Path("runs/x"), Console(file=stream, width=80))
    return stream.getvalue()


def test_systems_budgets_languages_and_places(record: LanguageResults) -> None:
    lines = [" ".join(line.split()) for line in shown(record).splitlines()]
    assert "no labels ENGLISH_MODEL 80.0 % 79.0–81.0 0.800 – –" in lines
    assert "16 labels ML_IPD 72.0 % 71.0–73.0 0.720 – –" in lines
    assert "Swahili [x] 72.0 % 90.0 % ENGLISH_MODEL 80.0 % –" in lines
    assert f"report: {Path('runs/x/report.html')}" in lines


def test_foreign_text_is_not_markup(record: LanguageResults) -> None:
    text = shown(record)
    for words in ("[bold]run[/bold]", "[red]One seed only.[/red]", "Swahili is left behind."):
        assert words in text


def test_a_table_fits_a_terminal_of_80_columns(record: LanguageResults) -> None:
    assert max(len(line) for line in shown(record).splitlines()) <= 80
    assert "…" not in shown(record)


def test_no_systems_no_languages(record: LanguageResults) -> None:
    assert "each task and language" not in shown(record.model_copy(update={"systems": []}))


def test_figures_of_single_tasks_have_a_table_where_there_are_any() -> None:
    def lines(shown: LanguageSystem) -> list[str]:
        stream = io.StringIO()
        show_ranking_student(shown, Console(file=stream, width=80))
        return [" ".join(line.split()) for line in stream.getvalue().splitlines()]

    plain = system("student", 0, 0.7)
    assert not any("nDCG" in line or "figure" in line for line in lines(plain))
    english, german, swahili = plain.cells
    ranked = german.model_copy(update={"ndcg": Interval(value=0.812, low=0.8, high=0.9)})
    found = lines(plain.model_copy(update={"cells": [english, ranked, swahili]}))
    assert [line for line in found if "nDCG" in line] == ["German topic nDCG 0.812 0.800–0.900"]
    assert not any("F1" in line or "…" in line for line in found)
