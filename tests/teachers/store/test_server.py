"""Asking a server on the loopback interface, and what it does when the server does not answer."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.teachers.store.completions_server import Server, cut_off, hang_up, serving, status

from limbeck.errors import ConfigError, TeacherError
from limbeck.teachers.chat.endpoint import Endpoint
from limbeck.teachers.store.server import score_sequences

SEQUENCES = [[1, 5, 3, 2], [1, 4, 2], [1, 7, 7, 7, 2]]


def distributions(ids: list[int]) -> list[list[float]]:
    """Of nine tokens; what follows depends on the token before and the place."""
    found = []
    for place, token in enumerate(ids):
        weights = [math.exp(((token * 5 + place * 3 + other * 7) % 11) / 3) for other in range(9)]
        found.append([math.log(weight / sum(weights)) for weight in weights])
    return found


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(distributions) as state:
        yield state


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, float | None]]:
    """The failed tries before each pause, and what the server asked for; the pauses themselves are short."""
    asked: list[tuple[int, float | None]] = []

    def short(tries: int, asked_s: float | None, rng: Any) -> float:
        asked.append((tries, asked_s))
        return 0.001

    monkeypatch.setattr("limbeck.teachers.store.server.back_off_s", short)
    return asked


def endpoint(server: Server, **options: Any) -> Endpoint:
    return Endpoint(base_url=server.url, model="teacher", **{"tries": 3, **options})


def ask(server: Server, top_k: int = 3, sequences: Any = SEQUENCES, **options: Any) -> dict[int, list[Any]]:
    return dict(score_sequences(endpoint(server, **options), sequences, top_k))


def test_every_sequence_has_its_own_answer(server: Server) -> None:
    found = ask(server)
    assert sorted(found) == [0, 1, 2]
    for number, ids in enumerate(SEQUENCES):
        assert found[number][0] is None
        for place, position in enumerate(found[number][1:]):
            truth = distributions(ids)[place]
            assert str(ids[place + 1]) in position
            assert {int(token): each["logprob"] for token, each in position.items()} == pytest.approx(
                {int(token): truth[int(token)] for token in position}
            )
    sent = sorted(server.asked, key=lambda body: body["prompt"])
    assert [body["prompt"] for body in sent] == sorted(SEQUENCES)
    assert {(body["model"], body["prompt_logprobs"], body["max_tokens"]) for body in sent} == {("teacher", 3, 1)}


def test_several_are_asked_at_a_time_and_no_more_than_wished(server: Server) -> None:
    def slow(handler: Any) -> None:
        time.sleep(0.05)
        handler.say(200, {"choices": [{"prompt_logprobs": [None]}]})

    server.faults = [slow] * 12
    found = ask(server, sequences=[[1]] * 12, concurrency=4)
    assert len(found) == 12
    assert 2 <= server.most_at_once <= 4


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize(
    "fault",
    [
        status(500),
        status(503, Retry_After="0"),
        status(429),
        cut_off,
        hang_up,
        status(200, b"<html>"),
        status(200, {"error": {"code": 503}}),
        status(200, b"x" * 5_000_000),
    ],
    ids=["500", "503", "429", "cut off", "hang up", "no json", "503 under 200", "5 MB"],
)
def test_what_passes_is_asked_again(server: Server, fault: Any) -> None:
    server.faults = [fault, None, fault, fault]
    assert sorted(ask(server, concurrency=1)) == [0, 1, 2]
    assert len(server.asked) == 6


def test_pauses_follow_the_tries_and_what_the_server_asks(
    server: Server, pauses: list[tuple[int, float | None]]
) -> None:
    server.faults = [status(500), status(429, Retry_After="20"), status(503)]
    assert ask(server, sequences=SEQUENCES[:1], tries=4)
    assert pauses == [(1, None), (2, 20.0), (3, None)]
    server.faults = [status(429, Retry_After="86400")]
    with pytest.raises(TeacherError, match="HTTP 429"):  # a day: the next run asks again
        ask(server, sequences=SEQUENCES[:1])


def test_a_server_that_stays_away(server: Server) -> None:
    server.faults = [status(500, {"error": "out of memory"})] * 3
    with pytest.raises(TeacherError, match=r"did not answer in 3 of 3 tries: HTTP 500: .*out of memory"):
        ask(server, concurrency=1)
    with pytest.raises(TeacherError, match=r"127\.0\.0\.1:9/v1/completions did not answer .*could not connect"):
        ask(Server(distributions, url="http://127.0.0.1:9/v1"))


def test_answers_that_were_paid_for_come_before_the_error(server: Server) -> None:
    def late(handler: Any) -> None:
        time.sleep(0.1)
        handler.say(200, {"choices": [{"prompt_logprobs": [None]}]})

    server.faults = [status(400, "no"), late, late]
    found = []
    with pytest.raises(TeacherError, match="HTTP 400"):
        found.extend(score_sequences(endpoint(server, concurrency=3), [[1]] * 30, 3))
    assert len(found) >= 2  # and no more were sent once one had failed
    assert len(server.asked) <= 5


@pytest.mark.parametrize(
    ("options", "faults", "message"),
    [
        ({"most_logprobs": 2}, [], r"prompt logprobs of 3, greater than 2.*--max-logprobs K"),
        ({"key": "a-long-secret"}, [], r"HTTP 401.*\(key_env\)"),
        ({}, [status(404, "no such model")], r"refused a call: HTTP 404: .*no such model.*often ends with /v1"),
        ({}, [status(400, "maximum context length is 4")], r"set training\.max_length lower"),
        ({}, [status(307, "", location="https://elsewhere")], r"redirect, which is not followed"),
        ({}, [status(200, {"choices": [{"text": "x"}]})], r"without prompt_logprobs"),
        ({}, [status(200, {"error": {"code": 401, "message": "no"}})], r"error 401 in its body: no\..*\(key_env\)"),
    ],
    ids=["logprobs", "key", "path", "length", "redirect", "none", "key under 200"],
)
def test_what_will_not_pass_is_not_asked_again(options: Any, faults: Any, message: str) -> None:
    with serving(distributions, **options) as server:
        server.faults = faults
        with pytest.raises(TeacherError, match=message):
            ask(server, sequences=SEQUENCES[:1])
        assert len(server.asked) == 1


def test_the_key_is_sent_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEACHER_KEY", "a-long-secret")
    with serving(distributions, key="a-long-secret") as server:
        assert len(ask(server, key_env="TEACHER_KEY")) == 3
        assert server.headers[0]["Authorization"] == "Bearer a-long-secret"
        monkeypatch.setenv("TEACHER_KEY", "another-long-secret")
        with pytest.raises(TeacherError, match=r"invalid key Bearer \(key\)"):
            ask(server, key_env="TEACHER_KEY")
        monkeypatch.delenv("TEACHER_KEY")
        asked = len(server.asked)
        with pytest.raises(ConfigError, match="TEACHER_KEY"):
            ask(server, key_env="TEACHER_KEY")
        assert len(server.asked) == asked


def test_a_caller_that_stops_waits_for_nothing(server: Server) -> None:
    server.faults = [None, *[lambda handler: time.sleep(2)] * 2]
    started = time.perf_counter()
    answers = score_sequences(endpoint(server, concurrency=2), SEQUENCES, 3)
    next(answers)
    answers.close()
    assert time.perf_counter() - started < 2


def test_where_an_event_loop_runs_it_says_what_to_use(server: Server) -> None:
    async def notebook() -> None:
        ask(server)

    with pytest.raises(ConfigError, match="limbeck store"):
        asyncio.run(notebook())
