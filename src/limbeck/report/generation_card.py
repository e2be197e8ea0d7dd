"""The model card of a generating student, as the Hugging Face hub reads it."""

from __future__ import annotations

from typing import Any

from limbeck.formatting import duration_text
from limbeck.generation_results import GenerationResults
from limbeck.report.generation_tables import (
    generation_comparison_rows,
    generation_headline_rows,
    generation_system,
    written_rows,
)
from limbeck.report.markdown import markdown_environment, markdown_table

__all__ = ["render_generation_card"]


def render_generation_card(
    results: GenerationResults, base_model: str | None, license: str | None, language: list[str]
) -> str:
    """Return the model card: YAML front matter, then Markdown.

    Args:
        results: the record of the run that made the student.
        base_model: hub name of the model the student began as; left out of the card if unknown.
        license: licence identifier of the hub, such as ``apache-2.0``; left out if unknown.
        language: language codes, such as ``["en"]``; may be empty.
    """
    written = written_rows(results.figures)
    return (
        markdown_environment()
        .get_template("generation_card.md.j2")
        .render(
            front_matter=_front_matter(base_model, license, language),
            results=results,
            distilled=generation_system(results.figures, "distilled"),
            headline=markdown_table(generation_headline_rows(results)),
            written=markdown_table(written) if written else "",
            comparisons=generation_comparison_rows(results.figures),
            training_time=duration_text(sum(cost.seconds for cost in results.costs)),
        )
    )


def _front_matter(base_model: str | None, license: str | None, language: list[str]) -> str:
    import yaml

    fields: dict[str, Any] = {"library_name": "transformers", "pipeline_tag": "text-generation"}
    fields["tags"] = ["limbeck", "knowledge-distillation"]
    known = {"base_model": base_model, "license": license, "language": language}
    fields.update({name: value for name, value in known.items() if value})
    return yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)
