"""The recurrent classifier: what enters its last states, its folder, and who reads that."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from limbeck.errors import ModelError
from limbeck.models.bilstm import BILSTM, BiLstmConfig, BiLstmForSequenceClassification, frame_of, know_bilstm
from limbeck.models.classifier_head import features, head_layer
from limbeck.models.layers import depth, set_dropout, width
from limbeck.models.load import (
    load_classifier,
    load_config,
    load_tokenizer,
    model_labels,
    new_classifier,
    reader_of,
    save_model,
    weights_fingerprint,
)
from limbeck.models.padding import padding_of, share_padding
from limbeck.models.pooled_classifier import call_pooled
from limbeck.models.step_memory import trace_step
from limbeck.models.taps import run_model
from limbeck.models.trials import readable_tokens, require_probes, require_taps
from limbeck.students.initialise import student_from_layers
from limbeck.types import Attribution, Mixup, Tap

CLS, SEP = 2, 3
FIELDS: dict[str, Any] = {"vocab_size": 40, "embedding_size": 6, "hidden_size": 5, "intermediate_size": 7,
                          "framing_ids": [CLS, SEP], "separator_id": SEP, "num_labels": 3}  # fmt: skip
PAIRS = [([5, 6, 7], [9, 10]), ([8], [11, 12, 13, 14]), ([], [15])]


def tiny(texts: int = 1, **fields: Any) -> BiLstmForSequenceClassification:
    torch.manual_seed(0)
    return BiLstmForSequenceClassification(BiLstmConfig(**{**FIELDS, "texts": texts, **fields})).eval()


def padded(rows: list[list[int]], extra: int = 0, *, left: bool = False, filler: int = 20) -> dict[str, Tensor]:
    longest = max(map(len, rows)) + extra
    ids = torch.full((len(rows), longest), filler)
    mask = torch.zeros_like(ids)
    for n, row in enumerate(rows):
        part = slice(longest - len(row), longest) if left else slice(0, len(row))
        ids[n, part], mask[n, part] = torch.tensor(row), 1
    return {"input_ids": ids, "attention_mask": mask}


def framed(pairs: list[tuple[list[int], list[int]]]) -> list[list[int]]:
    return [[CLS, *first, SEP, *second, SEP] for first, second in pairs]


def packed_states(model: BiLstmForSequenceClassification, texts: list[list[int]]) -> Tensor:
    """Return the last states of torch's own bidirectional LSTM over packed rows."""
    encoder = model.encoder
    lstm = nn.LSTM(6, 5, batch_first=True, bidirectional=True)
    own = dict(encoder.forwards.named_parameters())
    own |= {f"{name}_reverse": x for name, x in encoder.backwards.named_parameters()}
    lstm.load_state_dict(own)
    lengths = torch.tensor([len(text) for text in texts])
    embedded = encoder.embeddings(padded(texts)["input_ids"])
    last = lstm(pack_padded_sequence(embedded, lengths, batch_first=True, enforce_sorted=False))[1][0]
    return torch.cat([last[0], last[1]], dim=-1)


def head(model: BiLstmForSequenceClassification, states: Tensor) -> Tensor:
    logits: Tensor = model.classifier(model.dense(states).relu())
    return logits


@pytest.mark.parametrize("left", [False, True])
def test_a_text_is_read_as_by_a_packed_bidirectional_lstm(left: bool) -> None:
    model, texts = tiny(), [[5, 6, 7, 8], [9], [10, 11]]
    inputs = padded([[CLS, *text, SEP] for text in texts], left=left)
    torch.testing.assert_close(model(**inputs).logits, head(model, packed_states(model, texts)))


@pytest.mark.parametrize("left", [False, True])
def test_a_pair_is_read_by_one_lstm_and_compared(left: bool) -> None:
    model = tiny(2)
    first, second = ([pair[n] for pair in PAIRS[:2]] for n in (0, 1))
    one, other = packed_states(model, first), packed_states(model, second)
    states = torch.cat([one, other, (one - other).abs(), one * other], dim=-1)
    found = model(**padded(framed(PAIRS[:2]), left=left)).logits
    torch.testing.assert_close(found, head(model, states))


def test_two_separators_between_texts_are_one() -> None:
    model = tiny(2)
    as_roberta = [[CLS, *first, SEP, SEP, *second, SEP] for first, second in PAIRS]
    torch.testing.assert_close(model(**padded(as_roberta)).logits, model(**padded(framed(PAIRS))).logits)


@pytest.mark.parametrize("texts", [1, 2])
@pytest.mark.parametrize("left", [False, True])
def test_the_amount_of_padding_changes_neither_logits_nor_gradients(texts: int, left: bool) -> None:
    model, rows = tiny(texts), framed(PAIRS)
    weights = list(model.parameters())
    plain = model(**padded(rows)).logits
    wanted = torch.autograd.grad(plain.square().sum(), weights)
    for filler in (0, 20, CLS):
        longer = model(**padded(rows, 9, left=left, filler=filler)).logits
        torch.testing.assert_close(longer, plain)
        for one, other in zip(wanted, torch.autograd.grad(longer.square().sum(), weights), strict=True):
            torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)
    alone = torch.cat([model(**padded([row])).logits for row in rows])
    torch.testing.assert_close(alone, plain)


def test_a_text_without_words_has_states_of_zero() -> None:
    model = tiny()
    torch.testing.assert_close(model(**padded([[CLS, SEP]])).logits, head(model, torch.zeros(1, 10)))
    model = tiny(2)
    second = packed_states(model, [[15]])
    states = torch.cat([torch.zeros(1, 10), second, second.abs(), torch.zeros(1, 10)], dim=-1)
    torch.testing.assert_close(model(**padded(framed(PAIRS[2:]))).logits, head(model, states))


def test_gradients_are_those_of_finite_differences() -> None:
    model = tiny(2).double()
    inputs = padded(framed(PAIRS))
    names = ("encoder.embeddings.weight", "encoder.backwards.weight_hh_l0", "dense.weight")
    weights = {name: dict(model.named_parameters())[name] for name in names}

    def logits(*values: Tensor) -> Tensor:
        found: Tensor = torch.func.functional_call(model, dict(zip(names, values, strict=True)), kwargs=inputs).logits
        return found

    assert torch.autograd.gradcheck(logits, tuple(weights.values()), fast_mode=True)


def test_dropout_is_before_the_outputs_and_only_in_training() -> None:
    model = tiny(dropout=0.5).train()
    inputs = padded(framed(PAIRS))
    assert not torch.equal(model(**inputs).logits, model(**inputs).logits)
    set_dropout(model, 0.0)
    torch.testing.assert_close(model(**inputs).logits, model.eval()(**inputs).logits)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"vocab_size": None, "framing_ids": None}, "vocab_size, framing_ids"),
        ({"texts": 3}, r"texts \(1 or 2\)"),
        ({"texts": 2, "separator_id": None}, "separator_id"),
        ({"hidden_size": 0}, "at least 1"),
    ],
)
def test_a_configuration_that_gives_no_model(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        tiny(**fields)


def test_tokenizer_and_rows_fill_in_the_configuration(make_tokenizer: Callable[..., Any]) -> None:
    tokenizer = make_tokenizer()
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    found = frame_of(tokenizer, pairs=True)
    assert found == {
        "vocab_size": len(tokenizer), "texts": 2, "framing_ids": sorted([cls, sep]), "separator_id": sep
    }  # fmt: skip
    assert frame_of(tokenizer, pairs=False)["texts"] == 1


def test_a_tokenizer_without_separators_is_for_single_texts(make_causal_tokenizer: Callable[..., Any]) -> None:
    tokenizer = make_causal_tokenizer(bos=False)
    assert frame_of(tokenizer, pairs=False)["framing_ids"] == []
    with pytest.raises(ModelError, match="no separator between the two texts"):
        frame_of(tokenizer, pairs=True)


@pytest.fixture
def saved(tmp_path: Path, make_tokenizer: Callable[..., Any]) -> tuple[BiLstmForSequenceClassification, Path]:
    tokenizer = make_tokenizer()
    model = tiny(**frame_of(tokenizer, pairs=False), id2label={0: "a", 1: "b", 2: "c"})
    share_padding(model, tokenizer)
    save_model(model, tokenizer, tmp_path / "student")
    return model, tmp_path / "student"


def test_its_folder_is_read_as_any_other(saved: tuple[BiLstmForSequenceClassification, Path]) -> None:
    model, folder = saved
    written = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert written["model_type"] == BILSTM
    assert "auto_map" not in written  # no remote code
    assert not [*folder.glob("*.py"), *folder.glob("*.bin")]
    again = load_classifier(str(folder))
    assert weights_fingerprint(again) == weights_fingerprint(model)
    assert model_labels(again) == ["a", "b", "c"]
    inputs = padded([[CLS, 5, 6, SEP], [CLS, 7, SEP]], filler=0)
    assert torch.equal(again(**inputs).logits, model(**inputs).logits)
    tokenizer = load_tokenizer(str(folder))
    assert padding_of(again, tokenizer).difference == 0
    assert reader_of(folder) == "limbeck"
    whole = load_classifier(str(folder), labels=["a", "b", "c"])  # goes on in another run
    assert not whole.head_is_new
    assert new_classifier(str(folder), labels=["a", "b"]).classifier.out_features == 2


def test_damaged_folders(saved: tuple[BiLstmForSequenceClassification, Path]) -> None:
    _, folder = saved
    written = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    for changed, said in [
        ({"hidden_size": 6}, "cannot load the model"),
        ({"texts": 7}, "texts"),
        ({"framing_ids": None}, "framing_ids"),
        ({"vocab_size": 10**12}, "far larger model than its weights"),
    ]:
        (folder / "config.json").write_text(json.dumps({**written, **changed}), encoding="utf-8")
        with pytest.raises(ModelError, match=said):
            load_classifier(str(folder))


def test_it_knows_its_size_and_has_no_layers() -> None:
    model = tiny()
    assert (depth(model), width(model)) == (1, 5)
    assert readable_tokens(model, 300) == 300
    assert head_layer(model) is model.classifier
    assert features(model, padded([[CLS, 5, SEP]])).shape == (1, 7)
    for refused in (
        lambda: require_taps(model, frozenset({Tap("hidden", 1)})),
        lambda: require_taps(model, frozenset({Tap("attention", 1)})),
        lambda: require_probes(model, frozenset({Attribution(1)}), trained=True),
        lambda: student_from_layers(model, [1]),
    ):
        with pytest.raises(ModelError, match="recurrent models"):
            refused()
    with pytest.raises(ModelError, match="pooling: mean"):
        call_pooled(model.config, "mean")


def test_mixtures_of_word_embeddings_are_read() -> None:
    require_probes(tiny(), frozenset({Mixup()}), trained=True)


def test_the_memory_of_its_step_is_counted() -> None:
    know_bilstm()
    found = trace_step(tiny, rows=4, tokens=16)
    parameters = sum(parameter.numel() for parameter in tiny().parameters())
    assert found.weights_bytes == found.gradients_bytes == 4 * parameters
    longer = trace_step(tiny, rows=4, tokens=32)
    assert 1.7 < longer.activations_bytes / found.activations_bytes < 2.3
    assert trace_step(tiny, rows=4, tokens=16, bf16=True).activations_bytes > 0


def test_it_reads_only_what_it_takes() -> None:
    inputs = padded([[CLS, 5, 6, SEP]])
    logits = run_model(tiny(), {**inputs, "token_type_ids": inputs["input_ids"]})["logits"]
    assert logits.shape == (1, 3)


def test_its_configuration_is_known(saved: tuple[BiLstmForSequenceClassification, Path]) -> None:
    assert isinstance(load_config(str(saved[1])), BiLstmConfig)
