"""A store that is filled from a server which holds the weights, and training from it without them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.tasks.generation.text_models import T5, TRAIN_ROWS, text_sections, train_rows, trained, write_jsonl
from tests.teachers.store.completions_server import Server, cut_off, hang_up, serving, status

import limbeck
from limbeck.errors import ConfigError, DataError, ModelError, TeacherError
from limbeck.report.page import render_report
from limbeck.runs.config import run_config
from limbeck.runs.examine import examine
from limbeck.tasks.generation.config import TextRunConfig
from limbeck.tasks.generation.store import fill_store_of
from limbeck.teachers.store.index import INDEX
from limbeck.teachers.store.reader import TokenStore
from limbeck.types import SilentProgress

K = 8
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server of the very teacher that the tests compare with."""
    model, _ = trained("llama")
    monkeypatch.setattr("limbeck.teachers.store.server.back_off_s", lambda *words: 0.001)

    @torch.no_grad()
    def distributions(ids: list[int]) -> list[list[float]]:
        return model(torch.tensor([ids])).logits[0].log_softmax(-1).tolist()

    with serving(distributions) as state:
        yield state


@pytest.fixture
def sections(tmp_path: Path, server: Server, light: None) -> dict[str, Any]:
    """A run whose teacher is known by its tokenizer alone, of one step on all rows."""
    sections = text_sections(tmp_path, recipe={"name": "kd", "label_weight": 0.0, "loss_temperature": 1.0})
    sections["training"] |= {"max_steps": 1, "batch_size": TRAIN_ROWS}
    sections["teacher"] |= {"top_k": K, "store": str(tmp_path / "store")}
    return sections


@pytest.fixture
def served(sections: dict[str, Any], server: Server, tmp_path: Path) -> dict[str, Any]:
    """The same run with the teacher on the server; its weights are not there at all."""
    tokenizer = tmp_path / "tokenizer"
    shutil.copytree(sections["teacher"]["model"], tokenizer)
    for weights in tokenizer.glob("*.safetensors"):
        weights.unlink()
    (tokenizer / "config.json").unlink()
    teacher = {"model": str(tokenizer), "top_k": K, "store": str(tmp_path / "served")}
    teacher["server"] = {"base_url": server.url, "model": "big", "concurrency": 4}
    return {**sections, "teacher": teacher, "output": str(tmp_path / "without")}


def checked(sections: dict[str, Any]) -> TextRunConfig:
    config = run_config(sections)
    assert isinstance(config, TextRunConfig)
    return config


def fill(sections: dict[str, Any]) -> tuple[int, float]:
    return fill_store_of(checked(sections), SilentProgress())


def losses(sections: dict[str, Any]) -> list[float]:
    path = Path(sections["output"]) / "log.jsonl"
    return [json.loads(line)["loss"] for line in path.read_text(encoding="utf-8").splitlines()]


def run_file(sections: dict[str, Any], path: Path) -> Path:
    path.write_text("".join(f"{name}: {json.dumps(value)}\n" for name, value in sections.items()), encoding="utf-8")
    return path


@pytest.mark.slow
def test_a_served_teacher_gives_the_signals_and_the_loss_of_the_live_one(
    sections: dict[str, Any], served: dict[str, Any], server: Server
) -> None:
    from limbeck.tasks.generation.context import set_up
    from limbeck.tasks.generation.rows import read_texts

    assert fill(sections)[0] == TRAIN_ROWS
    rows, mass = fill(served)
    assert rows == TRAIN_ROWS == len(server.asked)
    assert 0.5 < mass < 1
    config = checked(served)
    keys = set_up(config, Path(config.output), read_texts(config), SilentProgress()).train_rows.keys
    live, told = (TokenStore.open(Path(one["teacher"]["store"])) for one in (sections, served))
    assert told.fingerprint.teacher == "served: big"
    ours, theirs = live.read(keys), told.read(keys)
    assert torch.equal(ours.ids_SK, theirs.ids_SK)
    torch.testing.assert_close(theirs.log_probs_SK, ours.log_probs_SK, atol=2e-3, rtol=2e-3)
    # A server says nothing about the rest: it is what is left to 1, which rounding makes coarse.
    torch.testing.assert_close(theirs.tail_S.exp(), ours.tail_S.exp(), atol=2e-5, rtol=1e-3)
    limbeck.distill(**sections)
    results = limbeck.distill(**served)
    assert losses(served) == pytest.approx(losses(sections), rel=1e-3)
    assert [s.name for s in results.systems if s.role != "constant"] == ["student_init", "distilled"]
    assert not any(figure.metric == "kl" for figure in results.figures)
    assert any("its own figures on the held-out rows" in warning for warning in results.warnings)
    assert "agreement with it" in render_report(results)


@pytest.mark.slow
def test_trouble_on_the_way_is_overcome(served: dict[str, Any], server: Server) -> None:
    server.faults = [status(500), None, cut_off, hang_up, status(429, Retry_After="0"), None, status(503)]
    assert fill(served)[0] == TRAIN_ROWS
    assert fill(served) == (0, 0.0)


@pytest.mark.slow
def test_what_was_answered_before_the_server_failed_is_kept(served: dict[str, Any], server: Server) -> None:
    served["teacher"]["server"]["tries"] = 2
    server.faults = [None] * 10 + [status(500, "out of memory")] * 100
    with pytest.raises(TeacherError, match=r"2 of 2 tries.*out of memory.*run the same command again"):
        fill(served)
    kept = len(TokenStore.open(Path(served["teacher"]["store"])))
    assert kept == 10
    with pytest.raises(DataError, match="rows are not in the teacher store"):
        limbeck.distill(**served)
    server.faults = []
    server.asked.clear()
    assert fill(served)[0] == TRAIN_ROWS - kept
    assert len(server.asked) == TRAIN_ROWS - kept + 1  # one that is known, to see that the teacher is the same


@pytest.mark.slow
def test_kill_9_keeps_what_was_paid_for(served: dict[str, Any], server: Server, tmp_path: Path) -> None:
    many = [{**row, "question": f"{row['question']} {i}"} for i in range(4) for row in train_rows()]
    served["data"] = {**served["data"], "train": write_jsonl(tmp_path / "many.jsonl", many)}
    store = Path(served["teacher"]["store"])
    words = [sys.executable, "-m", "limbeck", "store", str(run_file(served, tmp_path / "run.yaml"))]
    process = subprocess.Popen(words, env=ENVIRONMENT, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 240
    while process.poll() is None and time.monotonic() < until:
        if any(index.stat().st_size > 1000 for index in store.glob(f"*{INDEX}")):
            break
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    time.sleep(0.2)  # the server is still about the calls that were under way
    kept, paid = len(TokenStore.open(store)), len(server.asked)
    assert 0 < kept < len(many)
    assert paid - kept <= 4 + 1  # those under way, and one that was answered and not yet written
    assert fill(served)[0] == len(many) - kept


def test_another_teacher_behind_the_same_name(served: dict[str, Any], server: Server) -> None:
    served["teacher"]["server"]["tries"] = 1
    server.faults = [None] * 10 + [status(400, "enough")] * 4
    with pytest.raises(TeacherError, match="enough"):
        fill(served)
    server.faults = []  # those that no call met
    same = server.distributions
    server.distributions = lambda ids: [row[::-1] for row in same(ids)]
    with pytest.raises(TeacherError, match="the name now belongs to another teacher"):
        fill(served)
    server.distributions = same
    served["teacher"]["server"]["model"] = "bigger"
    with pytest.raises(ConfigError, match=r"another teacher: served: big in the store, served: bigger wanted"):
        fill(served)


def test_a_server_that_caps_the_tokens_it_names(served: dict[str, Any], server: Server) -> None:
    whole = server.answer
    server.answer = lambda body: whole({**body, "prompt_logprobs": 5})
    with pytest.raises(TeacherError, match=r"names 5 tokens at a position, and teacher.top_k is 8.*--max-logprobs 8"):
        fill(served)
    server.answer = whole
    server.most_logprobs = 5
    with pytest.raises(TeacherError, match=r"prompt logprobs of 8, greater than 5.*--max-logprobs K"):
        fill(served)


def test_a_server_of_another_tokenizer(served: dict[str, Any], server: Server) -> None:
    whole = server.answer
    server.answer = lambda body: whole({**body, "prompt": [(token + 1) % 360 for token in body["prompt"]]})
    with pytest.raises(TeacherError, match=r"about the row .*train-llama\.jsonl.* the server read other token ids"):
        fill(served)


@pytest.mark.slow
def test_the_key_comes_from_the_environment_and_is_shown_nowhere(
    served: dict[str, Any], server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.key = "a-long-secret-key"
    served["teacher"]["server"]["key_env"] = "TEACHER_KEY"
    monkeypatch.delenv("TEACHER_KEY", raising=False)
    with pytest.raises(ConfigError, match=r"environment variable TEACHER_KEY \(key_env\) is not set"):
        fill(served)
    monkeypatch.setenv("TEACHER_KEY", "a-wrong-secret-key")
    with pytest.raises(TeacherError, match=r"HTTP 401.*valid key") as refused:
        fill(served)
    assert "secret" not in str(refused.value)
    monkeypatch.setenv("TEACHER_KEY", server.key)
    assert fill(served)[0] == TRAIN_ROWS
    limbeck.distill(**served)
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or b"a-long-secret-key" not in path.read_bytes(), path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"teacher": {"store": None}}, "Give a folder as teacher.store"),
        ({"teacher": {"fine_tune": {"max_steps": 1}}}, "the server has them"),
        ({"teacher": {"precision": "bf16"}}, "the server has them"),
        ({"student": {"from_teacher": {"layers": "first", "keep": 1}}}, "student.from_teacher, student.pruned and"),
        ({"student": {"config": T5, "word_embeddings": "pca"}}, "student.word_embeddings copy the teacher's weights"),
        (
            {"recipe": "kd"},
            r"other temperatures than 1, and a teacher\.server .* Set recipe\.loss_temperature: 1",
        ),
        ({"recipe": "fine_tune"}, r"teacher\.server is for a recipe that compares probabilities with the teacher"),
        ({"recipe": "minillm"}, "no store holds"),
        ({"teacher": {"server": {"base_url": "ftp://here", "model": "big"}}}, "must be an address"),
        (
            {"teacher": {"server": {"base_url": "http://u:pw@here/v1", "model": "big"}}},
            "must not contain a user, password",
        ),
        ({"teacher": {"server": {"base_url": "http://here/v1"}}}, "'teacher.server.model' is missing"),
        (
            {"teacher": {"server": {"base_url": "http://h/v1", "model": "b", "key_env": "sk-1"}}},
            "never the key itself",
        ),
    ],
)
def test_what_needs_the_weights_or_is_no_address(served: dict[str, Any], changes: Any, message: str) -> None:
    for name, value in changes.items():
        served[name] = {**served[name], **value} if name == "teacher" else value
    with pytest.raises(ConfigError, match=message) as refused:
        checked(served)
    assert "pw" not in str(refused.value)
    assert "sk-1" not in str(refused.value)


def test_an_encoder_and_a_decoder_are_not_served(served: dict[str, Any]) -> None:
    served["student"] = {"config": T5}
    with pytest.raises(ModelError, match="a teacher on a server is causal"):
        fill(served)


def test_the_doctor_without_the_weights(served: dict[str, Any], server: Server) -> None:
    found = {finding.check: finding for finding in examine(checked(served), SilentProgress())}
    assert found["store"].level == "fault"
    assert "Create one with limbeck store" in found["store"].message
    fill(served)
    findings = examine(checked(served), SilentProgress())
    found = {finding.check: finding for finding in findings}
    assert "fault" not in {finding.level for finding in findings}
    assert found["store"].level == "ok"
    assert "not measured: the teacher runs on a server" in found["losses"].message
