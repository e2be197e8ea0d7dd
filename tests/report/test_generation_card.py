"""The model card of a generating student."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from tests.report.snippets import run_snippet
from tests.runs.text_models import CHATML, LLAMA, T5, make_model, make_tokenizer

from limbeck.generation_results import GenerationResults
from limbeck.report import render_generation_card
from limbeck.report.generation_card import WritingUse


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


@pytest.mark.parametrize(
    ("use", "encoder_decoder", "read"),
    [
        (
            WritingUse(chat=True, system='Say "yes".\n```'),
            False,
            '<|im_start|>system\nSay "yes".\n```<|im_end|>\n'
            "<|im_start|>user\na prompt as in training<|im_end|>\n<|im_start|>assistant\n",
        ),
        (WritingUse(system="Be brief.", separator="\n\n"), False, "Be brief.\n\na prompt as in training\n\n"),
        (WritingUse(), False, "a prompt as in training"),
        (WritingUse(system="Be brief."), True, "Be brief.\n\na prompt as in training"),
    ],
)
def test_the_snippet_asks_as_in_training(
    use: WritingUse,
    encoder_decoder: bool,
    read: str,
    generation_results: GenerationResults,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from transformers import GenerationMixin

    tokenizer = make_tokenizer(template=CHATML if use.chat else None)
    config = {**T5, "decoder_start_token_id": 0} if encoder_decoder else LLAMA
    make_model({**config, "max_position_embeddings": 512}, rows=len(tokenizer)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    asked = []
    generate = GenerationMixin.generate

    def watched(self: object, **inputs: object) -> object:
        asked.append(tokenizer.decode(inputs["input_ids"][0]))
        return generate(self, **inputs)

    monkeypatch.setattr(GenerationMixin, "generate", watched)
    results = generation_results.model_copy(update={"encoder_decoder": encoder_decoder})
    card = render_generation_card(results, None, None, [], use)
    printed = run_snippet(card, tmp_path, capsys)
    assert asked == [read]
    assert "a prompt as in training" not in printed, "what was asked is not what was answered"
