"""Whole runs with models whose padding, positions or layers are not BERT's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import limbeck
from limbeck.errors import ModelError
from limbeck.models.taps import run_model
from limbeck.runs.config import run_config
from limbeck.runs.examine import examine
from limbeck.tasks.classification.config import RunConfig
from limbeck.tasks.classification.memory import plan_memory
from limbeck.tasks.classification.predict import Predictor
from limbeck.types import SilentProgress

SHAPE = {
    "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 64,
    "max_position_embeddings": 64,
}  # fmt: skip
OWN: dict[str, dict[str, Any]] = {
    "Llama": {"num_key_value_heads": 2, "bos_token_id": None, "eos_token_id": None, "pad_token_id": None},
    "GPT2": {"n_embd": 32, "n_layer": 4, "n_head": 2, "bos_token_id": None, "eos_token_id": None},
    "Luke": {"entity_vocab_size": 10, "entity_emb_size": 8, "pad_token_id": 0},
    "IBert": {"pad_token_id": 0},
    "XLMRoberta": {"pad_token_id": 0},
    "FNet": {"pad_token_id": 0, "tpu_short_seq_length": 64},
    "ModernBert": {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3},
}


def base_model(kind: str, encoder_folder: Path, folder: Path, **of_tokenizer: Any) -> str:
    """Write a pretrained-looking model of random weights that reads the words of the data."""
    tokenizer = AutoTokenizer.from_pretrained(encoder_folder, **of_tokenizer)
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**{**SHAPE, **OWN[kind]}, vocab_size=len(tokenizer))
    getattr(transformers, f"{kind}Model")(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def checked(sections: dict[str, Any]) -> RunConfig:
    config = run_config(sections)
    assert isinstance(config, RunConfig)
    return config


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["Llama", "GPT2"])
def test_a_causal_model_without_padding_id_goes_through_every_command(
    kind: str, sections: dict[str, Any], encoder_folder: Path, tmp_path: Path, light: None
) -> None:
    """The tokenizer pads on the left; GPT-2's answers would change with that."""
    sections["teacher"]["model"] = base_model(kind, encoder_folder, tmp_path / "base", padding_side="left")
    sections["teacher"]["fine_tune"]["num_train_epochs"] = 10
    sections["baselines"] = []
    assert not [found for found in examine(checked(sections), SilentProgress()) if found.level == "fault"]
    assert plan_memory(checked(sections), available=1e12).fits
    limbeck.distill(**sections)
    run = Path(sections["output"])
    texts = [json.loads(line)["text"] for line in Path(sections["data"]["test"]).read_text("utf-8").splitlines()]
    for system, folder in (("teacher", next((run / "stages").glob("01-*/model"))), ("distilled", run / "student")):
        model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
        tokenizer = AutoTokenizer.from_pretrained(folder)
        with torch.no_grad():
            one_by_one = [run_model(model, tokenizer(text, return_tensors="pt"))["logits"] for text in texts]
        predicted = np.load(run / "predictions" / f"{system}-seed0.npy")
        np.testing.assert_allclose(predicted, torch.cat(one_by_one), rtol=1e-3, atol=1e-4)
    assert tokenizer.pad_token_id == model.config.pad_token_id
    together = tokenizer(texts[:5], padding=True, return_tensors="pt")
    with torch.no_grad():
        usual = run_model(model, together)["logits"].softmax(-1).max(-1).values
    ours = [answer["confidence"] for answer in Predictor(str(run / "student")).predict(texts[:5])]
    np.testing.assert_allclose(usual, ours, atol=1e-4)


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("kind", ["IBert", "Luke", "XLMRoberta"])
def test_long_rows_are_cut_at_the_positions_that_there_are(
    kind: str, sections: dict[str, Any], encoder_folder: Path, tmp_path: Path
) -> None:
    """The tokenizer names no limit, and padding takes one of the positions."""
    sections["teacher"]["model"] = base_model(kind, encoder_folder, tmp_path / "base", model_max_length=10**30)
    for split in ("train", "test"):
        paths = sections["data"][split]
        for path in [paths] if isinstance(paths, str) else paths:
            rows = [json.loads(line) for line in Path(path).read_text("utf-8").splitlines()]
            longer = [json.dumps({**row, "text": " ".join([row["text"]] * 9)}) for row in rows]
            (tmp_path / Path(path).name).write_text("\n".join(longer), encoding="utf-8")
    sections["data"] = {
        "train": [str(tmp_path / "labelled.jsonl"), str(tmp_path / "unlabelled.jsonl")],
        "test": str(tmp_path / "test.jsonl"),
    }
    findings = examine(checked(sections), SilentProgress())
    assert not [found for found in findings if found.level == "fault"]
    assert any("fill the limit of 63 tokens" in found.message for found in findings if found.check == "length")


def test_layers_that_cannot_be_copied_end_the_run_before_anything_is_trained(
    sections: dict[str, Any], encoder_folder: Path, tmp_path: Path
) -> None:
    sections["teacher"]["model"] = base_model("ModernBert", encoder_folder, tmp_path / "base")
    with pytest.raises(ModelError, match=r"attn_norm is Identity, not LayerNorm.*layers: first"):
        limbeck.distill(**sections)
    assert not (Path(sections["output"]) / "stages").exists()
    faults = [found.message for found in examine(checked(sections), SilentProgress()) if found.level == "fault"]
    assert len(faults) == 1
    sections["student"]["from_teacher"]["layers"] = "spread"
    assert not [found for found in examine(checked(sections), SilentProgress()) if found.level == "fault"]


def test_what_depends_on_the_batch_and_what_nobody_compared_is_said(
    sections: dict[str, Any], encoder_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limbeck.students.initialise.compare_layers", lambda *_: "layer 3 is not run like the others")
    sections["teacher"]["model"] = base_model("FNet", encoder_folder, tmp_path / "base")  # it has no mask
    warnings = {
        found.check: found.message
        for found in examine(checked(sections), SilentProgress())
        if found.level == "warning"
    }
    assert "logits of a row change with the rows that it is padded to" in warnings["padding"]
    assert warnings["layers"] == (
        "The outputs of copied layers were not compared with the teacher's: layer 3 is not run like the others."
    )
