"""The model card of a cross-lingual student, as the Hugging Face hub reads it."""

from __future__ import annotations

from typing import Any

from limbeck.formatting import ABSENT, decimal_text, hours_text, share_text
from limbeck.language_results import LanguageResults, LanguageSystem
from limbeck.report.language_comparisons import ComparisonRow, labels_text, macro_rows
from limbeck.report.language_rows import language_rows, left_behind
from limbeck.report.language_tables import system_rows
from limbeck.report.markdown import markdown_environment, markdown_table
from limbeck.report.places import without_places
from limbeck.report.retention import accuracy_in, cells_in, focus_of, language_name, mrr_in

__all__ = ["render_language_card"]

_LIMIT = 0.9
"""A language that keeps less of English than this is named among the limits."""


def render_language_card(
    results: LanguageResults, base_model: str | None, license: str | None, n_target: int | None = None
) -> str:
    """Return the model card: YAML front matter, then Markdown.

    Args:
        results: the record of the run that made the student.
        base_model: hub name of the model the student began as; left out of the card if unknown.
        license: licence identifier of the hub, such as ``apache-2.0``; left out if unknown.
        n_target: the label budget of the student; None for the largest of the run.
    """
    results, _ = without_places(results)
    student = focus_of(results, n_target)
    rows = left_behind(results, student) if student else []
    return (
        markdown_environment()
        .get_template("language_card.md.j2")
        .render(
            front_matter=_front_matter(results, base_model, license),
            results=results,
            student=student,
            labels=labels_text(student.n_target) if student else "",
            source=language_name(results, results.source_language),
            target_names=[language_name(results, lang) for lang in results.languages],
            languages=markdown_table(_languages(results, student)) if student else "",
            systems=markdown_table(_systems(results)),
            comparisons=_comparisons(results, student),
            behind=[row for row in rows if row.kept_share is not None and row.kept_share < _LIMIT],
            hurt=[row for row in rows if row.distillation == "hurt"],
            hours=_hours(results, student),
        )
    )


def _front_matter(results: LanguageResults, base_model: str | None, license: str | None) -> str:
    import yaml

    fields: dict[str, Any] = {"library_name": "limbeck", "pipeline_tag": "text-ranking"}
    fields["tags"] = ["limbeck", "knowledge-distillation", "cross-lingual"]
    known = {"base_model": base_model, "license": license, "language": [results.source_language, *results.languages]}
    fields.update({name: value for name, value in known.items() if value})
    return yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)


def _languages(results: LanguageResults, student: LanguageSystem) -> list[list[str]]:
    header = ["Language", "Resource", "Accuracy", "MRR", "Kept", "Difference to ML-DFT", "p"]
    rows = [
        [
            row.name,
            row.resource,
            _flat(row.accuracy.text, row.accuracy.range),
            row.mrr.text,
            row.kept,
            _flat(row.words.difference, row.words.range),
            row.words.bootstrap,
        ]
        for row in language_rows(results, student)
    ]
    source = results.source_language
    if cells_in(student, source):
        accuracy, mrr = share_text(accuracy_in(student, source)), decimal_text(mrr_in(student, source))
        rows.append([language_name(results, source), "source", accuracy, mrr, "", "", ""])
    return [header, *rows]


def _systems(results: LanguageResults) -> list[list[str]]:
    header = ["System", "Target labels", "Macro accuracy", "Macro MRR", "High resource", "Low resource"]
    rows = [
        [row.title, group.labels, _flat(row.accuracy, row.accuracy_range), row.mrr, row.high, row.low]
        for group in system_rows(results)
        for row in group.rows
    ]
    if results.most_frequent is not None:
        rows.append(["Always the most frequent answer", ABSENT, share_text(results.most_frequent), *[ABSENT] * 3])
    return [header, *rows]


def _comparisons(results: LanguageResults, student: LanguageSystem | None) -> list[ComparisonRow]:
    """Return the comparisons at the student's label budget."""
    labels = labels_text(student.n_target) if student else ""
    return [row for row in macro_rows(results, "accuracy") if row.labels == labels]


def _hours(results: LanguageResults, student: LanguageSystem | None) -> str:
    if student is None:
        return ""
    wanted = (student.name, student.n_target)
    found = next((cost for cost in results.costs if (cost.name, cost.n_target) == wanted), None)
    return hours_text(found.device_hours) if found else ""


def _flat(text: str, range: str) -> str:
    return f"{text} ({range})" if range else text
