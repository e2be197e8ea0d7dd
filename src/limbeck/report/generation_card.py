"""The model card of a generating student, as the Hugging Face hub reads it."""

from __future__ import annotations

from dataclasses import dataclass
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
from limbeck.report.places import without_places

__all__ = ["WritingUse", "render_generation_card"]


@dataclass(frozen=True)
class WritingUse:
    """What a student's prompt looks like, as it was trained."""

    chat: bool = False
    """Whether prompts are laid out by the tokenizer's chat template."""
    system: str | None = None
    """Said before every prompt."""
    separator: str = ""
    """After a prompt without chat template."""


def render_generation_card(
    results: GenerationResults,
    base_model: str | None,
    license: str | None,
    language: list[str],
    use: WritingUse | None = None,
) -> str:
    """Return the model card: YAML front matter, then Markdown.

    Args:
        results: the record of the run that made the student.
        base_model: hub name of the model the student began as; left out of the card if unknown.
        license: licence identifier of the hub, such as ``apache-2.0``; left out if unknown.
        language: language codes, such as ``["en"]``; may be empty.
        use: what a prompt looks like; default: bare text.
    """
    results, _ = without_places(results)
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
            snippet=_snippet(use or WritingUse(), encoder_decoder=results.encoder_decoder),
            comparisons=generation_comparison_rows(results.figures),
            training_time=duration_text(sum(cost.seconds for cost in results.costs)),
        )
    )


def _snippet(use: WritingUse, *, encoder_decoder: bool) -> str:
    """Python that has the student in a folder write, after a prompt as it was trained."""
    model_class = "AutoModelForSeq2SeqLM" if encoder_decoder else "AutoModelForCausalLM"
    asked = "a prompt as in training"
    if use.chat:
        turns = [{"role": "system", "content": use.system}] if use.system is not None else []
        turns.append({"role": "user", "content": asked})
        lines = [
            f"messages = {turns!r}",
            "prompt = tokenizer.apply_chat_template(",
            '    messages, add_generation_prompt=True, return_tensors="pt", return_dict=True',
            ")",
        ]
    else:
        text = (f"{use.system}\n\n" if use.system is not None else "") + asked
        lines = [f'prompt = tokenizer({text + use.separator!r}, return_tensors="pt")']
    own = "written[0]" if encoder_decoder else 'written[0, prompt["input_ids"].shape[1] :]'
    return "\n".join(
        [
            f"from transformers import {model_class}, AutoTokenizer",
            "",
            'tokenizer = AutoTokenizer.from_pretrained("path/to/this/folder")',
            f'model = {model_class}.from_pretrained("path/to/this/folder")',
            *lines,
            'asked = {"input_ids": prompt["input_ids"], "attention_mask": prompt["attention_mask"]}',
            "written = model.generate(**asked, max_new_tokens=128)",
            f"print(tokenizer.decode({own}, skip_special_tokens=True))",
        ]
    )


def _front_matter(base_model: str | None, license: str | None, language: list[str]) -> str:
    import yaml

    fields: dict[str, Any] = {"library_name": "transformers", "pipeline_tag": "text-generation"}
    fields["tags"] = ["limbeck", "knowledge-distillation"]
    known = {"base_model": base_model, "license": license, "language": language}
    fields.update({name: value for name, value in known.items() if value})
    return yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)
