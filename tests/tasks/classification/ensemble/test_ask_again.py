"""An API in an ensemble is asked again about the labels that the other members contradict."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.evaluation.measured import section
from tests.runs.interruption import InterruptAfter
from tests.tasks.classification.ensemble.conftest import write
from tests.tasks.classification.ensemble.test_teacher import teacher_of
from tests.teachers.chat.conftest import ChatServer, Hit, Reaction, failed

import limbeck
from limbeck.errors import TeacherError
from limbeck.models.bag_of_words import fit_bag_of_words
from limbeck.report.page import render_report
from limbeck.results.sections import AskedAgain, Ensemble
from limbeck.runs.config import run_config
from limbeck.runs.examine import examine
from limbeck.tasks.classification.config import RunConfig
from limbeck.tasks.classification.ensemble import members as members_module
from limbeck.tasks.classification.ensemble.ask_again import contested
from limbeck.tasks.classification.ensemble.lesson import Lesson
from limbeck.tasks.classification.ensemble.pool import Answers, Pool
from limbeck.tasks.classification.label_teacher import LabelTeacher
from limbeck.tasks.classification.memory import plan_memory
from limbeck.tasks.classification.prompted_teacher import label_requests
from limbeck.tasks.finding import Finding
from limbeck.teachers.chat.journal import Journal
from limbeck.teachers.labels.label_probs import LabelProbs, from_samples
from limbeck.types import Rows, SilentProgress

LABELS = ["fruit", "sea", "tool"]
WORDS = [["pear", "plum", "figs"], ["wave", "salt", "tide"], ["saws", "axes", "nail"]]
TRAIN, TEST = 90, 12
EVERY = 7
"""Every so many training rows one gets a wrong label at first."""
WRONG = len(range(0, TRAIN, EVERY))


def text_of(number: int) -> str:
    return f"{WORDS[number % 3][number // 3 % 3]} number {100 + number}"


def said(label: str) -> Reaction:
    choice = {"index": 0, "message": {"role": "assistant", "content": label}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 10, "completion_tokens": 1}
    return Reaction(json.dumps({"model": "oracle", "choices": [choice], "usage": usage}).encode())


def labelled(hit: Hit) -> Reaction:
    """Right, but for the first answer to every seventh text."""
    number = int(re.findall(r"number (\d+)", hit.said)[-1]) - 100
    wrong = number < TRAIN and number % EVERY == 0 and hit.before == 0
    return said(LABELS[(number + wrong) % 3])


def refusing(server: ChatServer, *, after: int) -> Callable[[Hit], Reaction]:
    """Return a reaction that refuses all calls after so many, as if they had not been made."""

    def react(hit: Hit) -> Reaction:
        if len(server.received) <= after:
            return labelled(hit)
        server._said[hit.said] -= 1
        return failed(401)

    return react


@pytest.fixture
def oracle(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    """An API that answers at once, and a journal that leaves syncing to the operating system."""
    prepare = Journal._prepare

    def without_sync(journal: Journal) -> None:
        prepare(journal)
        journal._connection.execute("PRAGMA synchronous = OFF")

    monkeypatch.setattr(Journal, "_prepare", without_sync)
    server = ChatServer()
    server.react = labelled
    yield server
    server.close()


@pytest.fixture
def asking(sections: dict[str, Any], oracle: ChatServer, tmp_path: Path) -> dict[str, Any]:
    """A run without gold labels whose ensemble is TF-IDF and an API; two rounds."""
    rows = [{"text": text_of(number), "label": LABELS[number % 3]} for number in range(TRAIN + TEST)]
    files = {
        "train": write(tmp_path / "a.jsonl", [{"text": row["text"]} for row in rows[:TRAIN]]),
        "test": write(tmp_path / "b.jsonl", rows[TRAIN:]),
    }
    api = {"base_url": oracle.base_url, "model": "oracle"}
    member = {"api": api, "prompt": {}, "samples": 1, "pilot": 0}
    ensemble = {"members": ["tfidf", member], "folds": 2, "rounds": 2}
    student = {"model": sections["teacher"]["model"]}
    return sections | {
        "task": {"labels": LABELS},
        "data": files,
        "student": student,
        "teacher": {"ensemble": ensemble},
    }


def share_right(probs_NC: np.ndarray) -> float:
    return float((probs_NC.argmax(axis=1) == np.arange(len(probs_NC)) % 3).mean())


def api_of(sections: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = sections["teacher"]["ensemble"]["members"][1]["api"]
    return found


def kept(sections: dict[str, Any], name: str) -> LabelProbs:
    return LabelProbs.load(Path(sections["output"]) / "teacher_labels" / name)


def told_of(teacher: LabelTeacher) -> AskedAgain:
    assert teacher.ensemble is not None
    assert teacher.ensemble.asked_again is not None
    return teacher.ensemble.asked_again


def test_contradicted_labels_are_asked_again_and_get_better(
    asking: dict[str, Any], oracle: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned: list[list[tuple[str, int]]] = []

    def watch(texts: Any, pairs: Any, probs_NC: Any) -> Any:
        learned.append(list(zip(texts, probs_NC.argmax(axis=1).tolist(), strict=True)))
        return fit_bag_of_words(texts, pairs, probs_NC)

    monkeypatch.setattr(members_module, "fit_bag_of_words", watch)
    found = teacher_of(asking)
    first, second = kept(asking, "train"), kept(asking, "train-round2")
    assert share_right(first.probs_NC) == pytest.approx(1 - WRONG / TRAIN)
    assert share_right(second.probs_NC) == 1
    assert share_right(found.train.probs_NC) == 1
    told = told_of(found)
    assert told.changed == WRONG <= told.rows <= 0.2 * TRAIN
    assert told.left_out == 0
    assert found.train.count()["asked_again"] == told.rows
    assert len(oracle.received) == TRAIN + TEST + 2 * told.rows, "twice as many new samples as at first"
    again = np.array(["asked_again" in flags for flags in second.flags])
    np.testing.assert_allclose(second.probs_NC[~again], first.probs_NC[~again])
    np.testing.assert_allclose(np.sort(second.probs_NC[::EVERY])[:, ::-1], [[2.5 / 4.5, 1.5 / 4.5, 0.5 / 4.5]] * WRONG)

    # The members of the second round learn the new labels; none of them is in doubt any more.
    first_round, second_round = (sorted({row for fold in learned[i : i + 2] for row in fold}) for i in (0, 2))
    rows = sorted((text_of(number), number % 3) for number in range(TRAIN))
    assert second_round == rows
    assert len(set(first_round) - set(rows)) == WRONG
    assert found.ensemble is not None
    assert found.ensemble.relabelled_rows == WRONG
    assert [member.title for member in found.ensemble.members] == ["TF-IDF", "oracle via an API"]
    assert [member.labels_from for member in found.ensemble.members] == [None, "api"]
    assert found.ensemble.members[0].right_out_of_fold == pytest.approx(1 - WRONG / TRAIN), "by the first labels"


def test_what_was_asked_is_neither_asked_nor_trained_again(asking: dict[str, Any], oracle: ChatServer) -> None:
    first = teacher_of(asking)
    calls = len(oracle.received)
    oracle.close()
    again = teacher_of(asking)
    assert len(oracle.received) == calls
    assert again.train.probs_NC.tolist() == first.train.probs_NC.tolist()
    assert again.ensemble == first.ensemble


def test_a_run_that_breaks_off_while_it_asks_again_pays_nothing_twice(
    asking: dict[str, Any], oracle: ChatServer
) -> None:
    api_of(asking)["concurrency"] = 1
    answered = TRAIN + TEST + 7
    oracle.react = refusing(oracle, after=answered)
    with pytest.raises(TeacherError, match="does not serve"):
        teacher_of(asking)
    assert not (Path(asking["output"]) / "teacher_labels" / "train-round2").exists()
    assert len(oracle.delivered) == answered
    oracle.react = labelled
    found = teacher_of(asking)
    assert told_of(found).changed == WRONG
    assert len(oracle.delivered) == TRAIN + TEST + 2 * told_of(found).rows
    assert share_right(found.train.probs_NC) == 1


def test_a_budget_that_runs_out_leaves_the_least_contested_rows_as_they_were(
    asking: dict[str, Any], oracle: ChatServer
) -> None:
    """Room for seven new answers of eleven tokens each: the second opinions of three rows and a half."""
    config = run_config(asking)
    assert isinstance(config, RunConfig)
    labeller = config.teacher.asked
    assert labeller is not None
    assert labeller.api is not None
    assert labeller.prompt is not None
    (request,) = label_requests(labeller.api, labeller.prompt, [{"text": text_of(0)}], LABELS, 1)
    spent, worst = 11 * (TRAIN + TEST + 7), request.most_prompt_tokens() + request.max_tokens
    api_of(asking).update(concurrency=1, budget_tokens=spent + worst - 1)
    found = teacher_of(asking)
    told = told_of(found)
    assert (told.rows, told.changed, told.left_out) == (3, 3, WRONG - 3)
    assert len(oracle.received) == TRAIN + TEST + 7
    second, first = kept(asking, "train-round2"), kept(asking, "train")
    left_out = np.array(["not_asked_again" in flags for flags in second.flags])
    assert left_out.sum() == told.left_out
    np.testing.assert_array_equal(second.probs_NC[left_out], first.probs_NC[left_out])
    assert told_of(teacher_of(asking)) == told
    assert len(oracle.received) == TRAIN + TEST + 7


def test_answers_without_a_label_are_an_error_when_it_is_asked_again_too(
    asking: dict[str, Any], oracle: ChatServer
) -> None:
    oracle.react = lambda hit: labelled(hit) if hit.before == 0 else said("I do not know.")
    with pytest.raises(TeacherError, match="answers have no label"):
        teacher_of(asking)


def test_nothing_is_asked_again_with_a_share_of_zero(asking: dict[str, Any], oracle: ChatServer) -> None:
    asking["teacher"]["ensemble"]["ask_again"] = 0
    found = teacher_of(asking)
    assert len(oracle.received) == TRAIN + TEST
    assert found.ensemble is not None
    assert found.ensemble.asked_again is None
    assert found.ensemble.rounds == 2


def by_letters(hit: Hit) -> Reaction:
    """Right, but unsurely wrong about every seventh training text as long as the labels come in their own order."""
    options = dict(re.findall(r"^([A-C])\. (\w+)$", hit.said, re.MULTILINE))
    number = int(re.findall(r"number (\d+)", hit.said)[-1]) - 100
    wrong = number < TRAIN and number % EVERY == 0 and hit.said.index("fruit") < hit.said.index("tool")
    high = 0.5 if wrong else 0.9
    given = {
        letter: log(high if label == LABELS[(number + wrong) % 3] else (1 - high) / 2)
        for letter, label in options.items()
    }
    top = [{"token": letter, "logprob": value} for letter, value in sorted(given.items(), key=lambda pair: -pair[1])]
    choice = {"index": 0, "message": {"role": "assistant", "content": top[0]["token"]}, "finish_reason": "length",
              "logprobs": {"content": [top[0] | {"top_logprobs": top}]}}  # fmt: skip
    usage = {"prompt_tokens": 10, "completion_tokens": 1}
    return Reaction(json.dumps({"model": "oracle", "choices": [choice], "usage": usage}).encode())


def test_an_api_with_log_probabilities_is_asked_in_other_orders(asking: dict[str, Any], oracle: ChatServer) -> None:
    oracle.react = by_letters
    api_of(asking)["log_probs"] = 3
    found = teacher_of(asking)
    told = told_of(found)
    assert told.changed == WRONG
    assert len(oracle.received) == 3 * (TRAIN + TEST + told.rows)
    assert share_right(kept(asking, "train").probs_NC) == pytest.approx(1 - WRONG / TRAIN)
    second = kept(asking, "train-round2")
    assert share_right(second.probs_NC) == share_right(found.train.probs_NC) == 1
    assert second.how == "log_probs"
    np.testing.assert_allclose(np.sort(second.probs_NC[::EVERY]), [[0.15, 0.275, 0.575]] * WRONG)
    assert "54 calls" in doctor(asking)["asked again"].message


def test_rows_with_a_gold_label_are_not_asked_again(
    asking: dict[str, Any], oracle: ChatServer, tmp_path: Path
) -> None:
    gold = {0, 7, 14}
    rows = [
        {"text": text_of(number)} | ({"label": LABELS[number % 3]} if number in gold else {})
        for number in range(TRAIN)
    ]
    asking["data"]["train"] = write(tmp_path / "some.jsonl", rows)
    found = teacher_of(asking)
    assert told_of(found).changed == WRONG - len(gold)
    assert not [row for row in gold if "asked_again" in found.train.flags[row]]
    assert found.ensemble is not None
    assert found.ensemble.labels == "gold"


def test_a_member_that_is_not_worth_it_is_asked_about_no_more_than_a_pilot(
    asking: dict[str, Any], oracle: ChatServer, tmp_path: Path
) -> None:
    rows = [{"text": text_of(number), "label": LABELS[number % 3]} for number in range(TRAIN)]
    asking["data"]["train"] = write(tmp_path / "gold.jsonl", rows)
    asking["teacher"]["ensemble"]["members"][1]["pilot"] = 12
    oracle.react = lambda hit: said("sea" if "wave" not in hit.said else "tool")
    with pytest.raises(TeacherError, match=r"prompt\.instruction.*: teacher\.ensemble\.members\.1\.pilot: 0$"):
        teacher_of(asking)
    assert len(oracle.received) <= 4 * 12
    assert doctor(asking)["pilot"].level == "fault"


def one_round(class_N: list[int], gold: list[bool]) -> Lesson:
    none = np.zeros(len(class_N), dtype=np.int64)
    return Lesson(Rows([], None, [], []), len(class_N), np.array(class_N), np.array(gold), none, 2, none.astype(float))


def test_the_most_contested_rows_come_first_and_no_more_than_allowed() -> None:
    """The API says label 0 of all rows; the second member counts three times as much as the first."""
    first = [0.9, 0.1, 0.1, 0.4, 0.1, 0.1, 0.5]
    second = [0.1, 0.3, 0.1, 0.6, 0.1, 0.1, 0.5]
    api = [1.0] * 7
    probs_MNC = np.array([[[p, 1 - p] for p in member] for member in (first, second, api)])
    answers = Answers(probs_MNC, np.ones((3, 7), dtype=bool), labeller=2)
    pool = Pool(np.array([0.1, 0.3, 0.6]), None, 0)
    given = from_samples([["a"]] * 6, ["a", "b"])
    lesson = one_round([0, 0, 0, 0, 0, -1, -1], [False, False, False, False, True, False, False])
    assert contested(lesson, answers, pool, given, 9).tolist() == [2, 1, 0], "3 is agreed on, 4 gold, 5 not learned"
    assert contested(lesson, answers, pool, given, 1).tolist() == [2]
    asked = given.flagged([frozenset({"asked_again"} if row == 2 else ()) for row in range(6)])
    assert contested(lesson, answers, pool, asked, 9).tolist() == [1, 0]
    unanswered = replace(answers, answered_MN=answers.answered_MN & (np.arange(7) != 1))
    assert 1 not in contested(lesson, unanswered, pool, given, 9)


def doctor(sections: dict[str, Any]) -> dict[str, Finding]:
    return {found.check: found for found in examine(run_config(sections), SilentProgress())}


def test_doctor_counts_what_may_be_asked_again(asking: dict[str, Any], oracle: ChatServer) -> None:
    api_of(asking)["prices"] = {"input_usd": 1000, "output_usd": 1000}
    found = doctor(asking)
    assert not [one for one in found.values() if one.level == "fault"]
    assert found["ensemble"].message.startswith(f"2 members learn {TRAIN} rows (0 with a gold label) in 2 folds")
    assert found["teacher"].message.startswith(f"oracle via an API will be asked about {TRAIN + TEST} texts")
    assert found["cost"].message.startswith(f"{TRAIN + TEST} calls")
    assert found["asked again"].message.startswith(
        "before the second round, at most 18 rows in all that the other members contradict: 36 calls"
    )
    assert "about $" in found["asked again"].message
    assert not oracle.received

    config = run_config(asking)
    assert isinstance(config, RunConfig)
    assert plan_memory(config, available=1e12).phases, "an API needs no memory here"

    asking["teacher"]["ensemble"] |= {"rounds": 8, "ask_again": 0.5}
    assert f"at most {TRAIN} rows in all" in doctor(asking)["asked again"].message
    asking["teacher"]["ensemble"] |= {"rounds": 1, "ask_again": None}
    assert "asked again" not in doctor(asking)


def test_the_rows_are_read_once_more_from_the_journal_if_what_was_kept_is_damaged(
    asking: dict[str, Any], oracle: ChatServer
) -> None:
    found = teacher_of(asking)
    calls = len(oracle.received)
    for name in ("train", "train-round2"):
        (Path(asking["output"]) / "teacher_labels" / name / "labels.npz").write_bytes(b"damaged")
    assert teacher_of(asking).train.probs_NC.tolist() == found.train.probs_NC.tolist()
    assert len(oracle.received) == calls


class InterruptTraining(InterruptAfter):
    """Stops the program after some steps, but not within a call to the API."""

    def track(self, title: str, total: int, done: int = 0) -> Any:
        if title.startswith("teacher labels"):
            return SilentProgress().track(title, total)
        return super().track(title, total, done)


@pytest.mark.slow
def test_a_whole_run_that_is_cut_off_anywhere_ends_with_the_same_student(
    asking: dict[str, Any], oracle: ChatServer, light: None
) -> None:
    asking["training"] = {"max_steps": 3, "batch_size": 8}
    results = limbeck.distill(**asking)
    told = section(results, Ensemble)
    assert told.asked_again is not None
    assert told.asked_again.changed == WRONG
    page = render_report(results)
    assert f"the API was asked again about {told.asked_again.rows} rows" in page
    assert "in place of the API&#39;s" in page
    calls = len(oracle.received)
    oracle._said.clear()
    other = asking | {"output": asking["output"] + "-2"}
    for answers in (40, TRAIN + TEST + 9):
        oracle.react = refusing(oracle, after=calls + answers)
        with pytest.raises(TeacherError, match="does not serve"):
            limbeck.distill(**other)
    oracle.react = labelled
    for advances in (1, 1, 2, 1, 2):
        with pytest.raises(KeyboardInterrupt):
            limbeck.distill(**other, progress=InterruptTraining(advances))
    limbeck.distill(**other)
    weights = [(Path(one["output"]) / "student" / "model.safetensors").read_bytes() for one in (asking, other)]
    assert weights[0] == weights[1]
    assert len(oracle.delivered) == 2 * calls, "nothing was paid for twice"
