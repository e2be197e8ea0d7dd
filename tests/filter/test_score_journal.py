"""Scores on disk: asked once, whatever happens."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from limbeck.errors import StorageError
from limbeck.filter.score_journal import ScoreJournal
from limbeck.types import Update

QUESTIONS = [(f"crisis {n % 3}", f"text {n}") for n in range(20)]


class Teacher:
    def __init__(self, silent: Sequence[int] = ()) -> None:
        self.asked: list[int] = []
        self.silent = set(silent)

    def __call__(self, places: Sequence[int], _: Update) -> list[float | None]:
        self.asked += places
        return [None if place in self.silent else place / 100 for place in places]


def nothing(n: int, note: str = "") -> None:
    pass


def test_a_second_call_asks_nothing(tmp_path: Path) -> None:
    teacher = Teacher()
    for _ in range(2):
        with ScoreJournal(tmp_path / "s.sqlite") as journal:
            scores = journal.scores("a", QUESTIONS, teacher, nothing, batch=6)
        assert scores.tolist() == [n / 100 for n in range(20)]
    assert teacher.asked == list(range(20))


def test_another_asker_or_text_is_asked_anew(tmp_path: Path) -> None:
    teacher = Teacher()
    with ScoreJournal(tmp_path / "s.sqlite") as journal:
        for asker, question in (("a", ("x", "yz")), ("b", ("x", "yz")), ("a", ("xy", "z")), ("a", ("x", "yz"))):
            journal.scores(asker, [question], teacher, nothing)
    assert len(teacher.asked) == 3


def test_equal_questions_are_asked_once(tmp_path: Path) -> None:
    teacher = Teacher()
    with ScoreJournal(tmp_path / "s.sqlite") as journal:
        scores = journal.scores("a", [("x",), ("y",), ("x",)], teacher, nothing)
    assert teacher.asked == [0, 1]
    assert scores.tolist() == [0, 0.01, 0]


def test_what_has_no_answer_is_asked_again(tmp_path: Path) -> None:
    with ScoreJournal(tmp_path / "s.sqlite") as journal:
        scores = journal.scores("a", QUESTIONS, Teacher(silent=[3]), nothing)
        assert np.flatnonzero(np.isnan(scores)).tolist() == [3]
        again = Teacher()
        assert journal.scores("a", QUESTIONS, again, nothing)[3] == 0.03
    assert again.asked == [3]


def test_progress_counts_every_question_once(tmp_path: Path) -> None:
    done: list[int] = []
    with ScoreJournal(tmp_path / "s.sqlite") as journal:
        journal.scores("a", QUESTIONS[:5], Teacher(), nothing)
        journal.scores("a", QUESTIONS, Teacher(), lambda n, note="": done.append(n), batch=4)
    assert done[0] == 5
    assert sum(done) == 20


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s.sqlite").write_text("not a data base, and long enough to be taken for one" * 50, encoding="utf-8")
    with pytest.raises(StorageError, match="cannot be read or written"):
        ScoreJournal(tmp_path / "s.sqlite")


@pytest.mark.parametrize(
    "damage",
    ["UPDATE scores SET score = 'x'", "UPDATE scores SET score = x'ff'",
     "UPDATE scores SET score = CAST(x'ff' AS TEXT)", "DROP TABLE scores; CREATE TABLE scores (x)"],
)  # fmt: skip
def test_damaged_scores_are_an_error(damage: str, tmp_path: Path) -> None:
    with ScoreJournal(tmp_path / "s.sqlite") as journal:
        journal.scores("a", QUESTIONS, Teacher(), nothing)
        journal._base.executescript(damage)
        with pytest.raises(StorageError, match="move the file away to start again"):
            journal.scores("a", QUESTIONS, Teacher(), nothing)


def test_a_damaged_file_of_scores_is_an_error_or_gives_scores(tmp_path: Path) -> None:
    with ScoreJournal(tmp_path / "s.sqlite") as journal:
        journal.scores("a", QUESTIONS * 50, Teacher(), nothing)
    sound, refused = (tmp_path / "s.sqlite").read_bytes(), 0
    for seed in range(40):
        rng, content = random.Random(seed), bytearray(sound)
        for _ in range(rng.choice([1, 30, 500])):
            content[rng.randrange(100, len(content))] = rng.randrange(256)
        path = tmp_path / f"{seed}.sqlite"
        path.write_bytes(content[: rng.randrange(1, len(content))] if seed % 4 == 0 else content)
        try:
            with ScoreJournal(path) as journal:
                assert len(journal.scores("a", QUESTIONS, Teacher(), nothing)) == len(QUESTIONS)
        except StorageError:
            refused += 1
    assert refused > 5


PROGRAM = """
import sys, time
from pathlib import Path
from limbeck.filter.score_journal import ScoreJournal

folder = Path(sys.argv[1])

def ask(places, update):
    with (folder / "asked.txt").open("a") as file:
        file.write("".join(f"{place}\\n" for place in places))
    time.sleep(0.005)
    return [place / 1000 for place in places]

with ScoreJournal(folder / "s.sqlite") as journal:
    scores = journal.scores("a", [(f"text {n}",) for n in range(120)], ask, lambda n, note="": None, batch=3)
(folder / "done.txt").write_text(",".join(map(str, scores.tolist())))
"""


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on(tmp_path: Path) -> None:
    """Only the batch under way at a kill may be asked for again."""
    rng, kills = random.Random(1), 0
    while not (tmp_path / "done.txt").exists():
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(tmp_path)], env={"PYTHONPATH": ":".join(sys.path)}
        )
        asked = tmp_path / "asked.txt"
        before = asked.stat().st_size if asked.exists() else 0
        while process.poll() is None and kills < 3:
            if asked.exists() and asked.stat().st_size > before:
                time.sleep(rng.random() * 0.1)
                process.send_signal(signal.SIGKILL)
                kills += 1
                break
            time.sleep(0.002)
        process.wait()
    assert kills == 3
    scores = [float(score) for score in (tmp_path / "done.txt").read_text().split(",")]
    assert scores == [n / 1000 for n in range(120)]
    times = Counter((tmp_path / "asked.txt").read_text().split())
    assert len(times) == 120
    assert sum(times.values()) <= 120 + 3 * kills
