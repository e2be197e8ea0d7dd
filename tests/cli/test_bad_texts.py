"""What users get wrong in generation runs: exit code 2, a message that says what and where, nothing lost."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.tasks.generation.text_models import (
    LLAMA,
    make_model,
    make_tokenizer,
    save,
    text_sections,
    train_rows,
    write_jsonl,
)

from limbeck.models.load import load_language_model

Command = Callable[..., tuple[int, str, str]]
Change = Callable[[dict[str, Any], Path], None]


pytestmark = pytest.mark.usefixtures("light")


def write_run_file(sections: dict[str, Any], folder: Path) -> str:
    path = folder / "run.yaml"
    path.write_text("".join(f"{name}: {json.dumps(value)}\n" for name, value in sections.items()), encoding="utf-8")
    return str(path)


def files(*folders: Path) -> dict[str, str]:
    """Digests of all files: what must be as before."""
    found = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def other_tokenizer(sections: dict[str, Any], folder: Path) -> None:
    tokenizer = make_tokenizer(size=300)
    sections["student"] = {"model": save(make_model(LLAMA, rows=len(tokenizer)), tokenizer, folder / "other")}


def chats_without_template(sections: dict[str, Any], folder: Path) -> None:
    chats = text_sections(folder, "chat")
    sections["task"], sections["data"] = chats["task"], chats["data"]


def row_of(sections: dict[str, Any], folder: Path, line: int, answer: str) -> None:
    rows = train_rows()
    rows[line - 1]["answer"] = answer
    sections["data"]["train"] = write_jsonl(folder / "rows.jsonl", rows)


def long_completion(sections: dict[str, Any], folder: Path) -> None:
    row_of(sections, folder, 5, "a very long answer " * 30)


def empty_completion(sections: dict[str, Any], folder: Path) -> None:
    row_of(sections, folder, 3, " \n")


def damaged_student(sections: dict[str, Any], folder: Path) -> None:
    model = make_model(LLAMA, rows=len(make_tokenizer()))
    with torch.no_grad():
        model.model.norm.weight[2] = float("inf")
    sections["student"] = {"model": save(model, make_tokenizer(), folder / "damaged")}


def no_store(sections: dict[str, Any], folder: Path) -> None:
    sections["teacher"]["store"] = str(folder / "nowhere")


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (other_tokenizer, ["tokenizers of teacher", "differ", "What would work: seqkd"]),
        (chats_without_template, ["task.messages needs a chat template", "template: plain"]),
        (long_completion, ["1 of 48 rows cannot be encoded", "rows.jsonl:5", "on_bad_row: quarantine"]),
        (empty_completion, ["rows.jsonl, line 3, field 'answer'", "white space only", "on_bad_row"]),
        (
            damaged_student,
            ["damaged are damaged: model.norm.weight holds values that are not finite", "Get the model"],
        ),
        (no_store, ["nowhere holds no teacher store", "Create one with limbeck store"]),
    ],
    ids=["tokenizers", "template", "long", "empty", "weights", "store"],
)
def test_a_run_that_cannot_be_right_is_refused_before_anything_is_trained(
    change: Change, words: list[str], limbeck: Command, tmp_path: Path
) -> None:
    """The doctor finds the same, and asking for a run twice gives the same answer."""
    sections = text_sections(tmp_path)
    change(sections, tmp_path)
    run_file = write_run_file(sections, tmp_path)
    before, run = files(tmp_path), Path(sections["output"])
    for command in ("doctor", "distill", "distill"):
        code, _, errors = limbeck(command, run_file)
        assert code == 2, (command, errors)
        for word in words:
            assert word in errors, command
        assert "Traceback" not in errors
    assert not list(run.glob("stages/*/*"))
    assert not (run / "student").exists()
    assert before.items() <= files(tmp_path).items()


def other_teacher(sections: dict[str, Any], folder: Path) -> None:
    model = load_language_model(sections["teacher"]["model"])
    with torch.no_grad():
        model.lm_head.weight[3, 3] += 0.01
    sections["teacher"]["model"] = save(model, make_tokenizer(), folder / "changed")


def truncated(sections: dict[str, Any], folder: Path) -> None:
    (shard,) = Path(sections["teacher"]["store"]).glob("*.shard")
    shard.write_bytes(shard.read_bytes()[:-7])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (other_teacher, ["does not fit this run", "another teacher"]),
        (truncated, [".shard is damaged", "its index lists", "Remove it and", "run limbeck store again"]),
    ],
    ids=["another teacher", "truncated"],
)
def test_a_store_that_does_not_fit_is_refused_and_left_alone(
    change: Change, words: list[str], limbeck: Command, tmp_path: Path
) -> None:
    sections = text_sections(tmp_path)
    sections["teacher"] |= {"store": str(tmp_path / "store"), "top_k": 8}
    assert limbeck("store", write_run_file(sections, tmp_path))[0] == 0
    teacher = sections["teacher"]["model"]
    change(sections, tmp_path)
    run_file, before = write_run_file(sections, tmp_path), files(tmp_path / "store")
    for command in ("doctor", "store", "distill"):
        code, _, errors = limbeck(command, run_file)
        assert code == 2, (command, errors)
        for word in words:
            assert word in errors, command
        assert "Traceback" not in errors
    assert files(tmp_path / "store") == before
    if change is truncated:  # the advice is right
        for path in (tmp_path / "store").glob("*.*"):
            if path.suffix in (".shard", ".index"):
                path.unlink()
        assert "48 rows kept" in limbeck("store", run_file)[2]
    else:  # the store is still good for its own teacher
        sections["teacher"]["model"], sections["output"] = teacher, str(tmp_path / "other")
        run_file = write_run_file(sections, tmp_path)
    code, _, errors = limbeck("distill", run_file)
    assert code == 0, errors


@pytest.mark.slow
def test_a_training_that_overflows_says_where_and_keeps_its_checkpoint(limbeck: Command, tmp_path: Path) -> None:
    """A learning rate that no model survives: logits that are not finite, for real."""
    sections = text_sections(tmp_path)
    sections["training"].update(max_steps=6, checkpoints=6, learning_rate=1e25, optim="sgd")
    code, _, errors = limbeck("distill", write_run_file(sections, tmp_path))
    assert code == 2, errors
    assert "is not finite" in errors or "is nan" in errors or "is inf" in errors
    assert "at optimiser step" in errors
    assert "Traceback" not in errors
    run = Path(sections["output"])
    assert not (run / "student").exists()
    assert list(run.glob("stages/*/checkpoints/checkpoint-*/limbeck.json"))


@pytest.mark.slow
def test_a_batch_without_a_position_to_learn_changes_no_figure_to_nan(
    limbeck: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All positions of one step are masked: it adds nothing, and the run goes on."""
    from limbeck.stages.trainer import DistillTrainer
    from limbeck.types import UNLABELLED

    whole, calls = DistillTrainer._collate, []

    def second_is_masked(self: Any, rows: list[int]) -> Any:
        batch = whole(self, rows)
        calls.append(rows)
        if len(calls) == 2:
            batch["labels_BT"].fill_(UNLABELLED)
        return batch

    monkeypatch.setattr(DistillTrainer, "_collate", second_is_masked)
    sections = text_sections(tmp_path)
    code, _, errors = limbeck("distill", write_run_file(sections, tmp_path))
    assert code == 0, errors
    run = Path(sections["output"])
    logged = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["loss"] == 0 for line in logged] == [False, True, False, False]
    assert logged[1]["grad_norm"] == 0
    assert all(line["loss"] < 100 for line in logged)
