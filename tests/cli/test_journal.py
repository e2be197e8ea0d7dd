"""``limbeck journal`` counts what is in the file, and makes none."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from limbeck.cli.app import main
from limbeck.teachers.chat.journal import Cost, Journal


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], file: Path) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["limbeck", "journal", str(file)])
    with pytest.raises(SystemExit) as end:
        main()
    out, err = capsys.readouterr()
    return int(end.value.code or 0), out, err


def test_answers_failures_calls_and_cost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "journal.sqlite"
    with Journal(file) as journal, journal.owner() as owner, journal.transaction():
        for number, kind in enumerate(["answer", "answer", "answer", "truncated", None]):
            begun = journal.begin(
                owner, str(number), (0,), model="m", content="{}", worst=Cost(100, 0.5), ceiling_tokens=None,
                ceiling_usd=None,
            )  # fmt: skip
            if kind:
                journal.keep(
                    begun.attempt, str(number), model="m", served_model="m-1", choices={0: {}}, kinds={0: kind}
                )
                journal.end(begun.attempt, result="answered", status=200, usage=(8, 2), cost=Cost(10, 0.01))
    code, out, _ = run(monkeypatch, capsys, file)
    assert code == 0
    assert out.splitlines() == [
        "3 answers",
        "1 truncated (25.0 % of the paid answers)",
        "model m: 4 from m-1",
        "5 calls: 4 answered, 1 unknown",
        "spent: 140 tokens, $0.5400",
        "  including 100 tokens, $0.5000 for calls of unknown cost, each counted at its worst case: cut, timed out, "
        "under way or killed",
    ]


def test_without_prices_no_dollars_are_claimed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "journal.sqlite"
    with Journal(file) as journal, journal.owner() as owner, journal.transaction():
        journal.begin(
            owner, "1", (0,), model="m", content="{}", worst=Cost(100, 0.0), ceiling_tokens=None, ceiling_usd=None
        )
    _, out, _ = run(monkeypatch, capsys, file)
    assert "spent: 100 tokens; cost in dollars unknown, as teacher.api had no prices\n" in out
    assert "$" not in out


def test_a_journal_that_is_not_there_is_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(monkeypatch, capsys, tmp_path / "missing.sqlite")
    assert code == 2
    assert "there is no journal" in err
    assert list(tmp_path.iterdir()) == []
