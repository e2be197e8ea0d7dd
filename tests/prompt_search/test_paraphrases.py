"""Wordings of the teacher: which are kept."""

from __future__ import annotations

from limbeck.prompt_search.paraphrases import paraphrase

ORIGINAL = "Classify the text, safe or not, into one of these categories: {{ labels }}."


def test_wordings_that_still_say_it_are_kept() -> None:
    answers = [
        "Instruction: Which of [LABELS] is the text, safe or not?\nHere is why.",
        "Classify the text, safe or not, into one of these categories: [LABELS].",  # a copy
        "Say what the text is.",  # lost the labels
        "Choose among [LABELS] for the text.",  # lost a label's name
        "Choose [LABELS] or [LABELS], safe.",  # twice
        "Choose safe {% raw %} [LABELS]",
        "",
        "word " * 200 + "safe [LABELS]",
        "Choose the safe category of {{ labels }}.",
        "Choose the safe category of [LABELS].",  # the same again
        "Is it safe? Take one of [LABELS].",
    ]
    asked: list[tuple[str, int]] = []

    def write(request: str, count: int) -> list[str]:
        asked.append((request, count))
        return answers

    kept, left_out = paraphrase(ORIGINAL, 5, ["safe", "risk"], write)
    assert kept == [
        "Which of {{ labels }} is the text, safe or not?",
        "Choose the safe category of {{ labels }}.",
        "Is it safe? Take one of {{ labels }}.",
    ]
    assert left_out == len(answers) - 3
    ((request, count),) = asked
    assert count == 20
    assert "categories: [LABELS]." in request


def test_no_more_than_wanted_and_none_without_asking() -> None:
    kept, _ = paraphrase(ORIGINAL, 1, ["safe"], lambda r, n: ["Is [LABELS] safe?", "Safe is safe [LABELS]"])
    assert len(kept) == 1
    assert paraphrase(ORIGINAL, 0, [], lambda r, n: [][0]) == ([], 0)
