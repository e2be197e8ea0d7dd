"""The vectors of a pretrained encoder that nothing trains."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.models.test_pooling import OLD_MEAN, sentence_encoder
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel, T5Config, T5ForConditionalGeneration

from limbeck.demo.setting import minilm_folder
from limbeck.errors import ModelError
from limbeck.models.frozen_encoder import frozen_pooling, load_frozen_encoder


def saved(model: Any, folder: Path) -> str:
    model.save_pretrained(folder)
    return str(folder)


def test_vectors_are_means_over_the_text_alone(encoder_folder: Path) -> None:
    encoder, tokenizer = load_frozen_encoder(str(encoder_folder)), AutoTokenizer.from_pretrained(encoder_folder)
    texts = ["my card", "why was my card declined at the shop today"]
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    found_BD = encoder.vectors({**batch, "labels": torch.zeros(2)})  # which no encoder reads
    for text, vector_D in zip(texts, found_BD, strict=True):
        alone = tokenizer(text, return_tensors="pt")
        with torch.no_grad():
            expected_D = encoder.model(**alone).last_hidden_state[0].mean(dim=0)
        assert torch.allclose(vector_D, expected_D, atol=1e-5)
    assert not found_BD.requires_grad
    assert not encoder.model.training


def test_states_are_pooled_as_the_model_was_trained(encoder_folder: Path, tmp_path: Path) -> None:
    assert frozen_pooling(str(encoder_folder)) == "mean"
    folder = Path(shutil.copytree(encoder_folder, tmp_path / "cls"))
    sentence_encoder(folder, OLD_MEAN | {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False})
    encoder = load_frozen_encoder(str(folder))
    batch = AutoTokenizer.from_pretrained(folder)(["my card was declined"], return_tensors="pt")
    with torch.no_grad():
        expected_BD = encoder.model(**batch).last_hidden_state[:, 0]
    assert torch.equal(encoder.vectors(batch), expected_BD)


def test_sentences_that_mean_the_same_are_near(tmp_path: Path) -> None:
    """The published encoder, so that a wrong pooling or a missing layer shows."""
    folder = str(minilm_folder())
    encoder, tokenizer = load_frozen_encoder(folder), AutoTokenizer.from_pretrained(folder)
    texts = ["My card still has not arrived.", "I am waiting for my new card.", "How do I change my PIN?"]
    vectors_BD = torch.nn.functional.normalize(encoder.vectors(tokenizer(texts, padding=True, return_tensors="pt")))
    same, other = float(vectors_BD[0] @ vectors_BD[1]), float(vectors_BD[0] @ vectors_BD[2])
    assert same > 0.65
    assert same > other + 0.25


def test_of_an_encoder_with_a_decoder_the_encoder_is_read(tmp_path: Path) -> None:
    sizes = {"vocab_size": 20, "d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2}
    name = saved(T5ForConditionalGeneration(T5Config(**sizes, decoder_start_token_id=0)), tmp_path)
    batch = {"input_ids": torch.tensor([[3, 4, 5]]), "attention_mask": torch.ones(1, 3, dtype=torch.long)}
    assert load_frozen_encoder(name).vectors(batch).shape == (1, 8)


def test_a_causal_model_is_read_only_if_it_was_trained_for_it(tmp_path: Path) -> None:
    name = saved(GPT2LMHeadModel(GPT2Config(vocab_size=20, n_embd=8, n_layer=1, n_head=2)), tmp_path)
    for refuses in (frozen_pooling, load_frozen_encoder):
        with pytest.raises(ModelError, match="causal language model, which was not trained to represent a text"):
            refuses(name)
    sentence_encoder(tmp_path, {"pooling_mode_lasttoken": True})
    assert frozen_pooling(name) == "last"
