"""Answers: what is read, what is refused, and rationales that can be used."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.data.prompts.label_answer import ParsedAnswer, looks_english, parse_answer, usable_rationale
from limbeck.data.prompts.label_prompt import LabelPrompt

LABELS = ["risk and warning", "caution and advice", "safe and harmless"]
SHORT = ["risk", "caution", "safe"]
WITH_REASON = LabelPrompt(format="label_and_rationale", answer="Classification:")
REASON = "The article warns of a flood that is happening now and of people who must leave."


@pytest.mark.parametrize(
    "text",
    [
        "Classification: 'Risk and Warning.'",
        "risk and warning",
        "**Classification:** RISK  AND WARNING",
        "Sure!\nClassification: \u201eRisk and warning\u201c",
        "The label is risk and warning, without doubt.",
        "Classification:\nrisk and warning\nReason: it is not safe and harmless",
        "risk and warning\nInput: Another article. Output: safe and harmless",
    ],
)
def test_labels_that_are_read(text: str) -> None:
    assert parse_answer(text, WITH_REASON, LABELS).label == "risk and warning"


@pytest.mark.parametrize(
    ("text", "labels", "outcome"),
    [
        ("safe or risk", SHORT, "conflict"),
        ("safe or risk", LABELS, "unknown_label"),
        ("Classification: risk and warning / safe and harmless", LABELS, "conflict"),
        ("Classification: dangerous\nReason: this is risk and warning", LABELS, "unknown_label"),
        ("I cannot say.", LABELS, "unknown_label"),
        ("brisk business", SHORT, "unknown_label"),
        (" \n ", LABELS, "empty"),
    ],
)
def test_labels_that_are_not(text: str, labels: list[str], outcome: str) -> None:
    assert parse_answer(text, WITH_REASON, labels) == ParsedAnswer(outcome)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can’t help with labelling this as risk and warning.",
        "Output: As an AI model, I am unable to classify this article. Risk and warning?",
        "Es tut mir leid, dabei kann ich leider nicht helfen.",
        "Désolé, je ne peux pas vous aider.",
        "Lo siento, no puedo ayudarte con eso.",
        "К сожалению, я не могу ответить.",
        "抱歉，我无法协助。",
    ],
)
def test_a_refusal_is_no_label(text: str) -> None:
    assert parse_answer(text, WITH_REASON, LABELS) == ParsedAnswer("refused")
    assert parse_answer(text, LabelPrompt(format="json"), LABELS) == ParsedAnswer("refused")


def test_an_article_about_somebody_who_cannot_help_is_not_refused() -> None:
    said = "Classification: risk and warning\nReason: The mayor of the town says: I cannot help all of the people."
    assert parse_answer(said, WITH_REASON, LABELS).rationale_outcome == "rationale"
    told = json.dumps({"label": "risk and warning", "reason": "The mayor said on Monday that I cannot help you all."})
    assert parse_answer(told, LabelPrompt(format="json"), LABELS).label == "risk and warning"


PIECES = [
    *'rsk:{}[]",.\n ',
    "Reason:",
    '"label"',
    '"reason"',
    "safe",
    "risk",
    "Output:",
    "\ud800",
    "9",
    "```",
    "I cannot help",
]


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3)).map("".join))
def test_nothing_that_a_model_writes_raises(text: str) -> None:
    for form in ("none", "label_and_rationale", "json"):
        answer = parse_answer(text, LabelPrompt.model_validate({"format": form}), [*SHORT, "9", "风险"])
        assert (answer.label is None) == (answer.outcome != "label")
        assert answer.rationale is None or answer.label is not None


def test_json_that_is_nested_without_end_is_malformed() -> None:
    assert parse_answer("[" * 100_000, LabelPrompt(format="json"), LABELS).outcome == "malformed_json"


def test_the_longest_label_counts_where_one_begins_another() -> None:
    labels = ["risk", "risk and warning", "No-risk"]
    assert parse_answer("It is risk and warning here", LabelPrompt(), labels).label == "risk and warning"
    assert parse_answer("It is no-risk here", LabelPrompt(), labels).label == "No-risk"
    assert parse_answer("risk", LabelPrompt(), labels).label == "risk"


def test_scripts_without_blanks_between_words() -> None:
    assert parse_answer("这是风险。", LabelPrompt(), ["风险", "安全"]).label == "风险"
    assert parse_answer("Opasnosť!", LabelPrompt(), ["opasnosť", "pokoj"]).label == "opasnosť"


def test_a_rationale_is_kept_on_one_line() -> None:
    answer = parse_answer(
        f"Classification: risk and warning\nReason: {REASON[:30]}\n{REASON[30:]}", WITH_REASON, LABELS
    )
    assert answer.rationale is not None
    assert answer.rationale.replace(" ", "") == REASON.replace(" ", "")
    assert (answer.outcome, answer.rationale_outcome, answer.ask_again) == ("label", "rationale", False)


@pytest.mark.parametrize(
    ("rationale", "outcome"),
    [
        ("", "missing"),
        ("This article is classified as risk and warning because it contains a warning of risks.", "restates_label"),
        ("It warns of a flood.", "too_short"),
        ("the flood " * 61, "too_long"),
        ("Der Artikel warnt vor einer Flut, die gerade jetzt die Stadt erreicht hat.", "not_english"),
        ("Статията предупреждава за наводнение, което сега достига града и хората бягат.", "not_english"),
    ],
)
def test_a_rationale_that_cannot_be_used_costs_no_label(rationale: str, outcome: str) -> None:
    answer = parse_answer(f"Classification: risk and warning\nReason: {rationale}", WITH_REASON, LABELS)
    assert (answer.label, answer.rationale, answer.rationale_outcome) == ("risk and warning", None, outcome)
    assert answer.ask_again


def test_a_rationale_that_was_not_asked_for_is_not_read() -> None:
    answer = parse_answer(f"risk and warning\nReason: {REASON}", LabelPrompt(), LABELS)
    assert answer == ParsedAnswer("label", "risk and warning")
    assert not answer.ask_again


def test_json_answers() -> None:
    prompt = LabelPrompt(format="json")
    good = json.dumps({"label": "Risk and Warning", "reason": REASON})
    assert parse_answer(good, prompt, LABELS) == ParsedAnswer("label", "risk and warning", REASON, "rationale")
    assert parse_answer(f"```json\n{good}\n```", prompt, LABELS).rationale == REASON
    assert parse_answer('{"label": "dangerous"}', prompt, LABELS).outcome == "unknown_label"
    assert parse_answer('{"label": "risk and warning", "reason": 3}', prompt, LABELS).rationale_outcome == "missing"
    for broken in ('{"label": "risk', "[]", "risk and warning", '{"class": 1}', "3"):
        assert parse_answer(broken, prompt, LABELS).outcome == "malformed_json"


def test_english_is_told_from_others() -> None:
    assert looks_english(REASON)
    assert not looks_english("")
    assert not looks_english("L'articolo avverte di un'alluvione che sta raggiungendo la città in queste ore.")


def test_a_rationale_alone_passes_the_same_filter() -> None:
    assert usable_rationale(f"  {REASON}\n") == REASON
    assert usable_rationale("Short.") is None
    assert usable_rationale("") is None
    assert usable_rationale(f"{REASON} " * 12) is None
    assert usable_rationale("Der Artikel warnt vor einer Flut, die jetzt die Stadt erreicht hat.") is None
