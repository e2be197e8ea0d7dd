"""What a folder says of its adapter layers is compared with its weights before anything is made of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from limbeck.errors import ModelError
from limbeck.models.adapter_layers import read_adapter_layers
from limbeck.models.load import load_classifier, save_model
from limbeck.students.adapters import Adapter, add_adapter, merged_for_export

ADAPTERS = {
    "houlsby": Adapter(kind="houlsby", width=4),
    "prompt": Adapter(kind="prompt", vectors=3),
    "prefix": Adapter(kind="prefix", vectors=3),
}


@pytest.fixture
def save(make_classifier: Callable[..., Any], tmp_path: Path) -> Callable[..., Path]:
    """Write a classifier with an adapter, and change what its file says."""

    def make(kind: str, values: dict[str, Any]) -> Path:
        from transformers import LlamaConfig, LlamaForSequenceClassification

        llama = LlamaConfig(
            vocab_size=40, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
            max_position_embeddings=32, num_labels=3, pad_token_id=0,
        )  # fmt: skip
        model = LlamaForSequenceClassification(llama) if kind == "prefix" else make_classifier()
        save_model(merged_for_export(add_adapter(model, ADAPTERS[kind])), None, tmp_path)
        file = tmp_path / "adapter.json"
        file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | values), encoding="utf-8")
        return tmp_path

    return make


@pytest.mark.parametrize("kind", list(ADAPTERS))
def test_what_was_written_is_read(kind: str, save: Callable[..., Path]) -> None:
    assert load_classifier(str(save(kind, {}))).adapter_layers.kind == kind


@pytest.mark.fast_cases(5)
@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("houlsby", {"width": 10**12}), ("houlsby", {"width": -4}), ("houlsby", {"width": 0}),
        ("houlsby", {"width": 5}),
        ("houlsby", {"sites": ["bert.nothing"]}), ("houlsby", {"sites": ["bert.encoder"]}),
        ("houlsby", {"kind": "prompt", "vectors": 3}), ("prompt", {"vectors": 10**9}), ("prompt", {"vectors": -1}),
        ("prompt", {"vectors": 2}), ("prefix", {"vectors": 10**9}), ("prefix", {"vectors": 4}),
    ],
)  # fmt: skip
def test_sizes_and_places_are_those_of_the_weights(
    kind: str, values: dict[str, Any], save: Callable[..., Path]
) -> None:
    folder = str(save(kind, values))
    with pytest.raises(ModelError, match=r"adapter\.json says that .* has size .*, but the weights have"):
        load_classifier(folder)


@pytest.mark.parametrize(
    "values",
    [{"kind": "boom"}, {"width": "wide"}, {"sites": "bert"}, {"sites": [{}]}, {"surprise": 1}, {"vectors": []}],
)
def test_a_damaged_file(values: dict[str, Any], save: Callable[..., Path]) -> None:
    with pytest.raises(ModelError, match=r"adapter\.json is damaged: .*Write the student again"):
        read_adapter_layers(save("houlsby", values))
