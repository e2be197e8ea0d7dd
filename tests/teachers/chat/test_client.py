"""The chat teacher against a server that answers well."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from limbeck.errors import ConfigError
from limbeck.teachers.chat.answer import Answer, Failure
from limbeck.teachers.chat.client import ChatTeacher
from limbeck.teachers.chat.endpoint import ChatEndpoint
from limbeck.teachers.chat.journal import Journal
from limbeck.teachers.chat.request import ChatRequest

Teacher = Callable[..., ChatTeacher]
Ask = Callable[..., ChatRequest]


def texts(outcomes: Any) -> list[str]:
    assert all(isinstance(outcome, Answer) for outcome in outcomes), outcomes
    return [outcome.text for outcome in outcomes]


def test_one_outcome_for_each_request_in_order(server: Any, teacher: Teacher, ask: Ask) -> None:
    requests = [ask(str(number)) for number in (3, 1, 2, 1)]
    done: list[int] = []
    outcomes = teacher().complete(requests, lambda n, note="": done.append(n))
    assert texts(outcomes) == [f"label of {number}" for number in (3, 1, 2, 1)]
    assert sum(done) == 4
    assert sorted(hit.said for hit in server.received) == ["1", "2", "3"], "the same question is asked once"
    assert outcomes[0] == Answer("label of 3", "stop", "oracle-1")


def test_nothing_is_asked_again_and_then_no_key_is_needed(
    server: Any, teacher: Teacher, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_KEY", "sk-0123456789abcdef")
    requests = [ask(str(number)) for number in range(5)]
    first = teacher(key_env="A_KEY").complete(requests)
    assert {hit.headers["authorization"] for hit in server.received} == {"Bearer sk-0123456789abcdef"}
    monkeypatch.delenv("A_KEY")
    server.received.clear()
    notes: list[str] = []
    assert teacher(key_env="A_KEY").complete(requests, lambda n, note="": notes.append(note)) == first
    assert server.received == []
    assert notes == ["from the journal"]
    with pytest.raises(ConfigError, match=r"environment variable A_KEY .* is not set"):
        teacher(key_env="A_KEY").complete([ask("new")])


def test_what_is_sent(server: Any, teacher: Teacher, ask: Ask) -> None:
    request = ask("x", max_tokens=7, sampling_temperature=0.5, top_p=0.9, stop=("END",), seed=4, sample=2,
                  top_log_probs=3, logit_bias={"5": 1.0}, extra={"response_format": {"type": "text"}})  # fmt: skip
    teacher(log_probs=3, limit_field="max_completion_tokens").complete([request])
    (hit,) = server.received
    assert hit.path == "/v1/chat/completions"
    assert hit.body == {
        "model": "oracle", "messages": [{"role": "user", "content": "x"}], "max_completion_tokens": 7,
        "temperature": 0.5, "top_p": 0.9, "stop": ["END"], "seed": 6, "logprobs": True, "top_logprobs": 3,
        "logit_bias": {"5": 1.0}, "response_format": {"type": "text"},
    }  # fmt: skip


def test_settings_of_the_endpoint_are_sent_and_are_part_of_the_key(server: Any, teacher: Teacher, ask: Ask) -> None:
    request = ask("x", max_tokens=7, sampling_temperature=0.5)
    settings: list[dict[str, Any]] = [
        {}, {"temperature": None}, {"temperature": 1}, {"max_tokens": 99}, {"reasoning_effort": "low"}
    ]  # fmt: skip
    for _ in range(2):
        for options in settings:
            teacher(**options).complete([request])
    sent = [
        {name: hit.body.get(name) for name in ("temperature", "max_tokens", "reasoning_effort")}
        for hit in server.received
    ]
    usual = {"temperature": 0.5, "max_tokens": 7, "reasoning_effort": None}
    assert sent == [
        usual,
        usual | {"temperature": None},
        usual | {"temperature": 1.0},
        *(usual | s for s in settings[3:]),
    ]


def test_the_completion_endpoint(server: Any, teacher: Teacher, journal: Journal, reply: Any) -> None:
    top = {" yes": -0.1, " no": -2.5}
    choice = {"text": " yes", "finish_reason": "stop",
              "logprobs": {"tokens": [" yes"], "token_logprobs": [-0.1], "top_logprobs": [top]}}  # fmt: skip

    def react(hit: Any) -> Any:
        reaction = reply(hit.said)
        reaction.body = json.dumps({"model": "m", "choices": [choice]}).encode()
        return reaction

    server.react = react
    (answer,) = teacher(kind="completions", log_probs=2).complete([ChatRequest(prompt="Is it?", top_log_probs=2)])
    assert server.received[0].path == "/v1/completions"
    assert server.received[0].body["prompt"] == "Is it?"
    assert server.received[0].body["logprobs"] == 2
    assert answer.text == " yes"
    assert answer.log_probs[0].top == ((" yes", -0.1), (" no", -2.5))


def test_samples_are_kept_apart(server: Any, teacher: Teacher, ask: Ask) -> None:
    requests = [ask("x", sample=number, sampling_temperature=1.0) for number in range(5)]
    assert len(texts(teacher().complete(requests[:2]))) == 2
    assert [hit.body.get("n") for hit in server.received] == [None, None]
    server.received.clear()
    assert len(texts(teacher().complete(requests))) == 5
    assert len(server.received) == 3


def test_several_samples_in_one_call(server: Any, teacher: Teacher, journal: Journal, ask: Ask) -> None:
    requests = [ask("x", sample=number, sampling_temperature=1.0) for number in range(5)]
    teacher(samples_per_call=4).complete(requests)
    assert sorted(hit.body.get("n", 1) for hit in server.received) == [1, 4]
    assert journal.spent().tokens == (10 + 8) + (10 + 2)


def test_samples_that_one_call_did_not_bring_are_asked_for(
    server: Any, teacher: Teacher, ask: Ask, reply: Any
) -> None:
    server.react = lambda hit: reply(hit.said, samples=min(2, hit.body.get("n", 1)))
    requests = [ask("x", sample=number, sampling_temperature=1.0) for number in range(5)]
    assert len(texts(teacher(samples_per_call=5).complete(requests))) == 5
    assert [hit.body.get("n", 1) for hit in server.received] == [5, 3, 1]


def test_no_more_calls_at_once_than_allowed(server: Any, teacher: Teacher, ask: Ask, reply: Any) -> None:
    def react(hit: Any) -> Any:
        reaction = reply(hit.said)
        reaction.delay_s = 0.02
        return reaction

    server.react = react
    teacher(concurrency=3).complete([ask(str(number)) for number in range(12)])
    assert server.most_at_once == 3


def test_all_that_an_endpoint_cannot_do_is_said_before_anything_is_sent(
    server: Any, teacher: Teacher, ask: Ask
) -> None:
    with pytest.raises(ConfigError, match=r"kind: .*prompt; log_probs: 0 is what .* 5 alternatives"):
        teacher(kind="completions").complete([ask("x", top_log_probs=5)])
    assert server.received == []


def test_within_a_running_event_loop(teacher: Teacher, ask: Ask) -> None:
    async def notebook() -> list[str]:
        return texts(teacher().complete([ask("x")]))

    assert asyncio.run(notebook()) == ["label of x"]


def test_two_runs_share_a_journal(server: Any, endpoint: Any, ask: Ask, reply: Any, tmp_path: Path) -> None:
    def react(hit: Any) -> Any:
        reaction = reply(hit.said)
        reaction.delay_s = 0.01
        return reaction

    server.react = react
    requests = [ask(str(number)) for number in range(60)]
    results: list[Any] = [None, None]

    def run(place: int) -> None:
        with Journal(tmp_path / "shared.sqlite") as journal:
            journal._connection.execute("PRAGMA synchronous = OFF")
            results[place] = ChatTeacher(endpoint(concurrency=4), journal).complete(requests)

    threads = [threading.Thread(target=run, args=(place,)) for place in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert texts(results[0]) == texts(results[1]) == [f"label of {number}" for number in range(60)]
    assert len(server.received) == 60, "each is asked by one of them"


def test_an_interrupt_keeps_the_answers_that_are_under_way(
    server: Any, endpoint: Callable[..., ChatEndpoint], journal: Journal, ask: Ask, reply: Any
) -> None:
    from limbeck.teachers.chat.calls import plan_calls
    from limbeck.teachers.chat.session import ask as ask_all

    def react(hit: Any) -> Any:
        reaction = reply(hit.said)
        reaction.delay_s = 0.1
        return reaction

    server.react = react
    requests = {(ask(str(n)).content_hash("chat", "oracle"), 0): ask(str(n)) for n in range(20)}

    async def interrupted() -> None:
        import random

        calls = plan_calls(requests, 1)
        work = asyncio.create_task(ask_all(endpoint(), journal, calls, lambda keys, spent: None, random.Random(0)))
        while not server.received:
            await asyncio.sleep(0.01)
        work.cancel()
        await work

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(interrupted())
    assert 1 <= len(server.received) <= 8
    kept = [request for (hashed, _), request in requests.items() if journal.outcome(hashed, request)]
    assert {request.messages[0].content for request in kept} == {hit.said for hit in server.received}


def test_an_answer_is_judged_anew_without_a_new_call(server: Any, teacher: Teacher, ask: Ask, reply: Any) -> None:
    server.react = lambda hit: reply(hit.said, finish="length")
    (outcome,) = teacher().complete([ask("x")])
    assert outcome == Failure("truncated", "reached max_tokens (256) before its end", "label of x")
    (outcome,) = teacher().complete([ask("x", truncated_ok=True)])
    assert outcome == Answer("label of x", "length", "oracle-1")
    assert len(server.received) == 1
