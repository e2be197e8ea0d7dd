"""Which tokens of a conversation the assistant wrote, with templates that say so and with those that do not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from limbeck.data.generation.chat import chat_rows
from limbeck.data.generation.task import Generation
from limbeck.data.generation.truncation import Built, Unencodable

Make = Callable[..., Any]
TASK = Generation(messages="m")
END = "<|im_end|>"
TURNS = [
    ("system", "You are a helpful assistant."),
    ("user", "Add one and two."),
    ("assistant", "three"),
    ("user", "フランスの首都は?"),
    ("assistant", "パリです。 🙂"),
]
REWRITES = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' and not loop.last %}{{ m.content.split('</think>')[-1] }}"
    "{% else %}{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPACED = (
    "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
LINES = (
    "{% for m in messages %}{{ m.role }}:\n{{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:\n{% endif %}"
)


@pytest.fixture
def build(make_bpe: Make, examples_of: Make) -> Make:
    def built(template: str, rows: list[Any], end_ids: tuple[int, ...] = (4, 2), **options: Any) -> list[Any]:
        settings = {"system": None, "max_length": 256, "max_prompt": None} | options
        tokenizer = make_bpe(template, **settings.pop("tokenizer", {}))
        return list(chat_rows(examples_of(TASK, rows).rows, tokenizer, end_ids=end_ids, **settings))

    return built


def only(item: Built | Unencodable) -> Any:
    assert isinstance(item, Built), item
    (sequence,) = item.sequences
    return sequence


def learnt(item: Built | Unencodable, tokenizer: Any) -> list[str]:
    """The supervised texts, one for each stretch of tokens."""
    row = only(item)
    stretches: list[list[int]] = []
    for place, token in enumerate(row.ids):
        if row.supervised[place]:
            if not row.supervised[place - 1]:
                stretches.append([])
            stretches[-1].append(int(token))
    return [tokenizer.decode(stretch) for stretch in stretches]


@pytest.mark.parametrize("kind", ["chatml", "marked"])
def test_every_turn_of_the_assistant_is_learnt_with_its_end_token(
    request: pytest.FixtureRequest, build: Make, make_bpe: Make, kind: str
) -> None:
    tokenizer = make_bpe()
    (item,) = build(request.getfixturevalue(kind), [TURNS])
    assert learnt(item, tokenizer) == ["three" + END, "パリです。 🙂" + END]
    row = only(item)
    assert tokenizer.decode(row.completion_ids) == "パリです。 🙂" + END
    assert tokenizer.decode(row.prompt_ids).endswith(f"首都は?{END}\n<|im_start|>assistant\n")
    assert row.ended
    assert not item.odd_border


def test_both_ways_of_finding_turns_agree_and_ids_are_the_templates_own(
    build: Make, make_bpe: Make, chatml: str, marked: str
) -> None:
    rows = [TURNS, TURNS[1:3], TURNS[:3], TURNS[1:]]
    for row, one, other in zip(rows, build(chatml, rows), build(marked, rows), strict=True):
        assert only(one).key == only(other).key
        messages = [{"role": role, "content": content} for role, content in row]
        own = make_bpe(chatml).apply_chat_template(messages)["input_ids"]
        assert only(one).ids.tolist() == own[: len(only(one).ids)]
        assert make_bpe().decode(own[len(only(one).ids) :]) == "\n"  # nothing that follows the last end token is read


def test_an_end_token_behind_the_marked_words_is_learnt(build: Make, make_bpe: Make, marked: str) -> None:
    inside = f"{{{{ m.content }}}}{END}{{% endgeneration %}}"
    assert inside in marked
    behind = marked.replace(inside, f"{{{{ m.content }}}}{{% endgeneration %}}{END}")
    assert learnt(build(behind, [TURNS])[0], make_bpe()) == ["three" + END, "パリです。 🙂" + END]


@pytest.mark.parametrize("kind", ["chatml", "marked"])
def test_nothing_behind_the_first_end_token_is_learnt(
    request: pytest.FixtureRequest, build: Make, make_bpe: Make, kind: str
) -> None:
    (item,) = build(request.getfixturevalue(kind), [[("user", "one"), ("assistant", f"two{END} three")]])
    assert learnt(item, make_bpe()) == ["two" + END]


def test_an_end_token_that_also_pads_and_opens_turns_is_learnt_where_it_ends(build: Make, make_bpe: Make) -> None:
    # GPT-2's one special token is everything: padding, beginning, end and separator.
    template = (
        "{% for m in messages %}</s>{{ m.role }}\n{{ m.content }}{% endfor %}"
        "{% if add_generation_prompt %}</s>assistant\n{% else %}</s>{% endif %}"
    )
    turns = [("user", "one"), ("assistant", "two")]
    (item,) = build(template, [turns], end_ids=(2,), tokenizer={"pad_token": "</s>", "bos_token": "</s>"})
    assert learnt(item, make_bpe()) == ["two</s>"]


def test_a_template_that_changes_earlier_turns_is_refused_only_where_it_does(build: Make, make_bpe: Make) -> None:
    harmless = [("user", "one"), ("assistant", "two"), ("user", "three"), ("assistant", "<think>hm</think>four")]
    changed = [("user", "one"), ("assistant", "<think>hm</think>two"), ("user", "three"), ("assistant", "four")]
    kept, refused = build(REWRITES, [harmless, changed])
    assert learnt(kept, make_bpe()) == ["two" + END, "<think>hm</think>four" + END]
    assert isinstance(refused, Unencodable)
    assert "writes message 2 in other tokens than the whole conversation" in refused.reason
    assert "{% generation %}" in refused.reason


def test_a_prompt_whose_last_space_joins_the_answer_is_refused(build: Make) -> None:
    (refused,) = build(SPACED, [[("user", "What"), ("assistant", "the river")]])
    assert isinstance(refused, Unencodable)
    assert "asks for message 2 in other tokens" in refused.reason


def test_a_template_without_an_end_token_leaves_turns_open(build: Make, make_bpe: Make) -> None:
    (item,) = build(LINES, [TURNS[1:3]])
    assert learnt(item, make_bpe()) == ["three\n"]
    assert not only(item).ended


def test_a_template_that_marks_too_little_is_refused(build: Make, marked: str) -> None:
    last_only = marked.replace("m.role == 'assistant'", "m.role == 'assistant' and loop.last")
    (refused,) = build(last_only, [TURNS])
    assert isinstance(refused, Unencodable)
    assert "marks 1 stretches" in refused.reason
    assert "the assistant has 2 turns" in refused.reason


def test_a_template_that_begins_answers_otherwise_than_it_asks_for_them(build: Make, marked: str) -> None:
    odd = marked.replace("<|im_start|>assistant\n", "<|im_start|>assistant\n<think>")
    (item,) = build(odd, [TURNS])
    assert item.odd_border
    assert only(item).completion_ids[-1] == 4


def test_what_a_template_refuses_is_refused_with_its_words(build: Make) -> None:
    template = "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    (refused,) = build(template, [TURNS])
    assert isinstance(refused, Unencodable)
    assert "System role not supported" in refused.reason


def test_templates_run_in_a_sandbox(build: Make) -> None:
    (refused,) = build("{{ messages.__class__.__mro__[1].__subclasses__() }}", [TURNS])
    assert isinstance(refused, Unencodable)
    assert "SecurityError" in refused.reason


@pytest.mark.parametrize("kind", ["chatml", "marked"])
def test_a_conversation_that_waits_for_an_answer_is_a_prompt(
    request: pytest.FixtureRequest, build: Make, kind: str
) -> None:
    template = request.getfixturevalue(kind)
    whole, prompt = build(template, [TURNS, TURNS[:-1]])
    assert only(prompt).ids.tolist() == only(whole).prompt_ids.tolist()
    assert not only(prompt).supervised.any()
    assert len(only(prompt).completion_ids) == 0


def test_a_system_message_is_added_where_there_is_none(build: Make, chatml: str) -> None:
    system, text = TURNS[0]
    assert system == "system"
    added, own = build(chatml, [TURNS[1:], TURNS], system=text)
    assert only(added).key == only(own).key
    (other,) = build(chatml, [TURNS], system="Be brief.")
    assert only(other).key == only(own).key


def test_long_conversations_lose_their_beginning(build: Make, chatml: str) -> None:
    whole = only(build(chatml, [TURNS])[0])
    limit = len(whole.ids) - 3
    (item,) = build(chatml, [TURNS], max_length=limit)
    assert item.cut
    assert only(item).ids.tolist() == whole.ids.tolist()[3:]
    (refused,) = build(chatml, [TURNS], max_length=len(whole.completion_ids))
    assert isinstance(refused, Unencodable)


RATIONALES = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.reasoning_content %}<think>{{ m.reasoning_content }}"
    "</think>{% endif %}{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def test_thoughts_in_an_answer_are_learnt_and_thoughts_beside_it_are_not(build: Make, make_bpe: Make) -> None:
    """Of a template that writes `reasoning_content` out; checked rows have none."""
    thinks = "<think>one, two</think>three"
    (plain,), (thought,) = (
        build(RATIONALES, [[("user", "Add."), ("assistant", answer)]]) for answer in ("three", thinks)
    )
    assert learnt(plain, make_bpe(RATIONALES)) == [f"three{END}"]
    assert learnt(thought, make_bpe(RATIONALES)) == [f"{thinks}{END}"]
