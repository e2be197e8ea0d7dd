"""The teacher's likeliest tokens on disk: filled, gone on with, trained from, and refused where they do not fit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.runs.interruption import InterruptAfter
from tests.tasks.generation.text_models import (
    CHATML,
    LLAMA,
    TRAIN_ROWS,
    make_model,
    make_tokenizer,
    save,
    text_sections,
    train_rows,
    write_jsonl,
)

import limbeck
from limbeck.errors import ConfigError, DataError
from limbeck.models.load import load_language_model
from limbeck.runs.config import run_config
from limbeck.tasks.generation.config import TextRunConfig
from limbeck.tasks.generation.store import fill_store_of
from limbeck.teachers.language_model import LanguageTeacher
from limbeck.types import SilentProgress

K, TEMPERATURE = 8, 2.0
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


@pytest.fixture
def sections(tmp_path: Path, light: None) -> dict[str, Any]:
    """A run of one step on all rows, so that its loss depends on no order; with a store of 8 of 360 tokens."""
    sections = text_sections(tmp_path, recipe={"name": "kd", "label_weight": 0.0, "loss_temperature": TEMPERATURE})
    sections["teacher"] |= {"store": str(tmp_path / "store"), "top_k": K}
    sections["training"] |= {"max_steps": 1, "batch_size": TRAIN_ROWS}
    return sections


def checked(sections: dict[str, Any]) -> TextRunConfig:
    config = run_config(sections)
    assert isinstance(config, TextRunConfig)
    return config


def fill(sections: dict[str, Any], progress: Any = None) -> tuple[int, float]:
    return fill_store_of(checked(sections), progress or SilentProgress())


def losses(sections: dict[str, Any]) -> list[float]:
    path = Path(sections["output"]) / "log.jsonl"
    return [json.loads(line)["loss"] for line in path.read_text(encoding="utf-8").splitlines()]


def logits_of(model: Any) -> tuple[torch.Tensor, list[int]]:
    """Logits and labels at every learnt position of the training rows, by transformers and the tokenizer alone."""
    tokenizer = make_tokenizer()
    found, labels = [], []
    for row in train_rows():
        prompt = tokenizer(row["question"] + "\n\n")["input_ids"]
        answer = [*tokenizer(row["answer"])["input_ids"], tokenizer.eos_token_id]
        with torch.no_grad():
            logits_TV = model(torch.tensor([prompt + answer])).logits[0]
        found.append(logits_TV[len(prompt) - 1 : -1])
        labels += answer
    return torch.cat(found), labels


@pytest.mark.slow
def test_training_from_a_store_has_the_loss_of_the_teacher_cut_to_its_likeliest_tokens(
    sections: dict[str, Any], tmp_path: Path
) -> None:
    """KL over the K tokens and the bucket of all others, times T squared, computed here from full logits."""
    rows, mass = fill(sections)
    limbeck.distill(**sections)
    config = checked(sections)
    teacher = load_language_model(config.teacher.model)
    torch.manual_seed(0)
    student = make_model(LLAMA, rows=len(make_tokenizer()))
    p_SV, q_SV = ((logits_of(m)[0].double() / TEMPERATURE).softmax(-1) for m in (teacher, student))
    kept_SK = p_SV.topk(K, dim=-1).indices
    p_SK, q_SK = p_SV.gather(1, kept_SK), q_SV.gather(1, kept_SK)
    p_S, q_S = 1 - p_SK.sum(-1), 1 - q_SK.sum(-1)
    kl_S = (p_SK * (p_SK / q_SK).log()).sum(-1) + p_S * (p_S / q_S).log()
    expected = TEMPERATURE**2 * float(kl_S.mean())
    whole = TEMPERATURE**2 * float((p_SV * (p_SV / q_SV).log()).sum(-1).mean())
    assert losses(sections) == pytest.approx([expected], rel=2e-4)
    assert abs(expected - whole) > 0.05  # the store is no full teacher, and the test would see one
    assert rows == TRAIN_ROWS
    assert mass == pytest.approx(float(p_SK.sum(-1).mean()), abs=1e-3)


@pytest.mark.slow
def test_several_steps_from_a_store_are_those_of_a_live_teacher_with_as_many_tokens(
    sections: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shuffled, accumulated, in two epochs; and the teacher does not run while the student is trained."""
    from limbeck.numerics.sparse import top_k

    sections["training"] |= {"max_steps": 6, "batch_size": 16, "micro_batch_size": 4}
    fill(sections)
    whole = LanguageTeacher.signal

    def cut(self: Any, batch: Any, needs: Any) -> Any:
        return {"tokens": top_k(whole(self, batch, needs)["tokens"], K, TEMPERATURE)}

    live = {**sections, "output": str(tmp_path / "live"), "teacher": {"model": sections["teacher"]["model"]}}
    with monkeypatch.context() as patch:
        patch.setattr(LanguageTeacher, "signal", cut)
        limbeck.distill(**live)

    def refuse(*words: Any) -> Any:
        raise AssertionError("the teacher was asked")

    monkeypatch.setattr(LanguageTeacher, "signal", refuse)
    limbeck.distill(**sections)
    assert losses(sections) == pytest.approx(losses(live), rel=1e-3)
    assert len(losses(sections)) == 6


@pytest.mark.slow
def test_an_interrupted_store_asks_for_the_rest_alone(sections: dict[str, Any]) -> None:
    with pytest.raises(KeyboardInterrupt):
        fill(sections, InterruptAfter(2))
    with pytest.raises(DataError, match=r"32 of 48 rows are not in the teacher store.*Run limbeck store again"):
        limbeck.distill(**sections)
    assert fill(sections)[0] == TRAIN_ROWS - 16
    assert fill(sections)[0] == 0
    limbeck.distill(**sections)


@pytest.mark.slow
def test_rows_that_were_added_are_asked_about_alone_and_rows_of_one_text_once(
    sections: dict[str, Any], tmp_path: Path
) -> None:
    fill(sections)
    (shard,) = Path(sections["teacher"]["store"]).glob("*.shard")
    before = shard.read_bytes()
    added = [{**row, "question": f"{row['question']} again"} for row in train_rows()[:13]]
    sections["data"]["train"] = write_jsonl(tmp_path / "more.jsonl", [*train_rows(), *added, *added[:5]])
    assert fill(sections)[0] == 13
    assert fill(sections)[0] == 0
    assert shard.read_bytes() == before
    limbeck.distill(**sections)


@pytest.mark.slow
def test_a_store_serves_any_order_of_the_rows(sections: dict[str, Any], tmp_path: Path) -> None:
    fill(sections)
    limbeck.distill(**sections)
    first = losses(sections)
    sections["data"]["train"] = write_jsonl(tmp_path / "turned.jsonl", train_rows()[::-1])
    sections["output"] = str(tmp_path / "turned")
    limbeck.distill(**sections)
    assert losses(sections) == pytest.approx(first, rel=1e-5)  # sums in another order


def change_row(sections: dict[str, Any], folder: Path) -> None:
    rows = train_rows()
    rows[5]["answer"] += "s"
    sections["data"]["train"] = write_jsonl(folder / "changed.jsonl", rows)


def change_separator(sections: dict[str, Any], folder: Path) -> None:
    sections["task"]["separator"] = "\n"


def change_teacher(sections: dict[str, Any], folder: Path) -> None:
    model = load_language_model(sections["teacher"]["model"])
    with torch.no_grad():
        model.lm_head.weight[3, 3] += 0.01
    sections["teacher"]["model"] = save(model, make_tokenizer(), folder / "changed")


def change_temperature(sections: dict[str, Any], folder: Path) -> None:
    sections["recipe"]["loss_temperature"] = 1.0


def change_top_k(sections: dict[str, Any], folder: Path) -> None:
    sections["teacher"]["top_k"] = K + 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (change_row, DataError, "1 of 48 rows are not in the teacher store"),
        (change_separator, DataError, "48 of 48 rows are not in the teacher store"),
        (change_teacher, ConfigError, "does not fit this run. another teacher"),
        (change_temperature, ConfigError, "temperature: 2.0 in the store, 1.0 wanted"),
        (change_top_k, ConfigError, "top_k: 8 in the store, 9 wanted"),
    ],
    ids=["row", "separator", "teacher", "temperature", "top_k"],
)
def test_what_changed_since_is_noticed(
    change: Any, error: type[Exception], message: str, sections: dict[str, Any], tmp_path: Path
) -> None:
    fill(sections)
    change(sections, tmp_path)
    with pytest.raises(error) as refused:
        limbeck.distill(**sections)
    assert message in str(refused.value)
    assert not (Path(sections["output"]) / "stages").exists()


def test_another_chat_template_is_noticed(sections: dict[str, Any], tmp_path: Path) -> None:
    chats = text_sections(tmp_path, "chat")
    chats |= {name: sections[name] for name in ("recipe", "training")}
    chats["teacher"] |= {"store": str(tmp_path / "chats"), "top_k": K}
    fill(chats)
    template = CHATML.replace("<|im_start|>", "<s>")
    make_tokenizer(template=template).save_pretrained(chats["teacher"]["model"])
    with pytest.raises(ConfigError, match="another template"):
        limbeck.distill(**chats)


@pytest.mark.slow
def test_a_shard_that_was_cut_short(sections: dict[str, Any]) -> None:
    fill(sections)
    shard = max(Path(sections["teacher"]["store"]).iterdir(), key=lambda path: path.stat().st_size)
    shard.write_bytes(shard.read_bytes()[:-7])
    with pytest.raises(DataError, match=r"is damaged.*Remove it and .* and run limbeck store again"):
        limbeck.distill(**sections)
    for path in (shard, *Path(sections["teacher"]["store"]).glob(f"{shard.stem}.*")):
        path.unlink(missing_ok=True)
    assert fill(sections)[0] == TRAIN_ROWS
    limbeck.distill(**sections)


@pytest.mark.slow
def test_a_full_disk_then_room_again(sections: dict[str, Any], tmp_path: Path) -> None:
    """The operating system refuses the shard's file, as a full disk does."""
    path = tmp_path / "run.yaml"
    path.write_text("".join(f"{name}: {json.dumps(value)}\n" for name, value in sections.items()), encoding="utf-8")
    program = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, resource.RLIM_INFINITY))\n"
        f"sys.argv = ['limbeck', 'store', {str(path)!r}]\n"
        "from limbeck.cli.app import main; main()\n"
    )
    words = [sys.executable, "-c", program]
    answer = subprocess.run(words, env=ENVIRONMENT, capture_output=True, text=True, timeout=600)
    assert answer.returncode == 2, answer.stderr
    assert "could not be written" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert fill(sections)[0] == TRAIN_ROWS


def test_a_teacher_that_overflows_is_not_kept(sections: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = LanguageTeacher.signal

    def breaks(self: Any, batch: Any, needs: Any) -> Any:
        signal_ = whole(self, batch, needs)
        signal_["tokens"].hidden_SD[0] = float("nan")
        return signal_

    with monkeypatch.context() as patch:
        patch.setattr(LanguageTeacher, "signal", breaks)
        with pytest.raises(DataError, match="look for a teacher that overflows"):
            fill(sections)
    assert fill(sections)[0] == TRAIN_ROWS


def test_a_teacher_that_is_not_finished_fills_no_store(sections: dict[str, Any]) -> None:
    sections["teacher"]["fine_tune"] = {"max_steps": 1}
    with pytest.raises(ConfigError, match=r"teacher\.fine_tune: a store is filled before the run"):
        fill(sections)
