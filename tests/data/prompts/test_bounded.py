"""What templates may do, and that what they did before there was a budget they do still."""

from __future__ import annotations

import pytest

from limbeck.data.prompts.sandbox import fill, slots_of
from limbeck.errors import ConfigError

SLOTS = {"text": "Energy shortages push up the bills. " * 30, "title": "A {{ title }}", "labels": "'a' and 'b'"}
FILLED = {
    "{{ text }}": SLOTS["text"],
    "{{ title }}": "A {{ title }}",
    "{{ title|upper|center(20) }}": "A {{ TITLE }}".center(20),
    "{{ labels.replace(\"'\", '') }}": "a and b",
    "{% for w in 'a b'.split() %}{{ loop.index }}/{{ loop.length }} {{ w }}{{ ', ' if not loop.last }}{% endfor %}": (
        "1/2 a, 2/2 b"
    ),
    "{% for w in 'a b'|list if w != ' ' %}{{ w }}{% else %}none{% endfor %}": "ab",
    "{% macro m(a) %}<{{ a }}>{% endmacro %}{{ m('x') }}{{ m('y') }}": "<x><y>",
    "{% if text|length > 3 and 'bills' in text %}long{% endif %}": "long",
    "{{ text[:6] ~ '...' }}": "Energy...",
    "{{ 'ab'|join('-') }}{{ '-'.join(['a', 'b']) }}": "a-ba-b",
    "{{ '%s is %d' % ('a', 3) }}": "a is 3",
    "{{ '{} {:>3}'.format('a', 2) }}": "a   2",
    "{{ 2 ** 10 }} {{ 7 // 2 }} {{ 1.25|round(1) }} {{ -3|abs }}": "1024 3 1.2 3",
    "{{ {'a': 'b'}|tojson }}": '{"a": "b"}',
    "{% set x = 'a' * 3 %}{{ x }}": "aaa",
    "{% set ns = namespace(n=0) %}{% for i in range(5) %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}": "10",
    "{% filter upper %}abc{% endfilter %}": "ABC",
    "{% block a %}x{% endblock %}": "x",
    "{% raw %}{{ x }}{% endraw %}": "{{ x }}",
    "{{ (text * 20)|truncate(20000)|length > 19000 }}": "True",
    "{{ range(3)|map('string')|join(', ') }}": "0, 1, 2",
}


@pytest.mark.parametrize("template", FILLED)
def test_templates_do_what_they_did(template: str) -> None:
    slots_of(template)
    assert fill(template, SLOTS) == FILLED[template]


@pytest.mark.parametrize(
    "template",
    [
        "{{ 'a' * 10**9 }}",
        "{{ 'a'|center(10**9) }}",
        "{{ 'a'.rjust(2 * 10**9) }}",
        "{{ text.zfill(10**10) }}",
        "{{ ('a' * 9999).translate({97: 'b' * 99999}) }}",
        "{{ text.replace('', text * 9000) }}",
        "{{ (text * 50)|join('a' * 100000) }}",
        "{{ '%1000000000d' % 1 }}",
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{% set ns = namespace(x='a') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
    ],
)
def test_what_would_take_gigabytes_or_hours_is_refused(template: str) -> None:
    slots_of(template)
    with pytest.raises(ConfigError, match=r"gives a text of more than 1,017,\d+ characters, or takes as many steps"):
        fill(template, SLOTS)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ '{1}'.format_map({'0': text}) }}", "slots here: labels, text, title"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "nested too deeply"),
        ("{{ (1).to_bytes(9) }}", "what templates must not: int.to_bytes"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ range(10**9) }}", "Range too big"),
    ],
)
def test_other_faults_are_named(template: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        fill(template, SLOTS)


@pytest.mark.parametrize(
    "template", ["{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", "{{ " + "1+" * 20000 + "1 }}", "x" * 200_001]
)
def test_what_cannot_be_compiled_is_found_when_it_is_read(template: str) -> None:
    with pytest.raises(ValueError, match=r"nested too deeply|at most 200,000 are allowed") as raised:
        slots_of(template)
    assert len(str(raised.value)) < 400


def test_a_long_text_is_no_fault_of_the_template() -> None:
    """The budget grows with the slots: what a template does to a text it may do to a long one."""
    text = "a long text. " * 100_000
    assert fill("{{ text }}{{ text|upper }}", {"text": text}) == text + text.upper()
