"""What may be tried: swaps that leave labels alone, and different prompts drawn from all combinations."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from limbeck.data.prompts.label_prompt import Demonstration, LabelPrompt
from limbeck.prompt_search.demonstrations import DemonstrationSet
from limbeck.prompt_search.space import PromptSpace, swap_keywords

LABELS = ["risk and warning", "safe"]
SHOWN = tuple(Demonstration.model_validate({"text": f"text {i}", "label": LABELS[i % 2]}) for i in range(6))
DEFAULT = LabelPrompt(system="You are an analyst.", instruction="Find the risk in the text: {{ labels }}.")


def space(**changes: object) -> PromptSpace:
    parts: dict[str, object] = {
        "default": DEFAULT,
        "labels": tuple(LABELS),
        "instructions": ("Say which of {{ labels }} it is: risk?",),
        "keywords": ({"risk": "danger"},),
        "sets": (DemonstrationSet("by chance, 2 a label", SHOWN),),
        "orders": 3,
    }
    return PromptSpace(**(parts | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("instruction", "keywords", "expected"),
    [
        ("Find risk: 'risk and warning' or 'safe'.", {"risk": "danger"}, "Find danger: 'risk and warning' or 'safe'."),
        ("Risk? RISKY risk", {"risk": "danger"}, "danger? RISKY danger"),
        ("{{ labels }} labels", {"labels": "names"}, "{{ labels }} names"),
        ("a b", {"a": "b", "b": "a"}, "b a"),
        ("early warning signs", {"early warning": "alert", "warning": "x"}, "alert signs"),
        ("nothing", {}, "nothing"),
    ],
)
def test_words_are_swapped_but_labels_and_slots_are_not(
    instruction: str, keywords: Mapping[str, str], expected: str
) -> None:
    assert swap_keywords(instruction, keywords, LABELS) == expected


def test_the_default_comes_first_and_all_prompts_differ() -> None:
    drawn = space().draw(100, seed=0)
    assert drawn[0].prompt == DEFAULT
    hashes = [one.prompt.hash for one in drawn]
    # 2 wordings x 2 keywords x system on or off x (no demonstrations, or 3 orders)
    assert len(hashes) == len(set(hashes)) == 2 * 2 * 2 * (1 + 3)
    assert len({one.what for one in drawn}) == len(drawn)
    assert {one.prompt.system for one in drawn} == {None, "You are an analyst."}
    by_what = {one.what: one.prompt for one in drawn}
    assert by_what["keywords 1"].instruction == "Find the danger in the text: {{ labels }}."
    assert by_what["no system; demonstrations: by chance, 2 a label"].demonstrations == SHOWN


def test_a_draw_is_the_same_for_a_seed_and_differs_between_seeds() -> None:
    first, again, other = (space().draw(8, seed) for seed in (0, 0, 1))
    assert first == again
    assert len(first) == 8
    assert [one.what for one in first] != [one.what for one in other]


def test_own_demonstrations_can_be_left_out() -> None:
    own = space(
        default=DEFAULT.model_copy(update={"demonstrations": SHOWN[:2]}), sets=(), instructions=(), keywords=()
    )
    whats = {one.what for one in own.draw(100, 0)}
    assert "demonstrations: none" in whats
    assert "the default" in whats
