"""What an API says of rows that it has labelled before: more samples, or other orders of the labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from tests.tasks.classification.test_prompted_teacher import LABELS, PROMPT, ROWS, Scripted, letter_of

from limbeck.errors import TeacherError
from limbeck.tasks.classification.prompted_teacher import chat_label_probs, content_free_rows, label_requests
from limbeck.tasks.classification.second_opinion import (
    answers_per_row,
    more_requests,
    second_opinion,
)
from limbeck.teachers.chat.answer import Answer, Failure, Outcome, TokenLogProb
from limbeck.teachers.chat.endpoint import ChatEndpoint
from limbeck.teachers.chat.request import ChatRequest
from limbeck.teachers.labels.label_probs import LabelProbs


def keys(requests: Sequence[ChatRequest]) -> set[tuple[str, int]]:
    return {(request.content_hash("chat", "m"), request.sample) for request in requests}


def opinion(teacher: Scripted, **options: Any) -> LabelProbs:
    return second_opinion(teacher, PROMPT, ROWS, LABELS, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("log_probs", [0, 5])
def test_what_is_asked_is_what_was_asked_and_what_is_counted_as_new(log_probs: int) -> None:
    endpoint = ChatEndpoint(base_url="http://127.0.0.1:9/v1", model="m", log_probs=log_probs)
    teacher = Scripted(of_letters if log_probs else lambda request: Answer("risk", "stop", "m"), log_probs=log_probs)
    opinion(teacher, samples=2)
    before = keys(label_requests(endpoint, PROMPT, ROWS, LABELS, 2))
    new = keys(more_requests(endpoint, PROMPT, ROWS, LABELS, 2))
    assert not before & new
    assert keys(teacher.asked) == before | new
    assert len(before | new) == len(teacher.asked) == len(ROWS) * answers_per_row(endpoint, len(LABELS), 2)


def test_new_samples_outvote_the_first_ones() -> None:
    """One row: both first samples are wrong, the four new ones right."""
    teacher = Scripted(lambda request: Answer("risk" if request.sample < 2 else "safe", "stop", "m"))
    found = opinion(teacher, samples=2)
    np.testing.assert_allclose(found.probs_NC, [[2.5 / 7.5, 0.5 / 7.5, 4.5 / 7.5]] * 2)
    assert found.how == "samples"
    assert found.raw_NC.tolist() == found.probs_NC.tolist()


def of_letters(request: ChatRequest) -> Outcome:
    """Sure of what stands behind "risk" in the cycle of the labels: another label if the cycle is reversed."""
    said = request.messages[0].content
    listed = [next(label for label in LABELS if f"{letter}. {label}" in said) for letter in "ABC"]
    right = letter_of(request, listed[(listed.index("risk") + 1) % 3])
    top = tuple((letter, -0.2 if letter == right else -3.0) for letter in "ABC")
    return Answer(right, "length", "m", (TokenLogProb(right, -0.2, top),))


def test_letters_are_asked_for_in_the_reversed_orders_and_the_mean_counts() -> None:
    first = chat_label_probs(Scripted(of_letters, log_probs=5), PROMPT, ROWS, LABELS)  # type: ignore[arg-type]
    found = opinion(Scripted(of_letters, log_probs=5))
    assert first.probs_NC.argmax(axis=1).tolist() == [1, 1]
    high, low = first.probs_NC[0].max(), first.probs_NC[0].min()
    np.testing.assert_allclose(found.probs_NC, [[low, (high + low) / 2, (high + low) / 2]] * 2)
    assert all("orders_disagree" in flags for flags in found.flags)
    assert "cut" in found.flags[1]


def test_an_order_that_cannot_be_read_leaves_the_other_answers() -> None:
    def react(request: ChatRequest) -> Outcome:
        reversed_orders = ["A. safe\nB. caution", "B. safe\nC. caution", "A. caution\nB. risk\nC. safe"]
        said = request.messages[0].content
        if any(order in said for order in reversed_orders):
            return Failure("refused", "no")
        return of_letters(request)

    first = chat_label_probs(Scripted(of_letters, log_probs=5), PROMPT, ROWS, LABELS)  # type: ignore[arg-type]
    found = opinion(Scripted(react, log_probs=5), most_unreadable=1.0)
    np.testing.assert_allclose(found.probs_NC, first.probs_NC)
    assert found.kept_N.all()
    assert "failed_refused" in found.flags[0]


@pytest.mark.parametrize("log_probs", [0, 5])
def test_calibration_divides_by_the_first_answers_about_nothing(log_probs: int) -> None:
    react: Callable[[ChatRequest], Outcome] = of_letters
    if not log_probs:
        react = lambda request: Answer("risk" if request.sample % 2 else "safe", "stop", "m")  # noqa: E731
    teacher = Scripted(react, log_probs=log_probs)
    free = chat_label_probs(Scripted(react, log_probs=log_probs), PROMPT, content_free_rows(PROMPT), LABELS, samples=1)  # type: ignore[arg-type]
    raw = opinion(Scripted(react, log_probs=log_probs), samples=1)
    found = opinion(teacher, samples=1, contextual=True)
    expected_NC = raw.probs_NC / free.probs_NC.mean(axis=0)
    np.testing.assert_allclose(found.probs_NC, expected_NC / expected_NC.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(found.raw_NC, raw.probs_NC)
    nothing = keys(label_requests(teacher.endpoint, PROMPT, content_free_rows(PROMPT), LABELS, 1))
    rows = keys(label_requests(teacher.endpoint, PROMPT, ROWS, LABELS, 1))
    new = keys(more_requests(teacher.endpoint, PROMPT, ROWS, LABELS, 1))
    assert keys(teacher.asked) == nothing | rows | new, "nothing new about nothing"


def test_a_budget_that_runs_out_is_no_error_but_other_failures_are() -> None:
    def react(request: ChatRequest) -> Outcome:
        if "festival" in request.messages[-1].content and request.sample > 3:
            return Failure("over_budget", "budget_tokens is 9")
        return Answer("risk", "stop", "m")

    found = opinion(Scripted(react), samples=2)
    assert ["failed_over_budget" in flags for flags in found.flags] == [False, True]
    teacher = Scripted(lambda request: Failure("over_budget", "budget_tokens is 9"))
    assert not opinion(teacher, samples=2).kept_N.any()

    def unreadable(request: ChatRequest) -> Outcome:
        return Answer("nothing", "stop", "m") if request.sample == 2 else react(request)

    with pytest.raises(TeacherError, match=r"2 of 10 answers have no label \(2 unknown_label\)"):
        opinion(Scripted(unreadable), samples=2)


def test_two_labels_are_new_only_where_the_instruction_names_them() -> None:
    endpoint, two = ChatEndpoint(base_url="http://127.0.0.1:9/v1", model="m", log_probs=5), LABELS[:2]
    for instruction, new in (("{{ labels }}?", True), ("Is it dangerous?", False)):
        prompt = PROMPT.model_copy(update={"instruction": instruction})
        before = keys(label_requests(endpoint, prompt, ROWS, two, 1))
        again = keys(more_requests(endpoint, prompt, ROWS, two, 1))
        assert again.isdisjoint(before) == new
        assert (again == before) == (not new)
