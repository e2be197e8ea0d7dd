"""What the doctor says of a run of a masked language model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.tasks.masked_lm.masked_models import TINY, make_model, masked_sections, save, texts, write_texts

from limbeck.runs.config import run_config
from limbeck.runs.examine import examine
from limbeck.tasks.finding import Finding
from limbeck.types import SilentProgress


def findings(folder: Path, **changes: Any) -> dict[str, list[Finding]]:
    """Return the findings by check."""
    found: dict[str, list[Finding]] = {}
    for one in examine(run_config(masked_sections(folder, **changes)), SilentProgress()):
        found.setdefault(one.check, []).append(one)
    return found


def test_a_sound_run(tmp_path: Path) -> None:
    """Test texts are few and made alike, so some are training texts too: the doctor must say so."""
    found = findings(tmp_path, training={"max_steps": 300})
    assert found["data"][0].message == "48 training texts, 24 held-out texts, 0 left out"
    assert [one.level for one in found["data"]] == ["ok", "warning"]
    assert "held-out texts also occur in the training rows" in found["data"][1].message
    assert found["layers"][0].message.startswith("teacher 2 layers, 5.8 k parameters; student 1 layer, ")
    (masks,) = found["masks"]
    assert (masks.level, "tokens are masked in each pass" in masks.message) == ("ok", True)
    assert found["vocabulary"][0].message == "teacher and student know the same 25 tokens"
    assert found["losses"][0].level == "ok"
    assert found["time"][0].message.endswith("on this machine")
    assert "steps" not in found


def test_what_is_probably_a_mistake(tmp_path: Path) -> None:
    rows = [*texts(40), *["qq ww ee"] * 6, "ba " + "qq " * 12 + "be bi " * 24]
    train = {
        "train": write_texts(tmp_path / "odd.jsonl", rows),
        "test": write_texts(tmp_path / "t.jsonl", texts(9, 4)),
    }
    found = findings(tmp_path, data=train)
    said = {check: " ".join(one.message for one in many) for check, many in found.items()}
    assert "texts of more than 32 tokens are split: 2 more rows" in said["masks"]
    assert "6 texts have no token to mask" in said["masks"]
    assert "of the tokens are unknown to the tokenizer: wrong language?" in said["vocabulary"]
    assert "6 optimiser steps are few" in said["steps"]
    assert "training rows repeat another" in said["duplicates"]


def test_a_teacher_that_knows_nothing(tmp_path: Path) -> None:
    untrained = save(make_model(3), tmp_path / "untrained")
    (losses,) = findings(tmp_path, teacher={"model": untrained})["losses"]
    assert (losses.level, "it has learnt nothing about these texts" in losses.message) == ("fault", True)
    (losses,) = findings(tmp_path, teacher={"model": untrained}, recipe="fine_tune")["losses"]
    assert losses.level == "ok"  # it is only compared with
    (losses,) = findings(tmp_path, teacher={"model": untrained, "fine_tune": {"max_steps": 2}})["losses"]
    assert (losses.level, losses.message.endswith("before the teacher is trained")) == ("note", True)


def test_a_bare_encoder_that_is_trained_gets_a_head(tmp_path: Path) -> None:
    bare = save(make_model(hidden_dropout_prob=0.0).bert, tmp_path / "bare")
    teacher = {"model": bare, "fine_tune": {"max_steps": 2}}
    heads = findings(tmp_path, teacher=teacher, student={"model": bare})["head"]
    assert [one.message.split(" has")[0] for one in heads] == ["the teacher", "the student"]
    assert "head" not in findings(tmp_path)


def test_faults_end_the_examination(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("", encoding="utf-8")
    assert findings(tmp_path, data={"train": str(tmp_path / "empty.jsonl")})["data"][0].level == "fault"
    found = findings(tmp_path, student={"config": {**TINY, "hidden_size": 8}})
    assert found["models"][0].level == "fault"
    assert "losses" not in found
