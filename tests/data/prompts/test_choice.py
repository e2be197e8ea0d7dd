"""Which prompts a run uses: all switches, and what they cost in parameters."""

from __future__ import annotations

import itertools

import pytest
from pydantic import BaseModel, ValidationError

from limbeck.data.prompts.choice import PromptChoice


class Run(BaseModel):
    prompts: PromptChoice = PromptChoice()


def chosen(prompts: object) -> PromptChoice:
    return Run.model_validate({"prompts": prompts}).prompts


def test_defaults_are_both_levels_in_both_forms() -> None:
    choice = Run().prompts
    assert (choice.hard_task, choice.hard_language, choice.soft_task, choice.soft_language) == (True,) * 4
    assert (choice.task_vectors, choice.language_vectors, choice.version) == (8, 8, "1")


@pytest.mark.parametrize(("levels", "form"), [*itertools.product(["none", "T", "L", "T+L"], ["hard", "soft", "both"])])
def test_every_switch(levels: str, form: str) -> None:
    choice = chosen({"levels": levels, "form": form})
    task, language = {"none": (0, 0), "T": (1, 0), "L": (0, 1), "T+L": (1, 1)}[levels]
    hard, soft = {"hard": (1, 0), "soft": (0, 1), "both": (1, 1)}[form]
    assert (choice.hard_task, choice.hard_language) == (task and hard, language and hard)
    assert (choice.soft_task, choice.soft_language) == (task and soft, language and soft)
    assert (choice.soft_task, choice.soft_language) == (task and soft, language and soft)


@pytest.mark.parametrize("levels", ["none", "T", "L", "T+L"])
def test_a_level_alone_will_do(levels: str) -> None:
    assert chosen(levels) == PromptChoice.model_validate({"levels": levels})


def test_own_texts_are_kept_under_our_codes_on_one_line() -> None:
    choice = chosen({"languages": {"bul_Cyrl": "Text in  Bulgarian\n(Cyrillic). ", "tlh": "Text in Klingon."}})
    assert choice.languages == {"bg": "Text in Bulgarian (Cyrillic).", "tlh": "Text in Klingon."}


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ("all", "expected one of none, T, L, T\\+L or a mapping .*, not 'all'"),
        (None, "PromptChoice"),
        (False, "PromptChoice"),
        ({"level": "T"}, "Extra inputs are not permitted"),
        ({"levels": "t"}, "'none', 'T', 'L' or 'T\\+L'"),
        ({"form": "neither"}, "'hard', 'soft' or 'both'"),
        ({"task_vectors": 0}, "greater than or equal to 1"),
        ({"language_vectors": 65}, "less than or equal to 64"),
        ({"version": "7"}, "unknown version '7' of the prompts; known here: 1"),
        ({"languages": {"xx": " "}}, "text for language 'xx' has 0 characters; expected 1 to 300"),
        ({"languages": {"xx": "a" * 301}}, "text for language 'xx' has 301 characters"),
        ({"languages": {"bg": "a", "bul": "b"}}, "two texts for language 'bg', one of them under 'bul': keep one"),
    ],
)
def test_what_cannot_be_is_refused(prompts: object, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        chosen(prompts)


def test_a_choice_does_not_change_and_comes_back_from_its_dump() -> None:
    choice = PromptChoice(levels="T", languages={"xx": "Text in X."})
    with pytest.raises(ValidationError, match="frozen"):
        choice.levels = "L"  # type: ignore[misc]
    assert PromptChoice.model_validate(choice.model_dump(mode="json")) == choice
