"""A chat teacher's probabilities: what is asked, how failures count, and when the run stops."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from limbeck.errors import TeacherError
from limbeck.teachers.chat.answer import Answer, Failure, Outcome, TokenLogProb
from limbeck.teachers.chat.endpoint import ChatEndpoint
from limbeck.teachers.chat.request import ChatRequest
from limbeck.teachers.labels.asked import letter_probs, request_of, sample_probs
from limbeck.teachers.labels.label_probs import LabelProbs

NAMES = ["risk", "caution", "safe"]


class Scripted:
    """A teacher that answers by a function of the request."""

    def __init__(self, react: Callable[[ChatRequest], Outcome], log_probs: int = 5) -> None:
        self.endpoint = ChatEndpoint(base_url="http://127.0.0.1:9/v1", model="m", log_probs=log_probs)
        self.react, self.asked = react, list[ChatRequest]()

    def complete(self, requests: Sequence[ChatRequest], update: Any = None) -> list[Outcome]:
        self.asked += requests
        if update is not None:
            update(len(requests))
        return [self.react(request) for request in requests]


def messages(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def first_token(**log_probs: float) -> Answer:
    top = tuple(log_probs.items())
    return Answer(top[0][0], "length", "m", (TokenLogProb(top[0][0], top[0][1], top),))


def read(text: str) -> tuple[str | None, str]:
    return (text, "label") if text in NAMES else (None, "unknown_label")


def test_letters_are_asked_for_in_every_order_and_averaged() -> None:
    """The teacher means "safe" with .8 in every order, which each order's prompt gives another letter."""
    sure, other = math.log(0.8), math.log(0.1)
    by_prompt = {"order 0": "C", "order 1": "B", "order 2": "A"}

    def react(request: ChatRequest) -> Outcome:
        right = by_prompt[request.messages[-1].content]
        return first_token(**{letter: sure if letter == right else other for letter in "ABC"})

    teacher, done = Scripted(react), []
    scored = letter_probs(
        teacher, [[messages(f"order {turn}") for turn in range(3)]], 3, update=lambda n, note="": done.append(n)
    )  # type: ignore[arg-type]
    np.testing.assert_allclose(scored.probs_NC, [[0.1, 0.1, 0.8]])
    assert scored.how == "log_probs"
    assert {(r.max_tokens, r.top_log_probs, r.sampling_temperature, r.truncated_ok) for r in teacher.asked} == {
        (1, 5, 0.0, True)
    }
    assert sum(done) == 3


def test_a_letter_that_is_not_among_the_alternatives_is_floored() -> None:
    scored = letter_probs(Scripted(lambda r: first_token(A=-0.3, B=-1.6, The=-5.0)), [[messages("x")]], 3)  # type: ignore[arg-type]
    np.testing.assert_allclose(scored.probs_NC[0], [0.780258, 0.212645, 0.007097], atol=5e-7)
    assert scored.flags == (frozenset({"floored"}),)


def test_a_failure_that_still_has_log_probabilities_is_read() -> None:
    """The first token was a blank, so there is no text; the letters are among its alternatives.

    They have more than half of the probability. (They had 7 % of it here once, which is a leftover and no answer.)
    """
    top = ((" ", -0.8), ("A", -1.0), ("(A", -2.0), ("B", -4.0), ("C", -5.0))
    blank = Failure("empty", "no text", None, (TokenLogProb(" ", -0.8, top),))
    scored = letter_probs(Scripted(lambda r: blank), [[messages("x")]], 3)  # type: ignore[arg-type]
    assert scored.kept_N.all()
    assert scored.probs_NC[0].argmax() == 0


@pytest.mark.parametrize(
    "top",
    [
        (("<think>", -0.0001), ("Okay", -10.0), ("A", -13.0)),  # the article, behind a thought
        (("\u0412", -0.01), ("A", -7.0), ("B", -7.5)),  # Ve looks like B, and is the third letter
        (("D", -0.01), ("A", -7.0)),  # no label has it
        (("AB", -0.01), ("A", -7.0)),
        (("A", -0.8), ("The", -0.7)),
    ],
)
def test_an_answer_with_less_than_half_of_its_probability_on_letters_is_none(
    top: tuple[tuple[str, float], ...],
) -> None:
    for outcome in (
        Answer(top[0][0], "length", "m", (TokenLogProb(*top[0], top),)),
        Failure("empty", "no text", None, (TokenLogProb(*top[0], top),)),
    ):
        teacher = Scripted(lambda r, said=outcome: said)  # type: ignore[misc]
        scored = letter_probs(teacher, [[messages("x")]], 3, most_unreadable=1.0)  # type: ignore[arg-type]
        assert not scored.kept_N.any()
        assert scored.flags == (frozenset({"failed_no_letter", "orders_missing", "unreadable"}),)
        likeliest = max(top, key=lambda pair: pair[1])[0]
        with pytest.raises(TeacherError) as raised:
            letter_probs(teacher, [[messages("x")]], 3)  # type: ignore[arg-type]
        assert f"Most likely first tokens if there was no letter: {likeliest!a} (1)" in str(raised.value)
        assert "teacher.api.log_probs: 0" in str(raised.value)


def test_tokens_that_are_spelt_alike_are_added() -> None:
    """By hand: p(A) = exp(-.0002) + exp(-8.4), over itself with exp(-9.5) and exp(-10). The order makes no odds."""
    top = [("A", -0.0002), ("B", -7.0), ("A", -8.4), ("B", -9.5), ("C", -10.0), ("the", -12.0)]
    a, b, c = math.exp(-0.0002) + math.exp(-8.4), math.exp(-7) + math.exp(-9.5), math.exp(-10)
    for pairs in (top, top[::-1]):
        answer = Answer("A", "length", "m", (TokenLogProb("A", -0.0002, tuple(pairs)),))
        scored = letter_probs(Scripted(lambda r, said=answer: said), [[messages("x")]], 3)  # type: ignore[arg-type,misc]
        np.testing.assert_allclose(scored.probs_NC, [[a / (a + b + c), b / (a + b + c), c / (a + b + c)]], rtol=1e-12)
        assert scored.flags == (frozenset(),)


def test_a_sampled_token_that_is_not_among_its_alternatives_counts_once() -> None:
    answer = Answer("A", "length", "m", (TokenLogProb("A", -0.2, (("B", -2.5), ("C", -3.0))),))
    scored = letter_probs(Scripted(lambda r: answer), [[messages("x")]], 3)  # type: ignore[arg-type]
    odds = np.exp([-0.2, -2.5, -3.0])
    np.testing.assert_allclose(scored.probs_NC, [odds / odds.sum()])


def test_failures_flag_their_row_and_are_counted_by_kind() -> None:
    def react(request: ChatRequest) -> Outcome:
        text = request.messages[-1].content
        if text == "refused":
            return Failure("refused", "no")
        return first_token(Hm=-0.1) if text == "chatty" else first_token(A=-0.1, B=-3.0, C=-4.0)

    rows = [[messages(text)] for text in ("x", "refused", "chatty")]
    scored = letter_probs(Scripted(react), rows, 3, most_unreadable=1.0)  # type: ignore[arg-type]
    assert scored.kept_N.tolist() == [True, False, False]
    assert "failed_refused" in scored.flags[1]
    assert "failed_no_letter" in scored.flags[2]
    with pytest.raises(TeacherError, match=r"2 of 3 answers have no label \(1 refused, 1 no_letter\); at most 2 %"):
        letter_probs(Scripted(react), rows, 3)  # type: ignore[arg-type]


def test_samples_are_different_requests_and_counted() -> None:
    answers = ["risk"] * 7 + ["caution"] * 2 + ["safe"]
    teacher = Scripted(lambda r: Answer(answers[r.sample], "stop", "m"))
    scored = sample_probs(teacher, [messages("x")], NAMES, read)  # type: ignore[arg-type]
    np.testing.assert_allclose(scored.probs_NC[0], [0.652174, 0.217391, 0.130435], atol=5e-7)
    assert [r.sample for r in teacher.asked] == list(range(10))
    assert {(r.sampling_temperature, r.top_log_probs) for r in teacher.asked} == {(0.7, None)}


@pytest.mark.parametrize("lost", [2, 3])
def test_more_than_two_per_cent_of_samples_without_a_label_stop_the_run(lost: int) -> None:
    def react(request: ChatRequest) -> Outcome:
        number = int(request.messages[-1].content)
        return Answer("safe or risk" if number < lost else "risk", "stop", "m")

    rows = [messages(str(number)) for number in range(100)]
    if lost == 2:
        scored = sample_probs(Scripted(react), rows, NAMES, read, samples=1)  # type: ignore[arg-type]
        assert scored.kept_N.sum() == 98
        assert scored.flags[0] == {"unreadable", "failed_unknown_label"}
        return
    with pytest.raises(TeacherError, match=r"3 of 100 answers have no label \(3 unknown_label\)"):
        sample_probs(Scripted(react), rows, NAMES, read, samples=1)  # type: ignore[arg-type]


def test_a_plain_prompt_is_for_completion_endpoints() -> None:
    request = request_of("Input: x\nOutput:", max_tokens=4, stop=("\n",))
    assert (request.prompt, request.messages, request.stop) == ("Input: x\nOutput:", (), ("\n",))


def test_a_ceiling_is_not_blamed_on_the_prompt() -> None:
    reached = Failure("over_budget", "budget_usd is 0.5: $0.4900 was spent, and the next call may cost $0.0200")
    answers = [Answer("risk", "stop", "m"), Answer("dunno", "stop", "m"), reached, reached]

    def ask(outcomes: list[Outcome]) -> None:
        left = iter(outcomes)
        sample_probs(Scripted(lambda _: next(left)), [messages("a")], NAMES, read, samples=len(outcomes))  # type: ignore[arg-type]

    with pytest.raises(TeacherError) as error:
        ask([answers[0], *answers[2:]])
    assert str(error.value) == (
        f"the ceiling was reached: 2 of 3 requests were not sent. {reached.detail}. Earlier answers are in "
        "the journal and are not paid for again: raise that ceiling and run again"
    )
    with pytest.raises(
        TeacherError, match=r"2 of 4 requests were not sent \(3 of 4 answers have no label: 2 over_budget, 1 unknown"
    ):
        ask(answers)
    with pytest.raises(TeacherError, match=r"^1 of 2 answers have no label \(1 unknown_label\).*the prompt's format"):
        ask(answers[:2])


@pytest.mark.parametrize("letters", [False, True])
def test_a_ceiling_is_no_error_if_the_budget_may_run_out(letters: bool) -> None:
    """Three rows: the first is answered, the second was not sent, the third cannot be read if the test says so."""
    reached = Failure("over_budget", "budget_tokens is 9")

    def ask(third: Outcome) -> LabelProbs:
        left = iter([first_token(A=-0.1, B=-3.0) if letters else Answer("risk", "stop", "m"), reached, third])
        teacher = Scripted(lambda _: next(left))
        rows = [messages(text) for text in "abc"]
        if letters:
            return letter_probs(teacher, [[row] for row in rows], 3, may_run_out=True)  # type: ignore[arg-type]
        return sample_probs(teacher, rows, NAMES, read, samples=1, may_run_out=True)  # type: ignore[arg-type]

    found = ask(reached)
    assert found.kept_N.tolist() == [True, False, False]
    assert ["failed_over_budget" in flags for flags in found.flags] == [False, True, True]
    with pytest.raises(TeacherError, match=r"^1 of 2 answers have no label \(1 refused\).*The first failure: refused"):
        ask(Failure("refused", "no"))


def test_answers_that_were_cut_are_advised_more_room() -> None:
    cut = Failure("truncated", "reached max_tokens (64) before its end")
    with pytest.raises(TeacherError, match=r"2 of 2 answers have no label \(2 truncated\).*teacher\.api\.max_tokens"):
        sample_probs(Scripted(lambda r: cut), [messages("x")], NAMES, read, samples=2)  # type: ignore[arg-type]


def test_the_first_failure_is_quoted_with_the_key_that_it_is_about() -> None:
    def react(request: ChatRequest) -> Outcome:
        said = "HTTP 400: temperature must be 1."
        return Answer("risk", "stop", "m") if request.sample == 0 else Failure("rejected", said)

    with pytest.raises(TeacherError) as caught:
        sample_probs(Scripted(react), [messages("x")], NAMES, read, samples=3)  # type: ignore[arg-type]
    said = (
        "The first failure: rejected, HTTP 400: temperature must be 1. Set teacher.api.temperature to a value "
        "that the model "
    )
    assert said in str(caught.value)
