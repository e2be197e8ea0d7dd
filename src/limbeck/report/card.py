"""The model card of a distilled student, as the Hugging Face hub reads it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from limbeck.formatting import duration_text, p_value_text
from limbeck.report.block import Block
from limbeck.report.blocks import held_out_text, report_blocks, words_of
from limbeck.report.lookup import last_budget, main_figure, metrics_in, whole_comparisons
from limbeck.report.markdown import markdown_environment, markdown_table
from limbeck.report.page import rows_text
from limbeck.report.places import without_places
from limbeck.report.use import Use
from limbeck.report.values import difference_cell, in_sentence
from limbeck.results.figures import Comparison
from limbeck.results.record import Results
from limbeck.results.sections import Languages

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

__all__ = ["render_card"]


def render_card(
    results: Results,
    use: Use,
    base_model: str | None = None,
    license: str | None = None,
    language: list[str] | None = None,
) -> str:
    """Return the model card: YAML front matter, with the main system's figures as a ``model-index``, then Markdown.

    Args:
        results: the record of the run that trained the student.
        use: how the student is used.
        base_model: hub name of the model the student started from; left out of the card if unknown.
        license: licence identifier of the hub, such as ``apache-2.0``; left out if unknown.
        language: language codes, such as ``["en"]``; default: those of the record, if it knows any.
    """
    from huggingface_hub import ModelCard, ModelCardData

    results, _ = without_places(results)
    blocks = report_blocks(results)
    evaluated = _evaluated(results, use)
    data = ModelCardData(
        base_model=base_model,
        language=language or _languages(results) or None,
        library_name=use.library,
        license=license,
        pipeline_tag=use.task,
        tags=["limbeck", "knowledge-distillation"],
        model_name=results.run.name if evaluated else None,
        eval_results=evaluated or None,
    )
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n{_body(results, blocks, use)}"))


def _languages(results: Results) -> list[str]:
    section = results.section(Languages)
    return [section.source, *section.targets] if section else []


def _evaluated(results: Results, use: Use) -> list[EvalResult]:
    """Return the main system's figures of the headline table, at its largest budget."""
    from huggingface_hub import EvalResult

    main = results.role("main")
    found = [(metric, main_figure(results, main, metric)) for metric in metrics_in(results, "headline")]
    return [
        EvalResult(
            task_type=use.task,
            dataset_type="held-out-rows",
            dataset_name=f"Held-out rows of {results.run.name}",
            metric_type=metric.key,
            metric_name=metric.title,
            metric_value=figure.value,
        )
        for metric, figure in found
        if figure and math.isfinite(figure.value)
    ]


def _body(results: Results, blocks: list[Block], use: Use) -> str:
    main = results.role("main")
    tables = [(table.label, markdown_table(table.flat())) for block in blocks for table in block.brief()]
    return (
        markdown_environment()
        .get_template("card.md.j2")
        .render(
            results=results,
            use=use,
            detail=main.detail if main else "",
            held_out=held_out_text(results),
            tables=tables,
            notes=blocks[0].notes,
            differences=_differences(results),
            words=_metric_words(results, blocks),
            rows=rows_text(results),
            facts=[fact for block in blocks for fact in block.facts],
            training_time=duration_text(sum(cost.seconds for cost in results.costs)),
            limits=[limit for block in blocks for limit in block.limits],
        )
    )


def _metric_words(results: Results, blocks: list[Block]) -> dict[str, str]:
    titles = {metric.title for metric in metrics_in(results)}
    return {word: meaning for word, meaning in words_of(results, blocks).items() if word in titles}


def _differences(results: Results) -> list[str]:
    """Describe every comparison of the main system over all rows, at its largest budget, in a sentence."""
    main = results.role("main")
    if main is None:
        return []
    budget = last_budget(results, main)
    return [
        _difference(results, comparison)
        for comparison in whole_comparisons(results)
        if comparison.first == main.name and comparison.budget == budget
    ]


def _difference(results: Results, comparison: Comparison) -> str:
    metric = results.metric(comparison.metric)
    cell = difference_cell(metric, comparison)
    interval = f" (95 % interval {cell.small})" if cell.small else ""
    systems = f"{results.title(comparison.first)} against {results.title(comparison.second)}"
    p_value = p_value_text(comparison.p_value())
    return f"{systems}, {in_sentence(metric.title)}: {cell.text}{interval}, paired bootstrap {p_value}."
