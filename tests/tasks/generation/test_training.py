"""Stages of generation runs: packed rows, hints of hidden states, and what goes on after a stop."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.runs.interruption import StopAfter
from tests.tasks.generation.text_models import LLAMA, T5, make_model, make_tokenizer, save, text_sections

import limbeck
from limbeck.errors import ConfigError, ModelError


@pytest.fixture
def sections(tmp_path: Path, light: None) -> dict[str, Any]:
    """A run of a few steps, without speed, intervals and drawing."""
    return text_sections(tmp_path)


def weights(run: str | Path) -> dict[str, torch.Tensor]:
    return load_file(Path(run) / "student" / "model.safetensors")


def lines(run: str | Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (Path(run) / "log.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.slow
def test_the_teachers_share_of_taid_is_logged_and_goes_on_after_a_stop(
    sections: dict[str, Any], tmp_path: Path
) -> None:
    sections["recipe"] = {"name": "taid", "start": 0.2, "step_size": 1.0, "momentum": 0.9}
    sections["training"].update(max_steps=8, checkpoints=8)
    limbeck.distill(**sections)
    whole, stopped = sections["output"], str(tmp_path / "stopped")
    sections["output"] = stopped
    for steps in (3, 2):
        with pytest.raises(KeyboardInterrupt):
            limbeck.distill(**sections, progress=StopAfter(steps))
    limbeck.distill(**sections)

    shares = [line["teacher_fraction/divergence"] for line in lines(whole)]
    assert shares == sorted(shares)
    assert 0.2 < shares[0] < shares[-1] <= 1
    assert any(share > 0.2 + 0.8 * step / 8 + 0.01 for step, share in enumerate(shares, start=1))  # not linearly alone
    assert [line["teacher_fraction/divergence"] for line in lines(stopped)] == shares
    assert [line["loss"] for line in lines(stopped)] == [line["loss"] for line in lines(whole)]
    for name, tensor in weights(whole).items():
        assert torch.equal(weights(stopped)[name], tensor)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["kd", "taid"])
def test_packed_rows_train_the_student_of_rows_alone(recipe: str, sections: dict[str, Any], tmp_path: Path) -> None:
    """Rows of different length, one or several in a packed row; plain gradient descent follows no rounding errors."""
    sections["recipe"] = {"name": recipe}
    sections["training"].update(optim="sgd", learning_rate=0.3, micro_batch_size=4, max_length=64)
    for packing in (False, True):
        sections["training"]["packing"] = packing
        limbeck.distill(**{**sections, "output": str(tmp_path / str(packing))})
    plain, packed = (lines(tmp_path / name) for name in ("False", "True"))
    assert [line["loss"] for line in packed] == pytest.approx([line["loss"] for line in plain], rel=1e-4)
    assert [line["term/divergence"] for line in packed] == pytest.approx(
        [line["term/divergence"] for line in plain], rel=1e-4
    )
    found, expected = weights(tmp_path / "True"), weights(tmp_path / "False")
    start = make_model(text_sections(tmp_path)["student"]["config"], rows=len(make_tokenizer())).state_dict()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, atol=2e-6, rtol=1e-4)
    assert any(not torch.allclose(tensor, start[name], atol=1e-3) for name, tensor in expected.items())
    assert all(0 <= line["padding"] < 1 for line in (*plain, *packed))
    assert packed[-1]["padding"] != plain[-1]["padding"]


@pytest.mark.slow
def test_texts_that_the_student_writes_are_not_packed(sections: dict[str, Any], tmp_path: Path) -> None:
    sections["recipe"] = {"name": "gkd", "on_policy_fraction": 1, "fine_tune_fraction": 0.5, "max_new_tokens": 4}
    for packing in (False, True):
        sections["training"].update(packing=packing, max_length=64)
        limbeck.distill(**{**sections, "output": str(tmp_path / str(packing))})
    plain, packed = (lines(tmp_path / name) for name in ("False", "True"))
    assert [line["padding"] for line in packed[2:]] != [0] * 2
    assert packed[0]["padding"] != plain[0]["padding"]
    assert packed[0]["loss"] == pytest.approx(plain[0]["loss"], rel=1e-4)


def test_packing_a_recipe_without_texts_that_can_share_a_row(sections: dict[str, Any]) -> None:
    sections["recipe"] = {"name": "gkd", "on_policy_fraction": 1, "fine_tune_fraction": 0}
    sections["training"]["packing"] = True
    with pytest.raises(
        ConfigError,
        match=r"training\.packing is for a recipe .* in which texts can share a row, and recipe 'gkd'",
    ):
        limbeck.distill(**sections)


def test_packing_for_a_model_that_would_mix_texts_up(sections: dict[str, Any], tmp_path: Path) -> None:
    opt = {
        "model_type": "opt", "hidden_size": 16, "word_embed_proj_dim": 16, "ffn_dim": 32, "num_hidden_layers": 1,
        "num_attention_heads": 2, "max_position_embeddings": 128, "init_std": 0.3,
    }  # fmt: skip
    sections["student"] = {
        "model": save(make_model(opt, rows=len(make_tokenizer())), make_tokenizer(), tmp_path / "opt")
    }
    sections["training"]["packing"] = True
    with pytest.raises(ConfigError, match=r"OPTForCausalLM .* mixes up packed sequences.*training\.packing"):
        limbeck.distill(**sections)
    assert not list(Path(sections["output"]).glob("stages/*"))


def test_packing_for_an_encoder_and_a_decoder(tmp_path: Path) -> None:
    sections = text_sections(tmp_path, "t5")
    sections["training"]["packing"] = True
    with pytest.raises(ConfigError, match=r"has an encoder, .*packing needs a causal model"):
        limbeck.distill(**sections)


HINTS = {"name": "f_distill", "variant": "kl", "hint_weight": 3, "max_new_tokens": 4}


@pytest.mark.slow
@pytest.mark.parametrize("packing", [False, True])
def test_hints_of_hidden_states_in_the_first_stage(packing: bool, sections: dict[str, Any]) -> None:
    sections["student"] = {"from_teacher": {"layers": "last", "keep": 1}}
    sections["recipe"] = {**HINTS, "hint_layers": "last", "pre_distillation_fraction": 0.75}
    sections["training"].update(packing=packing, max_steps=8)
    limbeck.distill(**sections)
    first = [line for line in lines(sections["output"]) if line["stage"] == "pre_distillation"]
    assert len(first) == 6
    for line in first:
        parts = [0.8 * line["term/divergence"], 0.2 * line["term/labels"], 3 * line["term/hints"]]
        assert line["loss"] == pytest.approx(sum(parts), rel=1e-4)
    assert first[-1]["term/hints"] < first[0]["term/hints"]
    assert "term/hints" not in lines(sections["output"])[-1]


def test_hints_that_cannot_be_given_are_refused_before_anything_is_trained(
    sections: dict[str, Any], tmp_path: Path
) -> None:
    sections["recipe"] = HINTS
    sections["teacher"]["fine_tune"] = {"num_train_epochs": 1}
    with pytest.raises(ConfigError, match=r"must have the same width; the teacher has 32, the student 16"):
        limbeck.distill(**sections)
    tokenizer = make_tokenizer(size=340)
    student = make_model({**LLAMA, "hidden_size": 32}, rows=len(tokenizer))
    sections["student"] = {"model": save(student, tokenizer, tmp_path / "other")}
    sections["output"] = str(tmp_path / "run-of-other-tokens")
    with pytest.raises(ModelError, match="tokenizers"):
        limbeck.distill(**sections)
    t5 = text_sections(
        tmp_path, "t5", recipe=HINTS, output=str(tmp_path / "run-t5"), student={"config": {**T5, "d_model": 32}}
    )
    with pytest.raises(ModelError, match="has an encoder and a decoder: layers can only be mapped"):
        limbeck.distill(**t5)
    assert not list(tmp_path.glob("run*/stages/*"))


@pytest.mark.slow
@pytest.mark.parametrize("micro", [1, 8])
def test_a_reward_teaches_whatever_the_micro_batches(sections: dict[str, Any], micro: int) -> None:
    """A mean of one reward is that reward: as a baseline it would leave nothing of micro-batches of one text."""
    sections["recipe"] = {
        "name": "gkd", "on_policy_fraction": 1, "fine_tune_fraction": 0, "max_new_tokens": 5, "reward_weight": 1,
        "reward": "tests.tasks.generation.text_models:reward_of_length",
    }  # fmt: skip
    sections["training"] |= {"micro_batch_size": micro, "dropout": 0.1}
    limbeck.distill(**sections)
    terms = [line["term/reward"] for line in lines(sections["output"]) if "term/reward" in line]
    assert len(terms) == 4
    assert all(abs(term) > 1e-3 for term in terms)
