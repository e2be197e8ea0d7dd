"""The model card of a generating student."""

from __future__ import annotations

import re

import yaml

from limbeck.generation_results import GenerationResults
from limbeck.report import render_generation_card


def front_matter(card: str) -> dict[str, object]:
    head = re.match(r"---\n(.*?\n)---\n", card, re.DOTALL)
    assert head
    found: dict[str, object] = yaml.safe_load(head[1])
    return found


def test_front_matter(generation_results: GenerationResults) -> None:
    found = front_matter(render_generation_card(generation_results, "org/base", "mit", ["no"]))
    assert found["pipeline_tag"] == "text-generation"
    assert (found["base_model"], found["license"], found["language"]) == ("org/base", "mit", ["no"])
    unknown = front_matter(render_generation_card(generation_results, None, None, []))
    assert not {"base_model", "license", "language"} & set(unknown)


def test_figures_verdict_use_and_limits(generation_results: GenerationResults) -> None:
    card = render_generation_card(generation_results, None, None, [])
    for sentence in generation_results.verdict:
        assert sentence.replace("<", "&lt;") in card
    assert "| Distilled |" in card
    assert "- Distilled against Fine-tuned, ROUGE-L: +" in card
    assert "AutoModelForCausalLM.from_pretrained" in card
    assert generation_results.warnings[0] in card
    assert f"```sh\n{generation_results.command}\n```" in card
    assert "greedy, at most 32 tokens" in card
    assert "\n\n\n" not in card


def test_a_sequence_to_sequence_student_is_loaded_as_one(generation_results: GenerationResults) -> None:
    card = render_generation_card(generation_results.model_copy(update={"encoder_decoder": True}), None, None, [])
    assert "AutoModelForSeq2SeqLM.from_pretrained" in card
    assert "CausalLM" not in card


def test_foreign_text_stays_text(hostile_generation_results: GenerationResults) -> None:
    card = render_generation_card(hostile_generation_results, None, None, [])
    assert "<script" not in re.sub(r"`{3,}sh\n.*?\n`{3,}\n", "", card, flags=re.DOTALL)
    assert "````sh\n<script>alert(1)</script> ```\n````" in card


def test_a_bare_record_makes_a_card(bare_generation_results: GenerationResults) -> None:
    card = render_generation_card(bare_generation_results, None, None, [])
    assert "What the answers look like" not in card
    assert ": None" not in card
    assert "greedy" not in card
    assert "\n\n\n" not in card
