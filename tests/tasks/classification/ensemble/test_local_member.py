"""A causal language model with a prompt as a member of an ensemble."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.tasks.classification.ensemble.test_checks import findings
from tests.tasks.classification.ensemble.test_teacher import teacher_of

from limbeck.runs.config import run_config
from limbeck.runs.folder import resolved_yaml
from limbeck.tasks.classification.config import RunConfig
from limbeck.tasks.classification.dates import date_notes, with_label_dates
from limbeck.tasks.classification.memory import plan_memory
from limbeck.tasks.record import RUN_FILE
from limbeck.teachers.labels.label_probs import LabelProbs

DATED = "{{ strftime_now('%Y') }}{% for m in messages %}{{ m['content'] }}{% endfor %}"


@pytest.fixture
def causal(tmp_path: Path, make_causal_tokenizer: Callable[..., Any]) -> str:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=420, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        initializer_range=0.6, bos_token_id=1, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    folder = tmp_path / "causal"
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer = make_causal_tokenizer(chat=True)
    tokenizer.chat_template = DATED
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture
def asking(few: dict[str, Any], causal: str) -> dict[str, Any]:
    member = {"model": causal, "prompt": {"layout": "plain", "max_body_tokens": 20}, "pilot": 0}
    few["teacher"]["ensemble"] = {"members": ["tfidf", member], "folds": 2, "rounds": 2}
    return few


def test_its_labels_are_learned_where_no_gold_label_is(asking: dict[str, Any]) -> None:
    found = teacher_of(asking)
    told = found.ensemble
    assert told is not None
    assert told.learned_rows == len(found.train)
    assert told.asked_again is None
    assert told.members[1].title == "the causal model causal"
    assert told.members[1].labels_from == "model"
    kept = LabelProbs.load(Path(asking["output"]) / "teacher_labels" / "train")
    assert kept.how == "local"
    assert sum(member.weight for member in told.members) == pytest.approx(1)
    assert np.isfinite(found.test.probs_NC).all()


def test_doctor_and_plan_know_it(asking: dict[str, Any]) -> None:
    found = findings(asking)
    assert not [one for one in found.values() if one.level == "fault"]
    assert found["teacher"].message.startswith("the causal model causal will be asked about")
    assert "asked again" not in found
    config = run_config(asking)
    assert isinstance(config, RunConfig)
    plan = plan_memory(config, available=1e12)
    assert any("prompted teacher labels the rows" in note for note in plan.notes)


def test_the_date_in_its_prompt_is_that_of_the_run(asking: dict[str, Any], tmp_path: Path) -> None:
    asking["teacher"]["ensemble"]["members"][1]["prompt"] = {"layout": "chat"}
    config = run_config(asking)
    assert isinstance(config, RunConfig)
    dated = with_label_dates(config, tmp_path)
    asked = dated.teacher.asked
    assert asked is not None
    assert asked.prompt is not None
    assert asked.prompt.date is not None
    (note,) = date_notes(dated)
    assert "(teacher.ensemble.members.1.prompt.date)" in note
    first = dated.teacher.with_prompt(asked.prompt.model_copy(update={"date": date(2019, 11, 1)}))
    recorded = dated.model_copy(update={"teacher": first})
    (tmp_path / RUN_FILE).write_text(resolved_yaml(recorded, {}), encoding="utf-8")
    assert with_label_dates(config, tmp_path) == recorded
