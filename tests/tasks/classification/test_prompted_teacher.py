"""Prompts meet models: local scores, an API's letters and samples, rationales, and calibration through each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from limbeck.data.prompts.label_prompt import LabelPrompt
from limbeck.data.prompts.label_render import render_plain
from limbeck.errors import ConfigError, TeacherError
from limbeck.tasks.classification.prompted_teacher import (
    ask_for_rationales,
    chat_label_probs,
    content_free_rows,
    local_label_probs,
    rendered_prompts,
)
from limbeck.teachers.chat.answer import Answer, Failure, Outcome, TokenLogProb
from limbeck.teachers.chat.endpoint import ChatEndpoint
from limbeck.teachers.chat.request import ChatRequest
from limbeck.teachers.labels.local import score_labels

LABELS = ["risk", "caution", "safe"]
ROWS = [{"text": "Energy shortages push up the bills."}, {"text": "A festival in the old city. " * 9}]
PROMPT = LabelPrompt(max_body_tokens=20)
REASON = "The article warns of a flood that is happening now and of people who must leave."


class Scripted:
    def __init__(self, react: Callable[[ChatRequest], Outcome], **endpoint: Any) -> None:
        self.endpoint = ChatEndpoint(base_url="http://127.0.0.1:9/v1", model="m", **endpoint)
        self.react, self.asked = react, list[ChatRequest]()

    def complete(self, requests: Sequence[ChatRequest], update: Any = None) -> list[Outcome]:
        self.asked += requests
        return [self.react(request) for request in requests]


@pytest.fixture(scope="module")
def model() -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=420, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        initializer_range=0.6, bos_token_id=1, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


@pytest.mark.parametrize("chat", [False, True])
def test_a_local_teacher_reads_the_prompt_as_it_is_laid_out(
    chat: bool, model: Any, make_causal_tokenizer: Callable[..., Any]
) -> None:
    tokenizer = make_causal_tokenizer(chat=chat)
    scored = local_label_probs(model, tokenizer, PROMPT, ROWS, LABELS)
    if chat:
        prompts = rendered_prompts(PROMPT, ROWS, LABELS, tokenizer)
        assert {one.end for one in prompts} == {"<|im_end|>"}
        expected = score_labels(
            model, tokenizer, [one.text for one in prompts], LABELS, lead="", end="<|im_end|>", special_tokens=False
        )
    else:
        texts = [render_plain(PROMPT, LABELS, row, tokenizer=tokenizer)[0] for row in ROWS]
        expected = score_labels(model, tokenizer, texts, LABELS)
    np.testing.assert_allclose(scored.probs_NC, expected.probs_NC, atol=1e-5)
    assert scored.flags == (frozenset(), frozenset({"cut"}))


def test_contextual_calibration_asks_the_same_prompt_about_nothing(
    model: Any, make_causal_tokenizer: Callable[..., Any]
) -> None:
    tokenizer = make_causal_tokenizer()
    raw = local_label_probs(model, tokenizer, PROMPT, ROWS, LABELS)
    free = local_label_probs(model, tokenizer, PROMPT, content_free_rows(PROMPT), LABELS)
    scored = local_label_probs(model, tokenizer, PROMPT, ROWS, LABELS, contextual=True)
    expected_NC = raw.probs_NC / free.probs_NC.mean(axis=0)
    np.testing.assert_allclose(scored.probs_NC, expected_NC / expected_NC.sum(axis=1, keepdims=True), atol=1e-6)
    np.testing.assert_allclose(scored.raw_NC, raw.probs_NC, atol=1e-6)
    assert scored.steps == ("contextual",)
    nothing = ("N/A", "", "[MASK]")
    both = [{"title": one, "text": one} for one in nothing]
    assert content_free_rows(LabelPrompt(input="{{ title }}: {{ text }}")) == both


def test_a_prompt_that_the_model_cannot_read_loses_demonstrations_and_a_row_that_is_too_long_is_not_kept(
    model: Any, make_causal_tokenizer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = make_causal_tokenizer()
    shown = [{"text": f"Text number {number} of the demonstrations.", "label": "risk"} for number in range(2)]
    prompt = LabelPrompt.model_validate({"demonstrations": shown, "max_body_tokens": 2000})
    plain, one_shown = (prompt.model_copy(update={"demonstrations": prompt.demonstrations[:n]}) for n in (0, 1))
    few = [{"text": "Rain."}] * 49
    budget = len(tokenizer(render_plain(one_shown, LABELS, few[0])[0])["input_ids"]) + 20
    monkeypatch.setattr(model.config, "max_position_embeddings", budget)
    found = local_label_probs(model, tokenizer, prompt, [*few, {"text": "a b c d e f g " * 40}], LABELS)
    assert found.kept_N.tolist() == [True] * 49 + [False]
    assert [set(flags) for flags in found.flags[-2:]] == [
        {"demonstrations_dropped"}, {"demonstrations_dropped", "prompt_too_long"}
    ]  # fmt: skip
    expected = local_label_probs(model, tokenizer, one_shown, few[:1], LABELS)
    np.testing.assert_allclose(found.probs_NC[0], expected.probs_NC[0], atol=1e-5)
    assert not np.allclose(found.probs_NC[0], local_label_probs(model, tokenizer, plain, few[:1], LABELS).probs_NC)
    with pytest.raises(ConfigError, match=r"text 1 has [0-9,]+ tokens .* the teacher can read"):
        local_label_probs(model, tokenizer, prompt, [few[0], {"text": "a b c d e f g " * 40}], LABELS)


def letter_of(request: ChatRequest, label: str) -> str:
    said = request.messages[0].content if request.messages else str(request.prompt)
    return next(line[0] for line in said.splitlines() if line[1:] == f". {label}")


@pytest.mark.parametrize("kind", ["chat", "completions"])
def test_an_api_with_log_probabilities_is_asked_for_letters_in_every_order(kind: str) -> None:
    def react(request: ChatRequest) -> Outcome:
        """Sure of "caution", with a liking for the letter A."""
        right = letter_of(request, "caution")
        top = tuple((letter, (-0.1 if letter == right else -3.0) + (letter == "A")) for letter in "ABC")
        return Answer(right, "length", "m", (TokenLogProb(right, -0.1, top),))

    teacher = Scripted(react, log_probs=5, kind=kind)
    scored = chat_label_probs(teacher, PROMPT, ROWS, LABELS)  # type: ignore[arg-type]
    assert len(teacher.asked) == len(ROWS) * len(LABELS)
    assert scored.probs_NC.argmax(axis=1).tolist() == [1, 1]
    np.testing.assert_allclose(scored.probs_NC[0, 0], scored.probs_NC[0, 2], rtol=1e-9)
    assert "cut" in scored.flags[1]
    assert scored.how == "log_probs"


def test_an_api_that_gives_text_alone_is_asked_several_times() -> None:
    def react(request: ChatRequest) -> Outcome:
        assert request.stop == ()
        return Answer("Risk." if request.sample < 7 else "'safe'", "stop", "m")

    teacher = Scripted(react)
    scored = chat_label_probs(teacher, PROMPT, ROWS[:1], LABELS)  # type: ignore[arg-type]
    np.testing.assert_allclose(scored.probs_NC[0], np.array([7.5, 0.5, 3.5]) / 11.5)
    base = Scripted(lambda r: Answer("risk", "stop", "m"), kind="completions")
    chat_label_probs(base, PROMPT, ROWS[:1], LABELS, samples=2)  # type: ignore[arg-type]
    assert [(r.stop, r.sample) for r in base.asked] == [(("\n",), 0), (("\n",), 1)]


def test_an_api_may_have_nothing_to_say_about_nothing() -> None:
    def react(request: ChatRequest) -> Outcome:
        text = request.messages[-1].content
        if text.endswith("Input: "):
            return Answer("There is no text.", "stop", "m")
        return Answer("risk" if request.sample % 2 else "safe", "stop", "m")

    scored = chat_label_probs(Scripted(react), PROMPT, ROWS[:1], LABELS, contextual=True)  # type: ignore[arg-type]
    np.testing.assert_allclose(scored.probs_NC, 1 / 3)
    assert scored.steps == ("contextual",)


def test_a_rationale_that_cannot_be_used_is_asked_for_once_more() -> None:
    prompt = LabelPrompt(format="label_and_rationale", answer="Classification:")
    rows = [{"text": text} for text in ("good", "better", "bad", "changing", "refused")]
    words = {
        ("good", 0): ("risk", REASON),
        ("better", 0): ("risk", "Short."),
        ("better", 1): ("risk", REASON),
        ("bad", 0): ("risk", "Der Artikel warnt vor einer Flut, die jetzt die Stadt erreicht hat."),
        ("bad", 1): ("risk", ""),
        ("changing", 0): ("risk", ""),
        ("changing", 1): ("safe", REASON),
    }

    def react(request: ChatRequest) -> Outcome:
        text = request.messages[-1].content.rpartition("Input: ")[2]
        if text == "refused":
            return Failure("refused", "no")
        label, rationale = words[text, request.sample]
        return Answer(f"Classification: {label}\nReason: {rationale}", "stop", "m")

    teacher = Scripted(react)
    found = ask_for_rationales(teacher, prompt, rows, LABELS)  # type: ignore[arg-type]
    assert [(a.label, a.rationale) if a else None for a in found] == [
        ("risk", REASON), ("risk", REASON), ("risk", None), ("risk", None), None,
    ]  # fmt: skip
    assert sum(request.sample for request in teacher.asked) == 3
    with pytest.raises(ConfigError, match="format: label has no rationale"):
        ask_for_rationales(teacher, PROMPT, rows, LABELS)  # type: ignore[arg-type]


def test_labels_and_rationales_are_read_behind_thoughts() -> None:
    thoughts = (
        "<think>\nOutput: safe\nReason: it only looks like it, and that is all that I have to say here.\n</think>\n"
    )
    teacher = Scripted(lambda request: Answer(f"{thoughts}risk", "stop", "m"))
    scored = chat_label_probs(teacher, PROMPT, ROWS, LABELS, samples=1)  # type: ignore[arg-type]
    assert scored.probs_NC.argmax(axis=1).tolist() == [0, 0]
    with_reason = LabelPrompt(format="label_and_rationale", answer="Classification:")
    teacher = Scripted(lambda request: Answer(f"{thoughts}Classification: risk\nReason: {REASON}", "stop", "m"))
    answers = ask_for_rationales(teacher, with_reason, ROWS, LABELS)  # type: ignore[arg-type]
    assert [(one.label, one.rationale) for one in answers if one is not None] == [("risk", REASON)] * 2
    teacher = Scripted(lambda request: Answer(thoughts, "stop", "m"))
    with pytest.raises(TeacherError, match=r"2 only_thoughts.*turn off its reasoning"):
        chat_label_probs(teacher, PROMPT, ROWS, LABELS, samples=1)  # type: ignore[arg-type]
