"""Classifiers of pooled states: their arithmetic, their folders, and who reads these."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tests.conftest import as_sentence_encoder

from limbeck.errors import ModelError
from limbeck.models.classifier_head import features, head_layer
from limbeck.models.layers import depth, set_dropout
from limbeck.models.load import (
    head_in,
    load_classifier,
    load_config,
    load_tokenizer,
    load_weights,
    new_classifier,
    reader_of,
    save_model,
    weights_fingerprint,
)
from limbeck.models.padding import padding_of
from limbeck.models.pooled_classifier import (
    PooledClassifier,
    call_pooled,
    pooling_in,
    pooling_named,
    shape_in_words,
    with_pooling,
    write_length_limit,
)
from limbeck.models.pooling import Pooling, StatePooling
from limbeck.models.problem_type import require_single_label
from limbeck.models.step_memory import trace_step
from limbeck.models.taps import run_model
from limbeck.students.adapters import Adapter, add_adapter, merged_for_export, trainable_parameters
from limbeck.students.initialise import student_from_layers
from limbeck.types import Tap

LABELS = ["a", "b", "c"]
TEXTS = ["my card is lost", "what is the exchange rate for one euro and why has my top up failed again ?"]
SHAPE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
KINDS = ["Bert", "Roberta", "Electra", "DebertaV2", "ModernBert", "MPNet", "DistilBert", "Llama", "GPT2"]
OTHER_NAMES: dict[str, dict[str, Any]] = {
    "DistilBert": {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 16},
    "GPT2": {"n_embd": 16, "n_layer": 2, "n_head": 2},
}
BATCH = {
    "input_ids": torch.tensor([[13, 4, 5, 6, 7], [8, 9, 10, 1, 1]]),
    "attention_mask": torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]),
    "token_type_ids": torch.tensor([[0, 0, 0, 1, 1], [0, 0, 0, 0, 0]]),
}


def tiny(kind: str = "Bert", how: Pooling = "mean", labels: int = 3, **fields: Any) -> Any:
    torch.manual_seed(0)
    shape = {**OTHER_NAMES.get(kind, SHAPE), **fields}
    config = getattr(transformers, f"{kind}Config")(vocab_size=50, num_labels=labels, pad_token_id=1, **shape)
    return PooledClassifier(call_pooled(config, how)).eval()


@pytest.fixture
def pooled(sentence_encoder_folder: Path) -> Any:
    torch.manual_seed(0)
    return load_classifier(str(sentence_encoder_folder), labels=LABELS)


@pytest.fixture
def saved(pooled: Any, sentence_encoder_folder: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "saved"
    save_model(pooled, load_tokenizer(str(sentence_encoder_folder)), folder)
    return folder


class TestArithmetic:
    @pytest.mark.parametrize("kind", KINDS)
    def test_logits_are_the_heads_of_the_mean_state(self, kind: str) -> None:
        model = tiny(kind)
        known = {name: x for name, x in BATCH.items() if name in model._reads}
        states = model.encoder(**known).last_hidden_state
        expected = torch.stack([model.head(states[0].mean(dim=0)), model.head(states[1, :3].mean(dim=0))])
        torch.testing.assert_close(run_model(model, BATCH)["logits"], expected)
        torch.testing.assert_close(features(model, BATCH), torch.stack([states[0].mean(0), states[1, :3].mean(0)]))
        assert head_layer(model) is model.head

    @pytest.mark.parametrize(("how", "places"), [("first", (0, 0)), ("last", (4, 2))])
    def test_or_of_one_tokens_state(self, how: StatePooling, places: tuple[int, int]) -> None:
        model = tiny(how=how)
        states = model.encoder(**BATCH).last_hidden_state
        torch.testing.assert_close(model(**BATCH).logits, model.head(states[[0, 1], places]))

    def test_without_a_mask_all_tokens_count(self) -> None:
        model = tiny()
        whole = model(BATCH["input_ids"], torch.ones_like(BATCH["input_ids"])).logits
        assert torch.equal(model(BATCH["input_ids"]).logits, whole)

    def test_the_encoders_pooler_is_left_out(self) -> None:
        assert not any("pooler" in name for name, _ in tiny().named_parameters())

    @pytest.mark.parametrize(
        ("kind", "field"),
        [("Bert", "classifier_dropout"), ("Bert", "hidden_dropout_prob"), ("DistilBert", "seq_classif_dropout")],
    )
    def test_dropout_before_the_head_is_the_configurations(self, kind: str, field: str) -> None:
        model = tiny(kind, **{field: 0.25})
        assert model.dropout.p == 0.25
        model.train()
        assert not torch.equal(model(**BATCH).logits, model(**BATCH).logits)
        set_dropout(model, 0.0)
        assert torch.equal(model(**BATCH).logits, model(**BATCH).logits)

    def test_layers_are_seen_and_hidden_states_tapped(self) -> None:
        model, taps = tiny(), frozenset({Tap("hidden", 2), Tap("first", 1)})
        states = run_model(model, BATCH, taps)["states"]
        assert depth(model) == 2
        torch.testing.assert_close(states[Tap("hidden", 2)], model.encoder(**BATCH).last_hidden_state)
        assert states[Tap("first", 1)].shape == (2, 16)

    def test_its_shape_in_words_names_the_state(self) -> None:
        model = tiny()
        assert shape_in_words(model) == "2 x 16 (mean state)"
        assert shape_in_words(with_pooling(model, "pooler")) == "2 x 16"

    def test_a_step_is_traced_without_memory(self) -> None:
        found = trace_step(tiny, rows=2, tokens=4)
        assert found.trainable == sum(p.numel() for p in tiny().parameters())

    def test_encoders_with_decoders_are_refused(self) -> None:
        with pytest.raises(ModelError, match=r"t5 has an encoder and a decoder\. Use pooling: pooler"):
            call_pooled(transformers.T5Config(), "mean")


class TestFolders:
    def test_logits_and_labels_survive(self, pooled: Any, saved: Path) -> None:
        found = load_classifier(str(saved))
        assert isinstance(found, PooledClassifier)
        assert not found.training
        assert found.config.id2label == dict(enumerate(LABELS))
        assert weights_fingerprint(found) == weights_fingerprint(pooled)
        assert torch.equal(found(**BATCH).logits, pooled(**BATCH).logits)
        assert reader_of(saved) == "sentence-transformers"
        assert head_in(str(saved)) == "rows"
        assert not list(saved.rglob("*.bin"))

    def test_weights_are_filled_into_a_model_that_is_there(self, pooled: Any, saved: Path) -> None:
        other = PooledClassifier(pooled.config)
        assert not torch.equal(other.head.weight, pooled.head.weight)
        load_weights(other, saved)
        assert weights_fingerprint(other) == weights_fingerprint(pooled)

    def test_a_classifier_for_these_labels_is_kept(self, pooled: Any, saved: Path) -> None:
        assert torch.equal(load_classifier(str(saved), labels=LABELS, pooling="mean").head.weight, pooled.head.weight)
        with pytest.raises(ModelError, match="classifies 3 labels, but the task has 2"):
            load_classifier(str(saved), labels=["a", "b"])
        with pytest.raises(ModelError, match=r"trained classifier with pooling: mean, not pooler\. Leave pooling out"):
            load_classifier(str(saved), labels=LABELS, pooling="pooler")

    def test_transformers_reads_the_encoder(self, pooled: Any, saved: Path) -> None:
        encoder = transformers.AutoModel.from_pretrained(saved).eval()
        states = encoder(**BATCH).last_hidden_state
        torch.testing.assert_close(states, pooled.encoder(**BATCH).last_hidden_state)
        assert transformers.AutoConfig.from_pretrained(saved).id2label == dict(enumerate(LABELS))

    def test_tokens_get_a_head_of_their_own(self, saved: Path) -> None:
        tagger = load_classifier(str(saved), labels=["x", "y"], head="tokens")
        assert type(tagger).__name__ == "BertForTokenClassification"
        assert pooling_named(tagger.config) is None

    def test_a_new_one_has_the_same_shape(self, pooled: Any, saved: Path, sentence_encoder_folder: Path) -> None:
        for folder in (saved, sentence_encoder_folder):
            made = new_classifier(str(folder), labels=LABELS)
            assert {n: x.shape for n, x in made.state_dict().items()} == {
                n: x.shape for n, x in pooled.state_dict().items()
            }

    def test_a_regression_is_not_taken_for_a_classifier(self, saved: Path) -> None:
        config = load_config(str(saved))
        require_single_label(config, "it", "")
        config.num_labels = 1
        with pytest.raises(ModelError, match="gives one number"):
            require_single_label(config, "it", "")


class TestDamage:
    def test_no_head(self, saved: Path) -> None:
        (saved / "2_Dense" / "model.safetensors").unlink()
        with pytest.raises(ModelError, match=r"2_Dense/model\.safetensors is missing, or no plain file"):
            load_classifier(str(saved))

    def test_a_cut_head(self, saved: Path) -> None:
        file = saved / "2_Dense" / "model.safetensors"
        file.write_bytes(file.read_bytes()[:-5])
        with pytest.raises(ModelError, match=r"2_Dense/model\.safetensors is damaged or was cut off"):
            load_classifier(str(saved))

    def test_another_models_head(self, saved: Path) -> None:
        save_file(
            {"linear.weight": torch.zeros(2, 32), "linear.bias": torch.zeros(2)}, saved / "2_Dense/model.safetensors"
        )
        with pytest.raises(
            ModelError, match=r"2_Dense/model\.safetensors is not this model's head: .*\(2, 32\).*, not .*\(3, 32\)"
        ):
            load_classifier(str(saved))

    def test_weights_of_the_encoder_are_missing(self, saved: Path) -> None:
        weights = load_file(saved / "model.safetensors")
        weights.pop("encoder.layer.1.output.dense.weight")
        save_file(weights, saved / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(ModelError, match=r"lacks trained weights \(missing: encoder\.encoder\.layer\.1\.output"):
            load_classifier(str(saved))

    def test_an_unknown_pooling(self, saved: Path) -> None:
        values = json.loads((saved / "config.json").read_text(encoding="utf-8"))
        (saved / "config.json").write_text(json.dumps(values | {"pooled_classifier": "max"}), encoding="utf-8")
        with pytest.raises(ModelError, match="pooled_classifier must be one of mean, first, last"):
            load_classifier(str(saved))


class TestNewHeads:
    @pytest.mark.parametrize(
        ("mode", "how"), [("mean_tokens", "mean"), ("cls_token", "first"), ("max_tokens", "pooler")]
    )
    def test_read_the_states_as_the_encoder_was_trained(
        self, mode: str, how: Pooling, encoder_folder: Path, tmp_path: Path
    ) -> None:
        model = load_classifier(str(as_sentence_encoder(encoder_folder, tmp_path / "x", mode)), labels=LABELS)
        assert pooling_in(model) == how
        assert not model.training

    def test_or_as_told(self, encoder_folder: Path, sentence_encoder_folder: Path) -> None:
        assert pooling_in(load_classifier(str(encoder_folder), labels=LABELS)) == "pooler"
        assert pooling_in(load_classifier(str(encoder_folder), labels=LABELS, pooling="mean")) == "mean"
        plain = load_classifier(str(sentence_encoder_folder), labels=LABELS, pooling="pooler")
        assert type(plain).__name__ == "BertForSequenceClassification"

    def test_the_encoder_has_its_trained_weights(self, pooled: Any, sentence_encoder_folder: Path) -> None:
        weights = load_file(sentence_encoder_folder / "model.safetensors")
        own = pooled.encoder.state_dict()
        assert {name for name in weights if "pooler" not in name} == set(own)
        assert all(torch.equal(own[name], weights[name]) for name in own)

    def test_an_encoder_without_its_weights_is_refused(self, encoder_folder: Path, tmp_path: Path) -> None:
        folder = as_sentence_encoder(encoder_folder, tmp_path / "x")
        weights = load_file(folder / "model.safetensors")
        weights.pop("encoder.layer.1.output.dense.weight")
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(ModelError, match="lacks trained weights for AutoModel"):
            load_classifier(str(folder), labels=LABELS)


class TestAnotherPooling:
    def test_moves_the_encoder_under_a_new_head(self, pooled: Any) -> None:
        before = {name: x.clone() for name, x in pooled.encoder.state_dict().items()}
        plain = with_pooling(pooled, "pooler")
        assert type(plain).__name__ == "BertForSequenceClassification"
        assert pooling_named(plain.config) is None
        back = with_pooling(plain, "first")
        assert pooling_in(back) == "first"
        assert all(torch.equal(x, before[name]) for name, x in back.encoder.state_dict().items())

    @pytest.mark.parametrize("how", ["mean", "pooler"])
    def test_the_same_one_changes_nothing(self, how: Pooling, pooled: Any) -> None:
        model = with_pooling(pooled, how)
        assert with_pooling(model, how) is model
        assert (model is pooled) == (how == "mean")


class TestStudents:
    def test_copy_layers_and_head(self, pooled: Any) -> None:
        student = student_from_layers(pooled, (1, 3))
        assert student.copies_unchecked is None
        assert isinstance(student, PooledClassifier)
        assert depth(student) == 2
        assert torch.equal(student.head.weight, pooled.head.weight)
        of_teacher, of_student = (model.encoder.encoder.layer for model in (pooled, student))
        for own, layer in zip(of_student, (of_teacher[0], of_teacher[2]), strict=True):
            assert all(torch.equal(x, layer.state_dict()[name]) for name, x in own.state_dict().items())

    @pytest.mark.fast_cases(2)
    @pytest.mark.parametrize("kind", ["lora", "houlsby", "prompt", "bitfit"])
    def test_adapters_train_the_head_too_and_are_saved(
        self, kind: Any, pooled: Any, sentence_encoder_folder: Path, tmp_path: Path
    ) -> None:
        torch.manual_seed(1)
        student = add_adapter(pooled, Adapter(kind=kind, **({"rank": 2} if kind == "lora" else {})))
        assert pooled.head.weight.requires_grad
        assert not pooled.get_input_embeddings().weight.requires_grad
        assert trainable_parameters(student) < sum(p.numel() for p in student.parameters()) / 2
        with torch.no_grad():
            for parameter in student.parameters():
                if parameter.requires_grad:
                    parameter.add_(0.1 * torch.randn_like(parameter))
        student.eval()
        expected = student(**BATCH).logits
        checkpoint, export = tmp_path / "checkpoint", tmp_path / "export"
        save_model(student, None, checkpoint)  # as a stage does: the trained weights only
        assert "embeddings.word_embeddings.weight" not in load_file(checkpoint / "model.safetensors")
        with torch.no_grad():
            student.head.weight.zero_()
        load_weights(student, checkpoint)
        assert torch.equal(student(**BATCH).logits, expected)
        save_model(merged_for_export(student), load_tokenizer(str(sentence_encoder_folder)), export)
        found = load_classifier(str(export))
        torch.testing.assert_close(found(**BATCH).logits, expected, atol=1e-5, rtol=1e-5)
        assert reader_of(export) == ("limbeck" if kind in ("houlsby", "prompt") else "sentence-transformers")


class TestSentenceTransformers:
    @pytest.fixture
    def theirs(
        self, saved: Path, pooled: Any, capfd: pytest.CaptureFixture[str]
    ) -> Callable[[list[Any]], torch.Tensor]:
        library = pytest.importorskip("sentence_transformers")
        write_length_limit(pooled, saved, 8)
        capfd.readouterr()
        model = library.SentenceTransformer(str(saved), device="cpu")
        assert "MISSING" not in capfd.readouterr().err
        assert model.max_seq_length == 8
        return lambda texts: model.encode(texts, convert_to_tensor=True)

    def test_encode_gives_the_logits(self, theirs: Any, pooled: Any, saved: Path) -> None:
        tokenizer = load_tokenizer(str(saved))
        inputs = tokenizer(TEXTS, padding=True, truncation=True, max_length=8, return_tensors="pt")
        torch.testing.assert_close(theirs(TEXTS), pooled(**inputs).logits)

    def test_also_of_pairs(self, theirs: Any, pooled: Any, saved: Path) -> None:
        inputs = load_tokenizer(str(saved))(["my card"], ["is lost"], return_tensors="pt")
        torch.testing.assert_close(theirs([["my card", "is lost"]]), pooled(**inputs).logits)

    @pytest.mark.parametrize("how", ["first", "last"])
    def test_with_another_pooling(self, how: Pooling, encoder_folder: Path, tmp_path: Path) -> None:
        library = pytest.importorskip("sentence_transformers")
        model, tokenizer = (
            load_classifier(str(encoder_folder), labels=LABELS, pooling=how),
            load_tokenizer(str(encoder_folder)),
        )
        save_model(model, tokenizer, tmp_path / "x")
        found = library.SentenceTransformer(str(tmp_path / "x"), device="cpu").encode(TEXTS, convert_to_tensor=True)
        torch.testing.assert_close(found, model(**tokenizer(TEXTS, padding=True, return_tensors="pt")).logits)


def test_padding_changes_no_answer(pooled: Any, sentence_encoder_folder: Path) -> None:
    assert padding_of(pooled, load_tokenizer(str(sentence_encoder_folder))).difference == 0
