"""Chat templates that ask for the date write the day they are told; those that draw by chance are refused."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import pytest

from limbeck.errors import ModelError
from limbeck.models.chat_template import at_date, reads_clock, require_steady, today_of, writes_date

DAY = date(2020, 3, 4)
TURNS = [{"role": "user", "content": "hello"}]
CHAT = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}\n{% endfor %}"
LLAMA_STYLE = (
    "{%- if not date_string is defined %}{%- if strftime_now is defined %}"
    "{%- set date_string = strftime_now('%d %b %Y') %}{%- else %}{%- set date_string = '26 Jul 2024' %}{%- endif %}"
    "{%- endif %}{{- 'Today Date: ' + date_string + '\n' }}" + CHAT
)
"""As in templates of Llama 3."""


@pytest.fixture
def tokenizer_of(make_causal_tokenizer: Callable[..., Any]) -> Callable[[str | None], Any]:
    def make(template: str | None) -> Any:
        tokenizer = make_causal_tokenizer(chat=False)
        tokenizer.chat_template = template
        return tokenizer

    return make


def text(tokenizer: Any, **options: Any) -> str:
    return str(tokenizer.apply_chat_template(TURNS, tokenize=False, **options))


@pytest.mark.parametrize(
    "directives",
    ["%d %b %Y", "%-d. %B %y", "%A, %a %w %u", "%Y-%m-%dT%H:%M:%S", "%j%%%j", "100%% %U|%W|%V|%G", "%c|%x|%X|%p|%I"],
)
def test_every_directive_is_written_as_python_writes_it(tokenizer_of: Any, directives: str) -> None:
    """At midnight: a template that asks for the time as well has the same one all day."""
    tokenizer = tokenizer_of("{{ strftime_now('" + directives + "') }}|" + CHAT)
    assert text(at_date(tokenizer, DAY)) == f"{datetime(2020, 3, 4).strftime(directives)}|<|user|>hello\n"


def test_the_template_is_the_same_in_all_else(tokenizer_of: Any) -> None:
    """Line breaks at its head, whether the name is defined, blocks, macros, the mask of what is generated."""
    tokenizer = tokenizer_of(LLAMA_STYLE)
    assert text(at_date(tokenizer, DAY)) == "Today Date: 04 Mar 2020\n<|user|>hello\n"
    assert text(at_date(tokenizer, DAY), date_string="then") == "Today Date: then\n<|user|>hello\n"
    tokenizer = tokenizer_of("\n  {{ strftime_now('%Y') }}\n" + CHAT)
    now = text(tokenizer)
    assert text(at_date(tokenizer, DAY)) == now.replace(str(today_of(tokenizer).year), "2020")
    tokenizer = tokenizer_of(
        "{% macro head(m) %}{{ strftime_now('%d') }}{% endmacro %}{% for m in messages %}{{ head(m) }}"
        "{% if m.role == 'user' %}{{ strftime_now('%m') }}{% endif %}{{ m.content }}{% endfor %}"
    )
    assert text(at_date(tokenizer, DAY)) == "0403hello"
    tokenizer = tokenizer_of("{{ strftime_now('%Y') }} {% generation %}{{ messages[0].content }}{% endgeneration %}")
    frozen = at_date(tokenizer, DAY)
    assert text(frozen) == "2020 hello"
    encoded = frozen.apply_chat_template(TURNS, return_dict=True, return_assistant_tokens_mask=True)
    pairs = zip(encoded["input_ids"], encoded["assistant_masks"], strict=True)
    assert tokenizer.decode([token for token, marked in pairs if marked]) == "hello"


def test_only_templates_that_ask_are_changed(tokenizer_of: Any) -> None:
    for template in (None, CHAT):
        tokenizer = tokenizer_of(template)
        assert at_date(tokenizer, DAY) is tokenizer
        assert not reads_clock(tokenizer)
        assert template is None or not writes_date(tokenizer)
    tokenizer = tokenizer_of(LLAMA_STYLE)
    assert at_date(tokenizer, None) is tokenizer
    assert at_date(tokenizer, DAY) is not tokenizer
    assert tokenizer.chat_template == LLAMA_STYLE
    assert reads_clock(tokenizer)
    assert writes_date(tokenizer)


def test_a_template_that_asks_but_does_not_write(tokenizer_of: Any) -> None:
    tokenizer = tokenizer_of("{% if tools %}{{ strftime_now('%d') }}{% endif %}" + CHAT)
    assert reads_clock(tokenizer)
    assert not writes_date(tokenizer)
    assert writes_date(tokenizer_of("{% if messages[0].role == 'system' %}{{ strftime_now('%d') }}{% endif %}" + CHAT))


def test_today_is_what_a_template_would_write(tokenizer_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import transformers.utils.chat_template_utils as templates

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime(2031, 5, 6, 23, 59)

    monkeypatch.setattr(templates, "datetime", Clock)
    tokenizer = tokenizer_of(LLAMA_STYLE)
    assert text(tokenizer).startswith("Today Date: 06 May 2031")
    assert today_of(tokenizer) == date(2031, 5, 6)


@pytest.mark.parametrize(
    "drawn",
    ["{{ ['Hi', 'Hello'] | random }}", "{{ lipsum(1) }}", "{{ [1, 2] | random }}{{ strftime_now('%d') }}"],
)
def test_a_template_that_draws_by_chance_is_refused(tokenizer_of: Any, drawn: str) -> None:
    state = random.getstate()
    with pytest.raises(ModelError, match="is random: it renders"):
        require_steady(tokenizer_of(drawn + CHAT))
    assert random.getstate() == state


def test_a_template_that_only_speaks_of_chance_is_not(tokenizer_of: Any) -> None:
    for template in (None, CHAT, "You answer random questions. " + CHAT, "{{ ['Hi'] | random }}" + CHAT):
        require_steady(tokenizer_of(template))
