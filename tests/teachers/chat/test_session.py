"""Retries, limits and ceilings, against a server that misbehaves."""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from limbeck.errors import StorageError, TeacherError
from limbeck.teachers.chat.answer import Answer, Failure
from limbeck.teachers.chat.client import ChatTeacher
from limbeck.teachers.chat.endpoint import Prices
from limbeck.teachers.chat.journal import Journal
from limbeck.teachers.chat.request import ChatRequest

Teacher = Callable[..., ChatTeacher]
Ask = Callable[..., ChatRequest]
PRICES = Prices(input_usd=1000, output_usd=10_000)  # the server's 10 + 2 tokens cost 3 cents


def once(fault: Any, reply: Any) -> Callable[[Any], Any]:
    """A server that misbehaves at the first call of each text."""
    return lambda hit: fault if hit.before == 0 else reply(hit.said)


# Trouble that passes.


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 529])
def test_a_status_that_passes_is_tried_again(
    status: int, server: Any, teacher: Teacher, ask: Ask, reply: Any, trouble: Any, journal: Journal
) -> None:
    server.react = once(trouble(status), reply)
    outcomes = teacher().complete([ask("a"), ask("b")])
    assert all(isinstance(outcome, Answer) for outcome in outcomes)
    assert len(server.received) == 4
    assert journal.spent().tokens == 24, "what failed by its own word costs nothing"


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("sent", [-1, 0, 20])
def test_a_cut_line_is_tried_again_and_counts_at_its_worst_case(
    sent: int, server: Any, teacher: Teacher, ask: Ask, reply: Any, journal: Journal
) -> None:
    cut = reply("a")
    cut.sent = sent
    server.react = once(cut, reply)
    (outcome,) = teacher().complete([ask("a")])
    assert outcome == Answer("label of a", "stop", "oracle-1")
    worst = ask("a").most_prompt_tokens() + 256
    assert journal.spent().tokens == worst + 12
    assert journal.summary().unknown.tokens == worst
    assert journal.summary().calls == {"answered": 1, "connection": 1}


@pytest.mark.usefixtures("no_waiting")
def test_a_time_out_is_tried_again_and_counts_at_its_worst_case(
    server: Any, teacher: Teacher, ask: Ask, reply: Any, journal: Journal
) -> None:
    late = reply("a")
    late.delay_s = 5.0
    server.react = once(late, reply)
    start = time.monotonic()
    (outcome,) = teacher(timeout_s=0.3).complete([ask("a")])
    assert isinstance(outcome, Answer)
    assert time.monotonic() - start < 4
    worst = ask("a").most_prompt_tokens() + 256
    assert journal.spent().tokens == worst + 12, "the server may have answered, and charged for it"
    assert journal.summary().calls == {"answered": 1, "timeout": 1}


@pytest.mark.fast_cases(4)
@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("body", [b'{"choices": [{"mess', b"", b"<html>busy</html>", b"[]", b"{}", b'{"choices": []}',
                                  b'{"choices": [7]}', b"[" * 100_000, b"\xff\xfe"])  # fmt: skip
def test_malformed_answers_are_tried_again_and_then_are_failures(
    body: bytes, server: Any, teacher: Teacher, ask: Ask, reply: Any
) -> None:
    broken = reply("a")
    broken.body = body
    server.react = once(broken, reply)
    (outcome,) = teacher().complete([ask("a")])
    assert isinstance(outcome, Answer)
    server.react = lambda hit: broken
    (outcome,) = teacher(tries=2).complete([ask("b")])
    assert isinstance(outcome, Failure)
    assert outcome.kind == "malformed"
    assert "2 tries" in outcome.detail


@pytest.mark.slow
@pytest.mark.parametrize("header", ["1", "date"])
def test_retry_after_is_honoured_by_all_calls(
    header: str, server: Any, teacher: Teacher, ask: Ask, reply: Any, trouble: Any
) -> None:
    arrived: list[float] = []

    def react(hit: Any) -> Any:
        arrived.append(time.monotonic())
        if len(arrived) == 1:
            value = header if header == "1" else formatdate(time.time() + 2, usegmt=True)
            return trouble(429, retry_after=value)
        return reply(hit.said)

    server.react = react
    outcomes = teacher(concurrency=1).complete([ask(str(number)) for number in range(3)])
    assert all(isinstance(outcome, Answer) for outcome in outcomes)
    assert arrived[1] - arrived[0] > 0.95, "a date has whole seconds, so two ahead is at least one"


@pytest.mark.usefixtures("no_waiting")
def test_failures_after_all_tries_are_data_and_asked_again_by_the_next_run(
    server: Any, teacher: Teacher, ask: Ask, trouble: Any, reply: Any
) -> None:
    server.react = lambda hit: trouble(500, "it burns") if hit.said == "a" else reply(hit.said)
    outcomes = teacher(tries=3).complete([ask("a"), ask("b")])
    assert outcomes[0] == Failure("server_error", "HTTP 500: it burns, 3 tries")
    assert isinstance(outcomes[1], Answer)
    server.react = lambda hit: reply(hit.said)
    assert isinstance(teacher().complete([ask("a")])[0], Answer)
    assert [hit.said for hit in server.received].count("b") == 1


def test_a_server_that_asks_for_hours_has_its_way(server: Any, teacher: Teacher, ask: Ask, trouble: Any) -> None:
    server.react = lambda hit: trouble(429, "daily limit", retry_after="7200")
    (outcome,) = teacher().complete([ask("a")])
    assert outcome == Failure("rate_limited", "HTTP 429: daily limit (asked to wait 7200 s)")
    assert len(server.received) == 1


@pytest.mark.slow
@pytest.mark.parametrize("tries", [6, 1])
def test_nobody_ever_there(tries: int, server: Any, teacher: Teacher, ask: Ask, journal: Journal) -> None:
    silent = teacher(tries=tries, concurrency=4)
    server.close()
    advanced: list[int] = []
    start = time.monotonic()
    with pytest.raises(TeacherError) as error:
        silent.complete([ask(str(number)) for number in range(100)], lambda n, note="": advanced.append(n))
    assert time.monotonic() - start < 10
    said = str(error.value)
    assert said.startswith(f"could not connect to {server.base_url}: Connect call failed ")
    assert f"({min(tries, 4)} tries), and there was never any answer. Check base_url" in said
    assert "ssl" not in said
    assert advanced == []
    assert journal.spent().tokens == 0


def test_an_unknown_host_is_nobody(teacher: Teacher, ask: Ask) -> None:
    with pytest.raises(
        TeacherError, match=r"^could not connect to http://nobody\.invalid/v1: .*there was never any answer"
    ):
        teacher(base_url="http://nobody.invalid/v1", tries=1).complete([ask("a")])


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("status", [200, 503])
def test_a_server_that_goes_away_is_waited_for(
    status: int, server: Any, teacher: Teacher, ask: Ask, reply: Any, trouble: Any, journal: Journal
) -> None:
    """One that answered is known to be there, if only to say that it is still loading its model."""
    fleeting = teacher(tries=6, concurrency=1)
    server.react = lambda hit: leave(reply(hit.said) if status == 200 else trouble(status))

    def leave(reaction: Any) -> Any:
        server._server.close()
        reaction.headers["Connection"] = "close"
        return reaction

    advanced: list[int] = []
    outcomes = fleeting.complete([ask("a"), ask("b")], lambda n, note="": advanced.append(n))
    assert isinstance(outcomes[0], Answer) == (status == 200)
    assert isinstance(outcomes[1], Failure)
    assert outcomes[1].kind == "connection"
    assert outcomes[1].detail.endswith("6 tries")
    assert sum(advanced) == (status == 200), "what failed is not done"
    with pytest.raises(TeacherError, match=r"there was never any answer"):
        fleeting.complete([ask("c")])


@pytest.mark.skipif(sys.platform != "linux", reason="needs a listener whose queue is full")
def test_a_host_that_does_not_let_us_connect_costs_nothing(teacher: Teacher, ask: Ask, journal: Journal) -> None:
    with socket.socket() as listener, ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            queued = stack.enter_context(socket.socket())
            queued.setblocking(False)
            queued.connect_ex(listener.getsockname())
        base_url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        (outcome,) = teacher(base_url=base_url, timeout_s=1, tries=1).complete([ask("a")])
    assert isinstance(outcome, Failure)
    assert outcome.kind == "connection"
    assert journal.spent().tokens == 0


def with_fields(reply: Any, said: str, /, **fields: Any) -> Any:
    reaction = reply(said)
    reaction.body = json.dumps(json.loads(reaction.body) | fields).encode()
    return reaction


# Answers that broke off.


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("end", ["error", "network_error", "insufficient_system_resource"])
def test_an_answer_that_broke_off_is_asked_for_again_and_never_kept(
    end: str, server: Any, teacher: Teacher, ask: Ask, reply: Any, journal: Journal
) -> None:
    server.react = once(reply("half", finish=end), reply)
    assert teacher().complete([ask("a")]) == [Answer("label of a", "stop", "oracle-1")]
    assert journal.spent().tokens == 24, "both were paid for, and say their usage"
    assert journal.summary().answers == {"answer": 1}
    server.react = lambda hit: reply("half", finish=end)
    (outcome,) = teacher(tries=3).complete([ask("b")])
    assert outcome == Failure("server_error", f"broke off (finish reason: {end}), 3 tries")
    server.react = lambda hit: reply(hit.said)
    assert isinstance(teacher().complete([ask("b")])[0], Answer), "the next run asks again"
    assert len(server.received) == 6


@pytest.mark.parametrize("end", ["SAFETY", "sensitive", "tool_calls", None])
def test_an_end_that_is_not_known_is_asked_for_again_by_the_next_run(
    end: Any, server: Any, teacher: Teacher, ask: Ask, reply: Any, journal: Journal
) -> None:
    server.react = lambda hit: reply(hit.said, finish=end)
    for tries in (1, 2):
        (outcome,) = teacher().complete([ask("a")])
        assert isinstance(outcome, Failure)
        assert outcome.kind == "malformed"
        assert len(server.received) == tries, "it would end so again"
    assert journal.summary().answers == {}
    assert journal.spent().tokens == 24
    server.react = lambda hit: reply(hit.said)
    assert isinstance(teacher().complete([ask("a")])[0], Answer)


def test_twenty_of_them_in_a_row_end_the_run(server: Any, teacher: Teacher, ask: Ask, reply: Any) -> None:
    server.react = lambda hit: reply(hit.said, finish="sensitive")
    with pytest.raises(TeacherError, match=r"20 requests in a row .* \(finish reason: sensitive\)\. Earlier answers"):
        teacher(concurrency=1).complete([ask(str(number)) for number in range(50)])
    assert len(server.received) == 20


@pytest.mark.usefixtures("no_waiting")
def test_of_several_samples_those_that_broke_off_are_asked_for_again(
    server: Any, teacher: Teacher, ask: Ask, reply: Any, journal: Journal
) -> None:
    def react(hit: Any) -> Any:
        count = hit.body.get("n", 1)
        made = json.loads(reply(hit.said, samples=count).body)["choices"]
        for place in range(0, count, 2) if hit.before == 0 else ():
            made[place]["finish_reason"] = "error"
        return with_fields(reply, hit.said, choices=made)

    server.react = react
    outcomes = teacher(samples_per_call=5).complete([ask("x", sample=number) for number in range(5)])
    assert all(isinstance(outcome, Answer) for outcome in outcomes)
    assert [hit.body.get("n", 1) for hit in server.received] == [5, 3]


def test_an_answer_that_an_earlier_version_took_is_asked_for_again(
    server: Any, teacher: Teacher, ask: Ask, journal: Journal
) -> None:
    hashed = ask("a").content_hash("chat", "oracle")
    broken = {"message": {"content": "Not risk but"}, "finish_reason": "error"}
    choices: Any = {0: broken, 1: {"message": {}, "finish_reason": "stop"}}
    kinds = {0: "answer", 1: "empty"}
    with journal.transaction():
        journal.keep(0, hashed, model="oracle", served_model="oracle-1", choices=choices, kinds=kinds)
    outcomes = teacher().complete([ask("a"), ask("a", sample=1)])
    assert isinstance(outcomes[0], Answer)
    assert isinstance(outcomes[1], Failure)
    assert len(server.received) == 1, "other failures stay"


# Errors under status 200.


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("error", [{"code": 429, "message": "slow"}, {"status": "503"}, "busy", {"message": "busy"}])
def test_an_error_under_200_that_may_pass_is_tried_again_and_costs_nothing(
    error: Any, server: Any, teacher: Teacher, ask: Ask, reply: Any, journal: Journal
) -> None:
    fault = reply("x")
    fault.body = json.dumps({"error": error}).encode()
    server.react = once(fault, reply)
    assert all(isinstance(outcome, Answer) for outcome in teacher().complete([ask("a"), ask("b")]))
    assert len(server.received) == 4
    assert journal.spent().tokens == 24


def test_an_error_under_200_that_every_call_would_meet_ends_the_run(
    server: Any, teacher: Teacher, ask: Ask, reply: Any, journal: Journal
) -> None:
    fault = reply("x")
    fault.body = json.dumps({"error": {"code": 402, "message": "Insufficient credits"}}).encode()
    server.react = lambda hit: fault
    message = r"does not serve model 'oracle' to us: HTTP 200 with error 402 in its body: Insufficient credits\. Check"
    with pytest.raises(TeacherError, match=message):
        teacher(concurrency=1).complete([ask(str(number)) for number in range(50)])
    assert len(server.received) == 1
    assert journal.spent().tokens == 0
    assert journal.summary().calls == {"rejected": 1}


def test_retry_after_counts_under_200(server: Any, teacher: Teacher, ask: Ask, reply: Any) -> None:
    fault = reply("x")
    fault.body, fault.headers = json.dumps({"error": {"code": 429}}).encode(), {"Retry-After": "7200"}
    server.react = lambda hit: fault
    (outcome,) = teacher().complete([ask("a")])
    assert isinstance(outcome, Failure)
    assert outcome.kind == "rate_limited"
    assert outcome.detail.endswith("(asked to wait 7200 s)")


# Odd answers that were paid for.


@pytest.mark.parametrize(
    "fields",
    [
        {"usage": {"prompt_tokens": 2**63, "completion_tokens": 1}},
        {"usage": {"prompt_tokens": 10**400, "completion_tokens": -(10**400)}},
        {"usage": [[[]]]},
        {"model": "\ud800"},
        {"model": "x" * 10**6},
        {"model": {"name": "x"}},
        {"id": 10**4000},
        {"more": json.loads("[" * 700 + "]" * 700)},
        {"usage": None, "model": None, "created": None},
    ],
)
def test_an_odd_field_never_loses_an_answer(
    fields: dict[str, Any], server: Any, teacher: Teacher, ask: Ask, reply: Any, journal: Journal
) -> None:
    server.react = lambda hit: with_fields(reply, hit.said, **fields)
    for _ in range(2):
        (outcome,) = teacher().complete([ask("a")])
        assert isinstance(outcome, Answer)
        assert outcome.text == "label of a"
        assert len(outcome.served_model) <= 200
    assert len(server.received) == 1
    worst = ask("a").most_prompt_tokens() + 256
    assert journal.spent().tokens == (worst if "usage" in fields else 12), "an unbelievable usage is none"


@pytest.mark.parametrize("depth", [30, 200, 700, 850])
def test_an_answer_with_deep_json_inside_is_kept(
    depth: int, server: Any, teacher: Teacher, ask: Ask, reply: Any
) -> None:
    body = reply("a", more=7).body.replace(b"7", b"[" * depth + b"]" * depth)
    server.react = lambda hit: replace(reply(hit.said), body=body)
    for _ in range(2):
        assert isinstance(teacher().complete([ask("a")])[0], Answer)
    assert len(server.received) == 1


@pytest.mark.usefixtures("no_waiting")
def test_a_longer_answer_than_can_be_is_malformed(
    server: Any, teacher: Teacher, ask: Ask, reply: Any, journal: Journal
) -> None:
    server.react = lambda hit: with_fields(reply, hit.said, padding="x" * 6_000_000)
    (outcome,) = teacher(tries=2).complete([ask("a", max_tokens=64)])
    assert outcome == Failure("malformed", "the answer is longer than 4 MB, 2 tries")
    assert journal.spent().tokens == 2 * (ask("a").most_prompt_tokens() + 64)
    assert isinstance(teacher().complete([ask("a", max_tokens=10_000)])[0], Answer), "one of 10,000 tokens may be"


# Trouble that does not pass.


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, ""), (402, ""), (403, ""), (404, "model_not_found"), (429, "insufficient_quota"), (302, "")],
)
def test_what_every_call_would_meet_ends_the_run_at_once(
    status: int, code: str, server: Any, teacher: Teacher, ask: Ask, trouble: Any
) -> None:
    server.react = lambda hit: trouble(status, "go away", code=code)
    with pytest.raises(TeacherError, match=rf"does not serve model 'oracle' to us: HTTP {status}: go away"):
        teacher(concurrency=1).complete([ask(str(number)) for number in range(50)])
    assert len(server.received) == 1


def test_a_rejected_request_is_a_failure_and_the_others_go_on(
    server: Any, teacher: Teacher, ask: Ask, trouble: Any, reply: Any
) -> None:
    too_long = trouble(400, "maximum context length exceeded")
    filtered = trouble(400, "filtered", code="content_filter")
    server.react = lambda hit: {"a": too_long, "b": filtered}.get(hit.said) or reply(hit.said)
    outcomes = teacher().complete([ask("a"), ask("b"), ask("c")])
    assert outcomes[0] == Failure("rejected", "HTTP 400: maximum context length exceeded")
    assert outcomes[1] == Failure("refused", "HTTP 400: filtered")
    assert isinstance(outcomes[2], Answer)
    assert len(server.received) == 3


def test_a_setting_that_the_model_refuses_ends_the_run_and_names_the_key(
    server: Any, teacher: Teacher, ask: Ask, trouble: Any, reply: Any
) -> None:
    refusal = trouble(400, "Unsupported value: 'temperature' does not support 0.", code="unsupported_value")
    server.react = lambda hit: refusal if hit.body.get("temperature") == 0 else reply(hit.said)
    requests = [ask(str(number)) for number in range(50)]
    with pytest.raises(TeacherError, match=r"rejects requests to .* support 0\. Set teacher\.api\.temperature to"):
        teacher(concurrency=1).complete(requests)
    assert len(server.received) == 1
    assert all(isinstance(outcome, Answer) for outcome in teacher(temperature=None).complete(requests))
    assert all(isinstance(outcome, Answer) for outcome in teacher(temperature=1).complete(requests))
    assert len(server.received) == 101, "what is asked in another way has another key"


def test_requests_that_are_refused_in_a_row_name_the_key(
    server: Any, teacher: Teacher, ask: Ask, trouble: Any
) -> None:
    server.react = lambda hit: trouble(400, "max_tokens must be at least 1024")
    with pytest.raises(TeacherError, match=r"20 requests in a row .*Set teacher\.api\.max_tokens .* and start again"):
        teacher(concurrency=1).complete([ask(str(number)) for number in range(50)])


def test_the_name_of_another_model_is_shown_as_a_line(server: Any, teacher: Teacher, ask: Ask, reply: Any) -> None:
    server.react = lambda hit: reply(hit.said, model="\x1b]0;owned\x07" if hit.said == "1" else "oracle-1")
    with pytest.raises(TeacherError, match=r"answered as '\]0;owned', but") as caught:
        teacher(concurrency=1).complete([ask("0"), ask("1")])
    assert str(caught.value).isprintable()


def test_another_model_ends_the_run_and_what_it_said_does_not_count(
    server: Any, teacher: Teacher, journal: Journal, ask: Ask, reply: Any
) -> None:
    server.react = lambda hit: reply(hit.said, model="oracle-2" if hit.said == "2" else "oracle-1")
    with pytest.raises(TeacherError, match=r"answered as 'oracle-2', but .* came from 'oracle-1'.*a new journal"):
        teacher(concurrency=1).complete([ask(str(number)) for number in range(6)])
    assert [hit.said for hit in server.received] == ["0", "1", "2"]
    assert journal.summary().answers == {"answer": 2, "wrong_model": 1}
    outcomes = teacher().complete([ask(str(number)) for number in range(3)])
    assert outcomes[2] == Failure("wrong_model", "answered by 'oracle-2', but 'oracle-1' answered before")
    assert len(server.received) == 3, "it was paid for, so it is not asked for again"


# Ceilings.


def test_the_ceiling_in_money_is_never_passed(server: Any, teacher: Teacher, journal: Journal, ask: Ask) -> None:
    requests = [ask(f"{number:03}", max_tokens=10) for number in range(50)]
    worst = PRICES.usd(requests[0].most_prompt_tokens(), 10)
    assert worst == pytest.approx(0.139)
    outcomes = teacher(prices=PRICES, budget_usd=0.50, concurrency=4).complete(requests)
    answered = sum(isinstance(outcome, Answer) for outcome in outcomes)
    assert answered == 13, "12 answers cost 0.36; a 13th may cost 0.139 and a 14th would pass"
    assert journal.spent().usd == pytest.approx(0.39)
    assert len(server.received) == 13
    refused = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    assert {outcome.kind for outcome in refused} == {"over_budget"}
    assert {outcome.detail for outcome in refused} == {
        "budget_usd is 0.5: $0.3900 was spent, and the next call may cost $0.1390"
    }


def test_the_ceiling_covers_what_earlier_runs_spent(server: Any, teacher: Teacher, journal: Journal, ask: Ask) -> None:
    requests = [ask(f"{number:03}", max_tokens=10) for number in range(20)]
    worst = requests[0].most_prompt_tokens() + 10
    first = teacher(budget_tokens=5 * 12 + worst).complete(requests)
    assert sum(isinstance(outcome, Answer) for outcome in first) == 6
    again = teacher(budget_tokens=5 * 12 + worst, prices=PRICES, budget_usd=1000).complete(requests)
    assert again == first
    assert isinstance(again[-1], Failure)
    ceiling = f"budget_tokens is {60 + worst}: 72 were spent, and the next call may take {worst}"
    assert again[-1].detail == ceiling, "the other ceiling is far"
    assert len(server.received) == 6
    more = teacher(budget_tokens=100_000).complete(requests)
    assert all(isinstance(outcome, Answer) for outcome in more)
    assert len(server.received) == 20


def test_reservations_of_calls_under_way_count(server: Any, teacher: Teacher, journal: Journal, ask: Ask) -> None:
    """With room for two worst cases, 20 calls at once would pass the ceiling; two at a time do not."""
    requests = [ask(f"{number:03}", max_tokens=10) for number in range(20)]
    worst = requests[0].most_prompt_tokens() + 10
    original = server.react

    def react(hit: Any) -> Any:
        reaction = original(hit)
        reaction.delay_s = 0.02
        return reaction

    server.react = react
    outcomes = teacher(budget_tokens=2 * worst, concurrency=20).complete(requests)
    assert server.most_at_once <= 2
    answers = sum(isinstance(outcome, Answer) for outcome in outcomes)
    assert answers == (2 * worst - worst) // 12 + 1
    assert journal.spent().tokens <= 2 * worst


def test_an_answer_without_usage_counts_at_its_worst_case(
    server: Any, teacher: Teacher, journal: Journal, ask: Ask, reply: Any
) -> None:
    def react(hit: Any) -> Any:
        reaction = reply(hit.said)
        reaction.body = reaction.body.replace(b"usage", b"other")
        return reaction

    server.react = react
    (outcome,) = teacher().complete([ask("a", max_tokens=10)])
    assert isinstance(outcome, Answer)
    assert journal.spent().tokens == ask("a").most_prompt_tokens() + 10


@pytest.mark.slow
def test_requests_per_minute(server: Any, teacher: Teacher, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    from limbeck.teachers.chat import limits

    monkeypatch.setattr(limits, "_WINDOW_S", 0.5)
    start = time.monotonic()
    teacher(requests_per_minute=4, concurrency=8).complete([ask(str(number)) for number in range(10)])
    assert time.monotonic() - start >= 1.0, "4 at once, 4 after half a second, 2 after another"
    assert len(server.received) == 10


# A journal that cannot be written.


def test_no_answer_counts_that_is_not_on_disk(
    server: Any, teacher: Teacher, journal: Journal, ask: Ask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import sqlite3

    def full(*arguments: Any, **options: Any) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    done: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(journal, "keep", full)
        with pytest.raises(StorageError, match=r"journal .*could not be written: database or disk is full"):
            teacher().complete([ask(str(number)) for number in range(30)], lambda n, note="": done.append(n))
    assert done == []
    assert len(server.received) <= 8
    assert all(isinstance(outcome, Answer) for outcome in teacher().complete([ask("1")]))
