"""What recipes need, against what run files give."""

from __future__ import annotations

import re
from typing import Any

import pytest

from limbeck.errors import ConfigError
from limbeck.recipes.capabilities import Capability, Idle, Lack, needed_by, require
from limbeck.recipes.catalogue import build_recipe, recipe_card

C = Capability


@pytest.mark.parametrize(
    ("name", "arguments", "needed"),
    [
        ("fine_tune", {}, set()),
        ("linear_probe", {}, {C.FEATURES}),
        ("setfit", {}, {C.FEATURES}),
        ("pkd", {}, {C.FIRST_STATES, C.PROBABILITIES, C.OTHER_TEMPERATURES}),
        ("pkd", {"hint_weight": 0, "loss_temperature": 1}, {C.PROBABILITIES}),
        ("metadistil", {}, {C.FIRST_STATES, C.TRAINED_TEACHER}),
        ("metadistil", {"hint_weight": 0}, {C.TRAINED_TEACHER}),
        ("minilm", {"loss_temperature": 1}, {C.HIDDEN_STATES, C.PROBABILITIES}),
        ("mixkd", {}, {C.PROBES}),
        ("mixkd", {"teacher_mixup_weight": 0}, set()),
        ("ad_kd", {"loss_temperature": 1}, {C.PROBES, C.PROBABILITIES}),
        ("distilbert", {}, {C.HIDDEN_STATES, C.PROBABILITIES, C.OTHER_TEMPERATURES}),
        ("anon", {"rationale_weight": 0.3}, {C.RATIONALES}),
        ("ml_ipd", {}, set()),
        ("kd", {}, {C.PROBABILITIES, C.OTHER_TEMPERATURES}),
        ("reverse_kl", {}, {C.PROBABILITIES}),
        ("seqkd", {}, {C.WRITING, C.TEACHER_TEXTS, C.BEAM_SEARCH}),
        ("seqkd", {"decode": "sample"}, {C.WRITING, C.TEACHER_TEXTS}),
        ("gkd", {"fine_tune_fraction": 0}, {C.PROBABILITIES, C.WRITING}),
        ("distillm", {"fine_tune_fraction": 0, "corpus_weight": 1}, {C.PROBABILITIES, C.WRITING, C.CORPUS}),
    ],
)
def test_what_recipes_need(name: str, arguments: dict[str, Any], needed: set[Capability]) -> None:
    recipe = build_recipe(name, arguments, recipe_card(name).kinds[0])
    assert needed_by(recipe) - {C.SHARED_ROWS} == needed


@pytest.mark.parametrize(
    ("name", "arguments", "shared"),
    [
        ("kd", {}, True),
        ("seqkd", {}, True),
        ("gkd", {}, True),
        ("gkd", {"fine_tune_fraction": 0}, False),
        ("minilm_v2", {}, True),
    ],
)
def test_whose_texts_can_share_a_row(name: str, arguments: dict[str, Any], shared: bool) -> None:
    assert (C.SHARED_ROWS in needed_by(build_recipe(name, arguments, "generation"))) == shared


def test_a_message_names_recipe_section_and_the_way_out() -> None:
    recipe = build_recipe("pkd", {}, "classification")
    lack = Lack(C.FIRST_STATES, "teacher.api gives labels only", "Use another teacher")
    message = (
        "recipe 'pkd' with these arguments reads the teacher's [CLS] token, and teacher.api gives labels only. "
        "Use another teacher"
    )
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        require("recipe 'pkd'", recipe, [Lack(C.RATIONALES, "", ""), lack], beside=[])
    require("recipe 'pkd'", recipe, [Lack(C.RATIONALES, "", ""), Idle(C.FIRST_STATES, "", "")], beside=[])


def test_an_option_that_does_nothing_is_refused() -> None:
    recipe = build_recipe("pkd", {}, "classification")
    message = (
        "teacher.rationale is for a recipe that learns the teacher's rationales, and recipe 'pkd' with these "
        "arguments does not. Leave it out"
    )
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        require("recipe 'pkd'", recipe, [Idle(C.RATIONALES, "teacher.rationale", "Leave it out")], beside=[])
