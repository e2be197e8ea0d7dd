"""The model card of a distilled student, as the Hugging Face hub reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from limbeck.formatting import duration_text
from limbeck.report.markdown import markdown_environment, markdown_table
from limbeck.report.places import without_places
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

__all__ = ["ClassifierUse", "render_card"]


@dataclass(frozen=True)
class ClassifierUse:
    """What decides how a student's folder is used."""

    max_length: int | None = None
    """Most tokens of a text; longer ones are cut. ``None``: not known, the tokenizer's own limit is used."""
    pairs: bool = False
    """Whether a row is two texts."""
    transformers_reads_it: bool = True
    """Whether transformers alone loads all of it; not so with adapter layers beside the weights, or labels that are
    words of a language model."""


def render_card(
    results: Results,
    base_model: str | None,
    license: str | None,
    language: list[str],
    use: ClassifierUse | None = None,
) -> str:
    """Return the model card: YAML front matter, then Markdown.

    Args:
        results: the record of the run that made the student.
        base_model: hub name of the model the student began as; left out of the card if unknown.
        license: licence identifier of the hub, such as ``apache-2.0``; left out if unknown.
        language: language codes, such as ``["en"]``; may be empty.
        use: how the student is used; default: as the held-out rows in the record say.
    """
    use = use or ClassifierUse(pairs=any(row.text_pair is not None for row in results.disagreements))
    results, _ = without_places(results)
    return (
        markdown_environment()
        .get_template("card.md.j2")
        .render(
            front_matter=_front_matter(base_model, license, language, use),
            results=results,
            distilled=system_of(results, "distilled"),
            snippet=_snippet(use),
            headline=markdown_table(headline_rows(results)),
            one_vs_rest=markdown_table(rates) if (rates := one_vs_rest_rows(results)) else "",
            notes=absence_notes(results),
            teacher=teacher_labels_text(results.teacher_labels),
            adapter=adapter_text(results.adapter),
            comparisons=comparison_rows(results),
            training_time=duration_text(sum(cost.seconds for cost in results.costs)),
        )
    )


def _snippet(use: ClassifierUse) -> str:
    """Python that labels a text with the student in a folder."""
    if not use.transformers_reads_it:
        texts = '["first text"], ["second text"]' if use.pairs else '["a text to label"]'
        return (
            "from limbeck.runs.predictor import Predictor\n\n"
            f'predictor = Predictor("path/to/this/folder")\nprint(predictor.predict({texts}))'
        )
    text = '{"text": "first text", "text_pair": "second text"}' if use.pairs else '"a text to label"'
    limit = f", max_length={use.max_length}" if use.max_length else ""
    return (
        "from transformers import pipeline\n\n"
        'classifier = pipeline("text-classification", model="path/to/this/folder")\n'
        f"print(classifier({text}, truncation=True{limit}))"
    )


def _front_matter(base_model: str | None, license: str | None, language: list[str], use: ClassifierUse) -> str:
    import yaml

    library = "transformers" if use.transformers_reads_it else "limbeck"
    fields: dict[str, Any] = {"library_name": library, "pipeline_tag": "text-classification"}
    fields["tags"] = ["limbeck", "knowledge-distillation"]
    known = {"base_model": base_model, "license": license, "language": language}
    fields.update({name: value for name, value in known.items() if value})
    return yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)
