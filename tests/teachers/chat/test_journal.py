"""The journal by itself: what it keeps, whose claims count, and what it says when it cannot be used."""

from __future__ import annotations

import multiprocessing
import os
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
    with pytest.raises(DataError, match="no journal of a chat teacher"):
        Journal(other)
    with pytest.raises(DataError, match="there is no journal"):
        Journal(tmp_path / "missing.sqlite", must_exist=True)
    with pytest.raises(StorageError, match="could not be"):
        Journal(tmp_path)


def test_a_journal_of_a_later_version(journal: Journal) -> None:
    journal._connection.execute("PRAGMA user_version = 2")
    with pytest.raises(DataError, match="has format 2, this version of limbeck reads up to 1"):
        Journal(journal.path)
