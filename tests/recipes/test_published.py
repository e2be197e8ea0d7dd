"""Quoted figures: of known recipes, plausible, and the same in the documentation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from limbeck.recipes.catalogue import RECIPES, recipe_card
from limbeck.recipes.published import PUBLISHED, Evidence, PublishedResult, published_results

PAGE = Path(__file__).parents[2] / "docs" / "published_results.md"


@pytest.mark.parametrize("one", PUBLISHED, ids=lambda one: f"{one.recipe}-{one.data}-{one.student}")
def test_a_result_is_of_a_recipe_and_bounded(one: PublishedResult) -> None:
    assert one.recipe in RECIPES
    for value in (one.figure, one.of_teacher, one.undistilled):
        assert value is None or (1 < value < 10 if one.is_factor else 10 < value < 100)
    assert one.of_teacher is None or one.teacher
    for words in (one.data, one.metric, one.student, one.source):
        assert words == words.strip() != ""
    assert not one.note.endswith(".")


def test_results_are_in_the_order_of_the_recipes_and_none_is_there_twice() -> None:
    places = [list(RECIPES).index(one.recipe) for one in PUBLISHED]
    assert places == sorted(places)
    assert len({(one.recipe, one.data, one.metric, one.student) for one in PUBLISHED}) == len(PUBLISHED)


def test_every_result_says_how_it_is_known() -> None:
    for one in PUBLISHED:
        assert f", {one.evidence.value}" in str(one)
        # A summary is not the paper, and a paper that was not read is not quoted as if it had been.
        assert ("survey" in one.source or "summary" in one.source) == (one.evidence is Evidence.SECOND_HAND)
    assert Evidence.UNCHECKED.value == "not checked against the paper"


def test_results_of_a_recipe() -> None:
    (kd,) = published_results("kd")
    assert str(kd) == (
        "Dolly: Rouge-L 22.8 (without distillation 23.3, teacher 27.6); GPT-2 120M, teacher GPT-2 1.5B; "
        "Gu et al. 2024, arXiv:2306.08543, not checked against the paper"
    )
    assert str(published_results("distillm")[0]).startswith("instruction following: 4.3 times the training speed of")
    assert published_results("fine_tune") == ()
    (distilbert,) = published_results("distilbert")
    assert ": mean 77.0 (teacher 79.5)" in str(distilbert)
    assert recipe_card("kd").published == (kd,)
    assert recipe_card("auto").published == ()


def test_the_documentation_has_the_same_results() -> None:
    text = PAGE.read_text(encoding="utf-8")
    parts = re.split(r"^## `(\w+)`$", text, flags=re.MULTILINE)
    shown = {
        name: re.findall(r"^- (.*)$", part, re.MULTILINE) for name, part in zip(parts[1::2], parts[2::2], strict=True)
    }
    assert list(shown) == list(dict.fromkeys(one.recipe for one in PUBLISHED))
    assert shown == {name: list(map(str, published_results(name))) for name in shown}
