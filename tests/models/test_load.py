"""Encoders with and without their masked-language head, and weights of any module, to a folder and back."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    BertConfig,
    BertForTokenClassification,
    BertModel,
    XLMRobertaModel,
)

from limbeck.errors import ModelError
from limbeck.models.load import (
    hub_name,
    load_classifier,
    load_encoder,
    load_masked_lm,
    load_weights,
    model_labels,
    save_module,
    weights_fingerprint,
)

IDS = torch.tensor([[0, 9, 50, 33, 2]])


@pytest.fixture(scope="module")
def encoder_alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT without pooler and without any head, as a folder."""
    folder = tmp_path_factory.mktemp("encoder")
    config = BertConfig(
        vocab_size=20, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


class TestEncoder:
    def test_of_a_folder_with_a_head(self, multilingual_folder: Path) -> None:
        encoder = load_encoder(str(multilingual_folder))
        assert isinstance(encoder, XLMRobertaModel)
        assert encoder.pooler is None
        assert {p.dtype for p in encoder.parameters()} == {torch.float32}
        whole = AutoModelForMaskedLM.from_pretrained(multilingual_folder)
        with torch.no_grad():
            expected = whole.eval()(IDS, output_hidden_states=True).hidden_states[-1]
            torch.testing.assert_close(encoder.eval()(IDS).last_hidden_state, expected)

    def test_half_precision_weights_become_float32(self, multilingual_folder: Path, tmp_path: Path) -> None:
        AutoModel.from_pretrained(multilingual_folder, dtype=torch.bfloat16).save_pretrained(tmp_path)
        assert {p.dtype for p in load_encoder(str(tmp_path)).parameters()} == {torch.float32}

    def test_without_pooler(self, encoder_alone: Path) -> None:
        assert load_encoder(str(encoder_alone)).pooler is None

    def test_weights_that_are_no_encoders_are_refused(self, multilingual_folder: Path, tmp_path: Path) -> None:
        shutil.copytree(multilingual_folder, tmp_path, dirs_exist_ok=True)
        weights = load_file(tmp_path / "model.safetensors")
        kept = {name: x for name, x in weights.items() if "layer.1." not in name}
        save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(ModelError, match=r"lacks trained weights for AutoModel \(missing: encoder\.layer\.1\."):
            load_encoder(str(tmp_path))

    def test_other_than_safetensors_is_refused(self, encoder_alone: Path, tmp_path: Path) -> None:
        shutil.copy(encoder_alone / "config.json", tmp_path)
        torch.save(BertModel.from_pretrained(encoder_alone).state_dict(), tmp_path / "pytorch_model.bin")
        with pytest.raises(ModelError, match="Only safetensors weights are loaded"):
            load_encoder(str(tmp_path))

    def test_no_such_folder(self, tmp_path: Path) -> None:
        for load in (load_encoder, load_masked_lm):
            with pytest.raises(ModelError, match="there is no such folder"):
                load(str(tmp_path / "nothing"))


class TestMaskedLanguageModel:
    def test_with_its_trained_head(self, multilingual_folder: Path) -> None:
        model = load_masked_lm(str(multilingual_folder)).eval()
        assert model.lm_head.decoder.weight is model.get_input_embeddings().weight
        saved = load_file(multilingual_folder / "model.safetensors")
        torch.testing.assert_close(model.lm_head.dense.weight.detach(), saved["lm_head.dense.weight"])

    def test_without_a_trained_head_it_is_refused(self, encoder_alone: Path) -> None:
        with pytest.raises(ModelError, match=r"lacks trained weights for AutoModelForMaskedLM \(missing: cls\."):
            load_masked_lm(str(encoder_alone))

    def test_or_gets_a_new_one(self, encoder_alone: Path, multilingual_folder: Path, tmp_path: Path) -> None:
        torch.manual_seed(0)
        first = load_masked_lm(str(encoder_alone), new_head=True)
        torch.manual_seed(0)
        again = load_masked_lm(str(encoder_alone), new_head=True)
        assert first.head_is_new
        assert not load_masked_lm(str(multilingual_folder), new_head=True).head_is_new
        assert first.get_output_embeddings().weight is first.get_input_embeddings().weight
        saved = load_file(encoder_alone / "model.safetensors")
        for name, tensor in first.state_dict().items():
            assert torch.equal(tensor, again.state_dict()[name])
            if name.startswith("bert."):
                assert torch.equal(tensor, saved[name.removeprefix("bert.")])
        kept = {name: x for name, x in saved.items() if "layer.0." not in name}
        shutil.copytree(encoder_alone, tmp_path, dirs_exist_ok=True)
        save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(ModelError, match=r"lacks trained weights .*\(missing: bert\.encoder\.layer\.0\."):
            load_masked_lm(str(tmp_path), new_head=True)


class Tied(nn.Module):
    """A table that is read as words and as classes, a part of its own, and a buffer."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.words = nn.Embedding(5, 3)
        self.classes = nn.Linear(3, 5)
        self.classes.weight = self.words.weight
        self.register_buffer("scale", torch.rand(2))


class TestWeights:
    def test_round_trip(self, tmp_path: Path) -> None:
        first, second = (nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)) for _ in range(2))
        with torch.no_grad():
            first(torch.rand(6, 3))  # moves the running means, which are buffers
        save_module(first, tmp_path)
        load_weights(second, tmp_path)
        for name, x in first.state_dict().items():
            assert torch.equal(x, second.state_dict()[name]), name

    def test_a_view_is_written_as_it_looks(self, tmp_path: Path) -> None:
        module = nn.Linear(3, 4)
        module.weight = nn.Parameter(torch.arange(12.0).reshape(3, 4).T)
        save_module(module, tmp_path)
        load_weights(other := nn.Linear(3, 4), tmp_path)
        assert torch.equal(other.weight, module.weight)

    @pytest.mark.parametrize("kept", ["words.weight", "classes.weight"])
    def test_tied_weights_are_there_under_one_of_their_names(self, tmp_path: Path, kept: str) -> None:
        saved, other = Tied(0), Tied(1)
        weights = {name: x.clone() for name, x in saved.state_dict().items()}
        del weights[({"words.weight", "classes.weight"} - {kept}).pop()]
        save_file(weights, tmp_path / "model.safetensors")
        load_weights(other, tmp_path)
        assert torch.equal(other.words.weight, saved.words.weight)
        assert other.classes.weight is other.words.weight

    @pytest.mark.parametrize("lost", [("classes.bias",), ("scale",), ("words.weight", "classes.weight")])
    def test_a_missing_tensor_is_named(self, tmp_path: Path, lost: tuple[str, ...]) -> None:
        weights = {name: x.clone() for name, x in Tied(0).state_dict().items() if name not in lost}
        save_file(weights, tmp_path / "model.safetensors")
        with pytest.raises(ModelError, match=rf"missing: {', '.join(lost)}; unknown: none"):
            load_weights(Tied(1), tmp_path)

    def test_an_unknown_tensor_is_named(self, tmp_path: Path) -> None:
        weights = {name: x.clone() for name, x in Tied(0).state_dict().items()} | {"critic.weight": torch.ones(2)}
        save_file(weights, tmp_path / "model.safetensors")
        with pytest.raises(ModelError, match=r"missing: none; unknown: critic\.weight"):
            load_weights(Tied(1), tmp_path)

    def test_weights_may_be_in_several_files(self, tmp_path: Path) -> None:
        saved = Tied(0)
        save_file({"words.weight": saved.words.weight.detach().clone()}, tmp_path / "model-1.safetensors")
        rest = {"classes.bias": saved.classes.bias.detach().clone(), "scale": saved.scale.clone()}
        save_file(rest, tmp_path / "model-2.safetensors")
        load_weights(other := Tied(1), tmp_path)
        assert torch.equal(other.classes.bias, saved.classes.bias)
        assert torch.equal(other.scale, saved.scale)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_fingerprint_is_that_of_the_weights(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    model = nn.BatchNorm1d(3).to(dtype)  # with a buffer that is one whole number
    first = weights_fingerprint(model)
    assert weights_fingerprint(model) == first
    with torch.no_grad():
        model.weight[2] += 0.5
    assert weights_fingerprint(model) != first


def test_the_reason_of_a_failure_ends_once(monkeypatch: pytest.MonkeyPatch, encoder_alone: Path) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("couldn't find them in the cached files.")

    monkeypatch.setattr("transformers.AutoModel.from_pretrained", fail)
    with pytest.raises(ModelError, match=r"in the cached files\. Its files are damaged"):
        load_encoder(str(encoder_alone))


def test_a_folder_of_this_machine_is_no_name_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org" / "here").mkdir(parents=True)
    paths = (str(tmp_path / "gone"), "./gone", "../gone", "~/gone", "a/b/c", "org/here", "org", "C:\\gone", "", None)
    assert [hub_name(path) for path in paths] == [None] * len(paths)
    assert [hub_name(name) for name in ("org/there", "bert-base-uncased")] == ["org/there", "bert-base-uncased"]


def test_a_label_that_no_file_can_hold_is_refused(make_classifier: Callable[..., Any]) -> None:
    model = make_classifier()
    model.config.id2label = {0: "a", 1: "b\ud800", 2: "c"}
    with pytest.raises(ModelError, match=r"label 'b\\ud800' holds half of a surrogate pair"):
        model_labels(model)


class TestHeads:
    """Classifiers of rows and of tokens: a head of the other kind is none."""

    @pytest.fixture
    def tagger(self, tmp_path: Path) -> str:
        config = BertConfig(
            vocab_size=20, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
            num_labels=3,
        )  # fmt: skip
        BertForTokenClassification(config).save_pretrained(tmp_path)
        return str(tmp_path)

    def test_a_tagger_is_loaded_as_it_is(self, tagger: str) -> None:
        model = load_classifier(tagger, head="tokens")
        assert model(input_ids=IDS[:, :1]).logits.shape == (1, 1, 3)

    def test_an_encoder_gets_a_head_of_tokens(self, encoder_alone: Path) -> None:
        model = load_classifier(str(encoder_alone), head="tokens", labels=["O", "B-PER"])
        assert isinstance(model, BertForTokenClassification)
        assert model_labels(model) == ["O", "B-PER"]

    def test_a_trained_head_is_kept_and_one_for_other_labels_refused(self, tagger: str) -> None:
        kept = load_classifier(tagger, head="tokens", labels=["a", "b", "c"])
        torch.testing.assert_close(kept.classifier.weight, load_classifier(tagger, head="tokens").classifier.weight)
        with pytest.raises(ModelError, match="classifies 3 labels, but the task has 2"):
            load_classifier(tagger, head="tokens", labels=["a", "b"])

    def test_a_classifier_of_rows_is_an_encoder_to_a_tagger(self, tagger: str, tmp_path: Path) -> None:
        rows = load_classifier(tagger, labels=["a", "b"])
        rows.save_pretrained(tmp_path / "rows")
        with pytest.raises(ModelError, match="lacks trained weights"):
            load_classifier(tagger)
        back = load_classifier(str(tmp_path / "rows"), head="tokens", labels=["a", "b", "c"])
        assert back.classifier.weight.shape == (3, 16)
        name = "bert.embeddings.word_embeddings.weight"
        torch.testing.assert_close(back.state_dict()[name], rows.state_dict()[name])
