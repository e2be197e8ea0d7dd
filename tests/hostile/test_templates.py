"""Templates of a prompt that want much: memory, time, other objects. Each is filled, or refused in plain words."""

from __future__ import annotations

import contextlib
import resource
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.hostile.tally import Tally

from limbeck.data.prompts.sandbox import fill, slots_of
from limbeck.errors import ConfigError

SLOTS = {"text": "Energy shortages push up the bills. " * 30, "title": "A {{ title }}", "labels": "'a' and 'b'"}
BIG = 10**9
PIECES = [
    "{{", "}}", "{%", "%}", "for x in", "range(9999)", "endfor", "text", "|", "center(", "99999999", ")", "*", "**",
    "~", "set y =", "y", "if", "endif", "macro f()", "endmacro", "f()", "(", "[", "]", "'a'", ",", "join", "{#",
    "#}", ".format",
]  # fmt: skip
REFUSED = [
    # Much out of little
    f"{{{{ 'a' * {BIG} }}}}",
    f"{{{{ {BIG} * 'a' }}}}",
    f"{{{{ text * {BIG} }}}}",
    f"{{{{ [text] * {BIG} }}}}",
    f"{{{{ [1] * {BIG} }}}}",
    f"{{{{ (1,) * {BIG} }}}}",
    f"{{{{ 'a'|center({BIG}) }}}}",
    f"{{{{ 'a'|center(width={BIG}) }}}}",
    f"{{{{ 'a'.center({BIG}) }}}}",
    f"{{{{ 'a'.ljust({BIG}) }}}}",
    f"{{{{ 'a'.rjust({2 * BIG}) }}}}",
    f"{{{{ text.zfill({10 * BIG}) }}}}",
    f"{{{{ '\\t'.expandtabs({BIG}) }}}}",
    f"{{{{ 'a\\nb'|indent({BIG}, true) }}}}",
    "{{ ('a' * 900000)|indent('b' * 900000) }}",
    "{{ text|replace('', text * 20000) }}",
    "{{ text.replace('', text * 9000) }}",
    "{{ ('a' * 100000).replace('a', 'b' * 100000) }}",
    "{{ ('a' * 9000)|replace('a', 'b' * 90000) }}",
    "{{ ('a' * 100000).join(text * 50) }}",
    "{{ (text * 50)|join('a' * 100000) }}",
    "{{ range(99999)|map('string')|join('x' * 500000) }}",
    "{{ ('x' * 500000).join(range(99999)|map('string')) }}",
    "{{ ('a' * 9999).translate({97: 'b' * 99999}) }}",
    f"{{{{ '%{BIG}d' % 1 }}}}",
    f"{{{{ '%.{BIG}f' % 1 }}}}",
    f"{{{{ '%*d' % ({BIG}, 1) }}}}",
    f"{{{{ '%{BIG}d'|format(1) }}}}",
    f"{{{{ '{{:{BIG}}}'.format('a') }}}}",
    f"{{{{ '{{0:>{{1}}}}'.format('a', {BIG}) }}}}",
    f"{{{{ '{{:>{{w}}}}'.format_map({{'w': {BIG}, '': 'a'}}) }}}}",
    "{{ ('{0}' * 20000).format(text * 20) }}",
    "{{ ('%(a)s' * 20000) % {'a': text * 20} }}",
    f"{{{{ text|batch({BIG}, 'a')|list }}}}",
    f"{{{{ text|slice({BIG})|list }}}}",
    f"{{{{ 1.5|round({BIG}, 'ceil') }}}}",
    f"{{{{ {{'a': 1}}|tojson({BIG}) }}}}",
    f"{{{{ 2 ** {BIG} }}}}",
    f"{{{{ (1).to_bytes({BIG}) }}}}",
    f"{{{{ range({BIG})|list }}}}",
    f"{{{{ lipsum({BIG}) }}}}",
    f"{{{{ lipsum(n={BIG}) }}}}",
    "{{ [[1]] * 3000|sum(start=[]) }}",
    "{{ ([[1]] * 9000)|sum(start=[])|length }}",
    "{{ text|wordwrap(1, true, 'a' * 99999) }}",
    "{{ 'a'|truncate(1, true, 'b' * 2000000) }}",
    # Little, again and again
    "{% for i in range(99999) %}{{ text }}{% endfor %}",
    "{% for i in range(99999) %}" + "x" * 1000 + "{% endfor %}",
    "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "{% for a in text %}{% for b in text %}{% for c in text %}{% for d in text %}"
    "{% endfor %}{% endfor %}{% endfor %}{% endfor %}",
    "{% set ns = namespace(x='a') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}",
    "{% set ns = namespace(x='a') %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
    "{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
    "{% set ns = namespace(x=1) %}{% for i in range(99) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
    "{% set ns = namespace(x=9) %}{% for i in range(99) %}{% set ns.x = ns.x * ns.x %}{% endfor %}{{ ns.x }}",
    "{% set ns = namespace(x='a') %}{% for i in range(99) %}{% set y %}{{ ns.x }}{{ ns.x }}{% endset %}"
    "{% set ns.x = y %}{% endfor %}",
    "{% set b = text * 400 %}{% for i in range(99999) %}{% if b in b %}{% endif %}{% endfor %}",
    "{% set b = text * 400 %}{% for i in range(99999) %}{% if b is in b %}{% endif %}{% endfor %}",
    "{% set b = text * 400 %}{% for i in range(99999) %}{% set c = b[1:] %}{% endfor %}",
    "{% set b = text * 400 %}{% for i in range(99999) %}{% set c = b.upper() %}{% endfor %}",
    "{% set b = text * 400 %}{% for i in range(99999) %}{% set c = b|upper %}{% endfor %}",
    "{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}",
    "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
    "{% macro f() %}" + "x" * 1000 + "{% endmacro %}{% for i in range(99999) %}{% set y = f() %}{% endfor %}",
    "{% block a %}{{ self.a() }}{% endblock %}",
    "{% block a %}x{% endblock %}{% for i in range(9999) %}{% for j in range(9999) %}"
    "{{ self.a() }}{% endfor %}{% endfor %}",
    "{% for a in [text] recursive %}{{ loop(a) }}{% endfor %}",
    "{% set j = joiner(text) %}{% for i in range(99999) %}{{ j() }}{% endfor %}",
    "{% set c = cycler(text, text) %}{% for i in range(99999) %}{{ c.next() }}{% endfor %}",
    "{% call(x) f() %}{% endcall %}",
    "{% for i in range(99999) %}{{ loop.length }}{{ text }}{% endfor %}",
    # Nested deep, or not at all
    "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "{{ " + "[" * 300 + "]" * 300 + " }}",
    "{{ " + "1+" * 20000 + "1 }}",
    "{{ " + "not " * 5000 + "1 }}",
    "{{ " + "-" * 5000 + "1 }}",
    "{{ text" + ".a" * 20000 + " }}",
    "{{ text" + "|upper" * 20000 + " }}",
    "{% if 1 %}" * 300 + "{% endif %}" * 300,
    "{% for a in text %}" * 200 + "{% endfor %}" * 200,
    "{{ 'a' " + "~ 'a' " * 60000 + "}}",
    "{{" * 9999,
    "{% if",
    "{# " * 9999,
    "{{ text }",
    "x" * 1_000_000,
    # What is not there
    "{{ '{1}'.format(text) }}",
    "{{ '{1}'.format_map({'0': text}) }}",
    "{{ text[10**6] }}",
    "{{ text['a'] }}",
    "{{ 1 / 0 }}",
    "{{ text|nothing }}",
    "{% include 'a' %}",
    "{% import 'a' as b %}",
    "{% extends '/etc/passwd' %}",
    "{{ nothing }}",
    "{{ {}['a'] }}",
    "{{ '%d' % text }}",
    "{{ text() }}",
    "{{ ''|first }}",
    # Other objects
    "{{ ''.__class__ }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ text.format.__globals__ }}",
    "{{ self.__init__ }}",
    "{{ '{0.__class__}'.format(text) }}",
    "{{ '{0.__class__}'|attr('format')(text) }}",
    "{{ cycler.__init__.__globals__ }}",
    "{{ namespace.__class__ }}",
    "{{ (1).__class__ }}",
    "{{ text.encode() }}",
    "{{ loop }}",
    "{{ [].append(1) }}",
    "{{ {}.update({1: 2}) }}",
    "{{ text|xmlattr }}",
    "{{ text|attr('__class__') }}",
    "{{ joiner.__init__ }}",
]


def test_templates_that_want_too_much_are_refused(tally: Tally) -> None:
    for template in REFUSED:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started = time.process_time()
        try:
            slots_of(template)
        except ValueError as error:
            said, outcome = str(error), "refused when it is read"
        else:
            with pytest.raises(ConfigError) as raised:
                fill(template, SLOTS)
            said, outcome = str(raised.value), "refused when it is filled in"
        assert time.process_time() - started < 15, template[:80]
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000, template[:80]
        assert len(said) < 1000
        tally.add(outcome)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=14).map(" ".join))
def test_made_up_templates_end_in_plain_words(template: str) -> None:
    with contextlib.suppress(ConfigError, ValueError):
        slots_of(template)
        fill(template, SLOTS)
