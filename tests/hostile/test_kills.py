"""112 kills over eight commands: whatever the moment, the same command goes on and ends as one in one go.

Processes and signals are real. SIGKILL cannot be answered; SIGTERM and SIGINT end with code 130, no traceback, and the
sentence that nothing is lost.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.hostile.commands import (
    CONCURRENCY,
    Command,
    Maker,
    Material,
    anon_by_api,
    asked_again,
    classification,
    filtering,
    instructions,
    store,
    texts,
    tuning,
)
from tests.hostile.tally import Tally
from tests.runs.forge import Forge
from tests.runs.outcomes import differences
from tests.runs.paid_server import PaidServer, answered, paid_server

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

KILLS: dict[Maker, int] = {
    classification: 18, texts: 16, instructions: 14, anon_by_api: 14, store: 13, filtering: 13, tuning: 12,
    asked_again: 12,
}  # fmt: skip
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


@pytest.fixture(scope="module")
def forge() -> Iterator[Forge]:
    made = Forge("until_killed.py")
    yield made
    made.end()


@pytest.fixture
def server() -> Iterator[PaidServer]:
    with paid_server() as running:
        yield running


@pytest.fixture
def material(encoder_folder: Path, tickets: dict[str, Path]) -> Material:
    return Material(encoder_folder, tickets)


def test_there_are_more_than_a_hundred() -> None:
    assert sum(KILLS.values()) == 112


@pytest.mark.parametrize(("maker", "kills"), KILLS.items(), ids=[maker.__name__ for maker in KILLS])
def test_killed_at_random_moments(
    maker: Maker, kills: int, forge: Forge, server: PaidServer, material: Material, tally: Tally, tmp_path: Path
) -> None:
    command = maker(tmp_path, server, material)
    whole = tmp_path / "whole"
    seconds = forge.timed(*command.words(whole))
    expected, questions = command.outcome(whole), Counter(server.asked)

    chance, hits, number, folder = random.Random(maker.__name__), 0, 0, tmp_path / "killed-0"
    paid = _Paid(server, command, questions)
    while hits < kills or number == 0:
        sent = SIGNALS[hits % len(SIGNALS)] if hits < kills else None
        code = _carry_out(forge, command, folder, sent, chance, seconds)
        output = forge.output
        assert "Traceback" not in output, output
        paid.check(folder)
        if code == 0:
            assert differences(command.outcome(folder), expected) == []
            tally.add("ended as without kills")
            number, folder = number + 1, tmp_path / f"killed-{number + 1}"
            paid = _Paid(server, command, questions)
            continue
        assert sent is not None, output
        if sent == signal.SIGKILL:
            assert code == -signal.SIGKILL, output
        else:
            assert code == 130, output
            assert "nothing that was saved is lost" in output
        tally.add(sent.name)
        hits += 1


def _carry_out(
    forge: Forge, command: Command, folder: Path, sent: signal.Signals | None, chance: random.Random, seconds: float
) -> int:
    """Kill a command at any moment, or soon after a write: these are the moments that could lose something."""
    words = command.words(folder)
    if sent is None:
        return forge.run(*words)
    if chance.random() < 0.5:
        return forge.run(*words, kill_with=sent, kill_after=chance.uniform(0.05, seconds))
    soon = _writes(folder, chance.randrange(1, 12))
    return forge.run(*words, kill_with=sent, kill_after=chance.uniform(0, 0.02), since=soon)


def _writes(folder: Path, wanted: int) -> Callable[[], bool]:
    """Whether so many files of a folder have changed since now."""
    seen, changes = _state(folder), 0

    def enough() -> bool:
        nonlocal seen, changes
        now = _state(folder)
        changes += now != seen
        seen = now
        return changes >= wanted

    return enough


def _state(folder: Path) -> set[tuple[str, int]]:
    found = set()
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                found.add((name, os.stat(f"{root}/{name}").st_mtime_ns))
            except FileNotFoundError:
                continue
    return found


class _Paid:
    """No answer in the journal is asked for again, none is lost, and a kill costs what was under way.

    Args:
        server: notes what it is asked.
        command: may have a journal.
        questions: all that there is to be asked, and how often each.
    """

    def __init__(self, server: PaidServer, command: Command, questions: Counter[str]) -> None:
        self._server, self._journal, self._questions = server, command.journal, questions
        self._asked_before = len(server.asked)
        self._kept: Counter[str] = Counter()

    def check(self, folder: Path) -> None:
        if self._journal is None:
            return
        time.sleep(0.02)  # calls that are on their way arrive
        asked, self._asked_before = self._server.asked[self._asked_before :], len(self._server.asked)
        now = answered(folder / self._journal)
        assert self._kept + Counter(asked) <= self._questions, "asked for again"
        assert self._kept <= now, "lost"
        assert len(asked) - (now - self._kept).total() <= CONCURRENCY, "more than was under way"
        self._kept = now
