"""The journal by itself: what it keeps, whose claims count, and what it says when it cannot be used."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import re
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from limbeck.errors import DataError, StorageError
from limbeck.teachers.chat.answer import Answer
from limbeck.teachers.chat.journal import Begun, Cost, Journal
from limbeck.teachers.chat.request import ChatRequest

CHOICE = {"message": {"content": "yes"}, "finish_reason": "stop"}


def begin(journal: Journal, owner: str, hashed: str = "h", *samples: int, **more: Any) -> Begun:
    options = {"model": "m", "content": "{}", "ceiling_tokens": None, "ceiling_usd": None} | more
    with journal.transaction():
        return journal.begin(owner, hashed, samples or (0,), worst=Cost(10, 0.1), **options)


def keep(journal: Journal, begun: Begun, hashed: str = "h", served: str = "s", *samples: int) -> str:
    with journal.transaction():
        choices = dict.fromkeys(samples or (0,), CHOICE)
        kinds = dict.fromkeys(choices, "answer")
        first = journal.keep(begun.attempt, hashed, model="m", served_model=served, choices=choices, kinds=kinds)
        journal.end(begun.attempt, result="answered", status=200, usage=(2, 1), cost=Cost(3, 0.03))
    return first


def test_what_is_committed_survives_a_power_cut(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.sqlite") as journal:
        assert journal._one("PRAGMA journal_mode") == "wal"
        assert journal._one("PRAGMA synchronous") == 2, "full: each commit is synced to disk"


def test_an_answer_is_found_again(journal: Journal, ask: Callable[..., ChatRequest]) -> None:
    request = ask("x")
    with journal.owner() as owner:
        assert journal.outcome("h", request) is None
        begun = begin(journal, owner)
        assert begun.state == "go"
        assert journal.spent() == Cost(10, 0.1), "the worst case, before anything is sent"
        keep(journal, begun)
        assert journal.spent().tokens == 3
        assert journal.spent().usd == pytest.approx(0.03)
        assert begin(journal, owner) == Begun("known", known=(0,))
    with Journal(journal.path) as again:
        assert again.outcome("h", request) == Answer("yes", "stop", "s")
        assert again.outcome("h", ask("x", sample=1)) is None


def test_some_samples_are_known(journal: Journal) -> None:
    with journal.owner() as owner:
        keep(journal, begin(journal, owner, "h", 0, 2), "h", "s", 0, 2)
        assert begin(journal, owner, "h", 0, 1, 2, 3) == Begun("known", known=(0, 2))
        assert begin(journal, owner, "h", 1, 3).state == "go"


def test_ceilings(journal: Journal) -> None:
    with journal.owner() as owner:
        for number in range(3):
            assert begin(journal, owner, str(number), ceiling_tokens=30, ceiling_usd=0.3).state == "go"
        assert begin(journal, owner, "3", ceiling_tokens=39).state == "over_budget"
        assert begin(journal, owner, "3", ceiling_usd=0.39).state == "over_budget"
        assert begin(journal, owner, "3", ceiling_tokens=40, ceiling_usd=0.4).state == "go"


def test_a_call_that_never_ends_keeps_its_worst_case(journal: Journal) -> None:
    with journal.owner() as owner:
        keep(journal, begin(journal, owner, "a"), "a")
        begin(journal, owner, "b")
    with Journal(journal.path) as again:
        summary = again.summary()
    assert summary.answers == {"answer": 1}
    assert summary.calls == {"answered": 1, "unknown": 1}
    assert summary.served == {"m": {"s": 1}}
    assert summary.spent.tokens == 13
    assert summary.unknown == Cost(10, 0.1)


def test_claims_of_others_count_until_they_end(journal: Journal) -> None:
    with journal.owner() as mine:
        with Journal(journal.path) as other, other.owner() as theirs:
            begin(other, theirs, "h", 0, 1)
            assert begin(journal, mine, "h", 1, 2).state == "claimed"
            assert begin(journal, mine, "h", 2).state == "go"
            with other.transaction():
                other.release(theirs, "h", (1,))
            assert begin(journal, mine, "h", 1).state == "go"
            assert begin(journal, mine, "h", 0).state == "claimed"
        assert begin(journal, mine, "h", 0).state == "go"
    assert [file.name for file in journal.path.parent.iterdir() if file.name.count(".") > 2] == []


def _claim_and_die(path: Path) -> None:
    with Journal(path) as journal, journal.owner() as owner:
        begin(journal, owner)
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")
def test_claims_of_a_killed_process_are_void_at_once(journal: Journal) -> None:
    process = multiprocessing.get_context("fork").Process(target=_claim_and_die, args=(journal.path,))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert journal._one("SELECT count(*) FROM claims") == 1
    with journal.owner() as owner:
        assert begin(journal, owner).state == "go"
    assert journal.spent().tokens == 20, "what the killed process sent may have been charged for"


def test_the_first_model_that_answered_is_the_one(journal: Journal, ask: Callable[..., ChatRequest]) -> None:
    with journal.owner() as owner:
        assert keep(journal, begin(journal, owner, "a"), "a", "one") == "one"
        assert keep(journal, begin(journal, owner, "b"), "b", "two") == "one"
    with Journal(journal.path) as again:
        assert again.outcome("a", ask("x")) == Answer("yes", "stop", "one")
        outcome = again.outcome("b", ask("x"))
        assert outcome is not None
        assert not isinstance(outcome, Answer)
        assert outcome.kind == "wrong_model"
        assert again.summary().answers == {"answer": 1, "wrong_model": 1}


def test_a_transaction_that_fails_leaves_nothing(journal: Journal) -> None:
    with journal.owner() as owner:
        with pytest.raises(KeyError), journal.transaction():  # noqa: PT012
            journal.begin(
                owner, "h", (0,), model="m", content="", worst=Cost(5, 0.0), ceiling_tokens=None, ceiling_usd=None
            )
            raise KeyError
        assert journal.spent() == Cost(0, 0.0)
        assert journal.summary().calls == {}


def test_files_that_are_no_journal(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("label,text\n" * 100)
    with pytest.raises(DataError, match="not a journal, or is damaged"):
        Journal(text)
    other = tmp_path / "other.sqlite"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE t (x)")
    connection.close()
    with pytest.raises(DataError, match="not a chat teacher's journal"):
        Journal(other)
    with pytest.raises(DataError, match="there is no journal"):
        Journal(tmp_path / "missing.sqlite", must_exist=True)
    with pytest.raises(StorageError, match="could not be"):
        Journal(tmp_path)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A journal of 60 answers, and a call that was cut."""
    path = tmp_path_factory.mktemp("journal") / "journal.sqlite"
    with Journal(path) as journal, journal.owner() as owner:
        journal._connection.execute("PRAGMA synchronous = OFF")
        for number in range(60):
            keep(journal, begin(journal, owner, str(number)), str(number))
        begin(journal, owner, "cut")
    return path.read_bytes()


def damaged(sound: bytes, rng: random.Random, way: str) -> bytes:
    content = bytearray(sound)
    if way == "cut":
        return bytes(content[: rng.randrange(1, len(content))])
    if way == "zeros":
        start = rng.randrange(len(content))
        content[start : start + 4096] = bytes(min(4096, len(content) - start))
    if way == "bytes":
        for _ in range(rng.choice([1, 20, 400])):
            content[rng.randrange(100, len(content))] = rng.randrange(256)
    if way == "letters":  # what SQLite does not see
        places = [match.start() for match in re.finditer(b'"content"', sound)]
        for _ in range(40):
            content[rng.choice(places) + rng.randrange(-12, 12)] = rng.randrange(256)
    return bytes(content)


def use_all_of(path: Path, ask: Callable[..., ChatRequest]) -> None:
    with Journal(path) as journal:
        journal._connection.execute("PRAGMA synchronous = OFF")
        journal.summary()
        for number in range(61):
            journal.outcome(str(number), ask("x"))
        with journal.owner() as owner:
            for number in range(55, 65):
                begun = begin(journal, owner, str(number))
                if begun.state == "go":
                    keep(journal, begun, str(number))


@pytest.mark.parametrize("way", ["cut", "zeros", "bytes", "letters"])
def test_a_damaged_journal_is_an_error_that_says_what_to_do(
    way: str, sound: bytes, tmp_path: Path, ask: Callable[..., ChatRequest]
) -> None:
    """Whatever is damaged: opening, counting, reading and writing end well, or with an error that says so."""
    said = []
    for seed in range(15):
        path = tmp_path / f"{seed}.sqlite"
        path.write_bytes(damaged(sound, random.Random(seed), way))
        for _ in range(2):
            with contextlib.suppress(DataError):
                try:
                    use_all_of(path, ask)
                except DataError as error:
                    said.append(str(error))
                    raise
    assert len(said) > 10
    assert all(words.isprintable() for words in said)
    assert {words.split(".sqlite ")[1][:24] for words in said} <= {
        "is not a journal, or is ",
        "is a database, but not a",
    }


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE answers SET choice = CAST(x'ff' AS TEXT)",
        "UPDATE answers SET choice = '{'",
        "UPDATE answers SET choice = '7'",
        "UPDATE answers SET choice = x'80'",
        f"UPDATE answers SET choice = '{'[' * 100_000}'",
        "UPDATE answers SET choice = '1' || printf('%.*c', 5000, '0')",
        "UPDATE answers SET served_model = x'80'",
        "DROP TABLE answers",
    ],
)
def test_a_damaged_answer_is_no_answer(damage: str, journal: Journal, ask: Callable[..., ChatRequest]) -> None:
    with journal.owner() as owner:
        keep(journal, begin(journal, owner))
    journal._connection.execute(damage)
    with (
        Journal(journal.path) as again,
        pytest.raises(DataError, match=r"is damaged: .*`\.recover`; or choose"),
    ):
        again.outcome("h", ask("x"))


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM spent",
        "UPDATE spent SET usd = 'x'",
        "UPDATE spent SET tokens = 'x'",
        "UPDATE answers SET served_model = CAST(x'ff' AS TEXT)",
        "UPDATE answers SET model = x'80'",
        "UPDATE attempts SET result = CAST(x'ff' AS TEXT)",
        "DROP TABLE attempts",
    ],
)
def test_a_damaged_count_is_no_count(damage: str, journal: Journal) -> None:
    with journal.owner() as owner:
        keep(journal, begin(journal, owner))
        journal._connection.execute(damage)
        with pytest.raises(DataError, match="is damaged"):
            journal.summary()
        if "spent" in damage:
            with pytest.raises(DataError, match="is damaged"):
                begin(journal, owner, "b")


def test_names_of_models_are_shown_as_lines(journal: Journal, ask: Callable[..., ChatRequest]) -> None:
    with journal.owner() as owner:
        keep(journal, begin(journal, owner, "a"), "a", "one")
        keep(journal, begin(journal, owner, "b"), "b", "\x1b]0;two\x07")
    with Journal(journal.path) as again:
        assert again.summary().served == {"m": {"one": 1, "]0;two": 1}}
        assert "'one' answered before" in repr(again.outcome("b", ask("x")))
        assert "\\x1b" not in repr(again.outcome("b", ask("x")))


def test_a_name_that_no_file_can_have(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a valid file name"):
        Journal(tmp_path / "a\0b")


def test_a_journal_of_a_later_version(journal: Journal) -> None:
    journal._connection.execute("PRAGMA user_version = 2")
    with pytest.raises(DataError, match="has format 2, this version of limbeck reads up to 1"):
        Journal(journal.path)
