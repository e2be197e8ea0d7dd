"""The model card of a distilled student, as the Hugging Face hub reads it."""

from __future__ import annotations

from typing import Any

from limbeck.formatting import duration_text
from limbeck.report.markdown import markdown_environment, markdown_table
from limbeck.report.tables import (
    absence_notes,
    adapter_text,
    comparison_rows,
    headline_rows,
    one_vs_rest_rows,
    system_of,
    teacher_labels_text,
)
from limbeck.results import Results

__all__ = ["render_card"]


def render_card(results: Results, base_model: str | None, license: str | None, language: list[str]) -> str:
    """Return the model card: YAML front matter, then Markdown.

    Args:
        results: the record of the run that made the student.
        base_model: hub name of the model the student began as; left out of the card if unknown.
        license: licence identifier of the hub, such as ``apache-2.0``; left out if unknown.
        language: language codes, such as ``["en"]``; may be empty.
    """
    return (
        markdown_environment()
        .get_template("card.md.j2")
        .render(
            front_matter=_front_matter(base_model, license, language),
            results=results,
            distilled=system_of(results, "distilled"),
            pairs=any(row.text_pair is not None for row in results.disagreements),
            headline=markdown_table(headline_rows(results)),
            one_vs_rest=markdown_table(rates) if (rates := one_vs_rest_rows(results)) else "",
            notes=absence_notes(results),
            teacher=teacher_labels_text(results.teacher_labels),
            adapter=adapter_text(results.adapter),
            comparisons=comparison_rows(results),
            training_time=duration_text(sum(cost.seconds for cost in results.costs)),
        )
    )


def _front_matter(base_model: str | None, license: str | None, language: list[str]) -> str:
    import yaml

    fields: dict[str, Any] = {"library_name": "transformers", "pipeline_tag": "text-classification"}
    fields["tags"] = ["limbeck", "knowledge-distillation"]
    known = {"base_model": base_model, "license": license, "language": language}
    fields.update({name: value for name, value in known.items() if value})
    return yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)
