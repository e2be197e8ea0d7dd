"""Templates: what they may do, and what a slot can never do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.data.prompts.sandbox import fill, folded, slots_of
from limbeck.errors import ConfigError


def test_slots_are_filled_once() -> None:
    assert fill("{{ title }}. {{ text }}", {"title": "{{ text }}", "text": "{% raw %}"}) == "{{ text }}. {% raw %}"
    assert fill("{{ text }} <b>\n", {"text": "a < b & c"}) == "a < b & c <b>\n"


@pytest.mark.parametrize(
    "template", ["{{ text.__class__ }}", "{{ ''.__class__.__mro__ }}", "{{ text.format.__globals__ }}"]
)
def test_the_sandbox_keeps_templates_inside(template: str) -> None:
    with pytest.raises(ConfigError, match=r"does what templates must not|slots here"):
        fill(template + "{{ 1 }}", {"text": "x"})


def test_a_missing_slot_is_named_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"'titel' is undefined; slots here: text, title"):
        fill("{{ titel }}", {"title": "x", "text": "y"})


def test_what_is_no_template_says_where() -> None:
    with pytest.raises(ValueError, match=r"is not a template \(line 2\)"):
        slots_of("a\n{{ text")
    assert slots_of("{{ title }} {% if text %}{{ text }}{% endif %}") == {"title", "text"}


@given(st.text())
def test_a_folded_text_is_one_line_and_keeps_what_can_be_read(text: str) -> None:
    line = folded(text)
    assert len(line.splitlines()) <= 1
    assert folded(line) == line
    assert [c for c in line if c.isalnum()] == [c for c in text if c.isalnum()]


def test_punctuation_and_diacritics_stay() -> None:
    assert folded(" Ça va?\t\x00»Überschwemmung«\u2028град!  ") == "Ça va? »Überschwemmung« град!"
