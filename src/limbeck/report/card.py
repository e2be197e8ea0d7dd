"""The model card of a distilled student, as the Hugging Face hub reads it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from limbeck.report.formatting import count_text, duration_text, printable
from limbeck.report.tables import absence_notes, comparison_rows, headline_rows, system_of
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
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        # Markdown has its own escapes; `plain` and `fenced` put them where foreign text comes in.
        autoescape=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("card.md.j2").render(
        front_matter=_front_matter(base_model, license, language),
        results=results,
        distilled=system_of(results, "distilled"),
        pairs=any(row.text_pair is not None for row in results.disagreements),
        headline=_markdown_table(headline_rows(results)),
        notes=absence_notes(results),
        comparisons=comparison_rows(results),
        training_time=duration_text(sum(cost.seconds for cost in results.costs)),
        count=count_text,
        plain=_plain,
        fenced=_fenced,
    )


def _front_matter(base_model: str | None, license: str | None, language: list[str]) -> str:
    import yaml

    fields: dict[str, Any] = {"library_name": "transformers", "pipeline_tag": "text-classification"}
    fields["tags"] = ["limbeck", "knowledge-distillation"]
    known = {"base_model": base_model, "license": license, "language": language}
    fields.update({name: value for name, value in known.items() if value})
    return yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)


def _plain(text: str) -> str:
    r"""Write foreign text so that Markdown shows it as it is, on one line.

    >>> _plain("a|b\n<i> *x*")
    'a\\|b &lt;i&gt; \\*x\\*'
    """
    line = " ".join(printable(text).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\|*_`\[\]$~#])", r"\\\1", line)


def _fenced(text: str, language: str = "") -> str:
    """Put text into a code block whose fence is longer than any in the text."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{printable(text).rstrip()}\n{fence}"


def _markdown_table(rows: list[list[str]]) -> str:
    header, *body = [[_plain(cell) for cell in row] for row in rows]
    rule = ["---", *("---:" for _ in header[1:])]
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, rule, *body])
