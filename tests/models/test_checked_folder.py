"""Which folder a name means, and which files of it are read at all."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from limbeck.errors import DataError, ModelError
from limbeck.models import checked_folder
from limbeck.models.checked_folder import Weights, bounded, model_folder, model_weights, reading
from limbeck.models.load import (
    load_classifier,
    load_config,
    load_encoder,
    load_language_model,
    load_tokenizer,
    new_classifier,
)

INDEX = "model.safetensors.index.json"


@pytest.fixture
def student(risk_student: Path, tmp_path: Path) -> Path:
    """A copy of a classifier's folder, to be damaged."""
    return Path(shutil.copytree(risk_student, tmp_path / "student"))


def set_values(file: Path, **values: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | values), encoding="utf-8")


def in_parts(student: Path, name: str, index: str = INDEX) -> None:
    """Move the weights into a file of this name, which an index gives."""
    weights = student / "model.safetensors"
    names = list(load_file(weights))
    weights.rename(student / "moved.safetensors")
    (student / index).write_text(json.dumps({"metadata": {}, "weight_map": dict.fromkeys(names, name)}), "utf-8")


class TestNames:
    @pytest.mark.parametrize("load", [model_folder, load_config, load_tokenizer, load_classifier, load_language_model])
    def test_a_misspelt_folder(self, load: Callable[[str], Any], student: Path) -> None:
        with pytest.raises(ModelError, match=r"no such folder.*Did you mean the folder .*student\?"):
            load(str(student.with_name("studnet")))

    def test_a_misspelt_folder_in_the_middle_of_a_path(self, student: Path) -> None:
        inside = student / "runs" / "model"
        inside.mkdir(parents=True)
        with pytest.raises(ModelError) as caught:
            model_folder(str(student / "run" / "model"))
        assert str(caught.value).endswith(f"Did you mean the folder {inside}?")

    @pytest.mark.parametrize("name", ["m" * 5000, "a b", "./x", "a/b/c", "\0", "\ud800", "~nosuchuser/x", "", "x\\y"])
    def test_what_is_neither_a_folder_nor_a_hub_name(self, name: str) -> None:
        started = time.monotonic()
        with pytest.raises(ModelError, match="no such folder, and no model on the hub can have this name") as caught:
            model_folder(name)
        assert time.monotonic() - started < 1
        assert len(str(caught.value)) < 400

    def test_a_file(self, student: Path) -> None:
        with pytest.raises(ModelError, match=r"it is a file\. Give its folder"):
            model_folder(str(student / "config.json"))

    def test_the_folder_of_a_run_is_no_model(self, student: Path, tmp_path: Path) -> None:
        run = tmp_path / "run"
        (run / "stages").mkdir(parents=True)
        with pytest.raises(ModelError, match=r"it is the folder of a run\. Give its student, .*run/student$"):
            model_folder(str(run))
        with pytest.raises(ModelError, match=r"'.*run/student': its run is not finished"):
            model_folder(str(run / "student"))
        (student / "stages").mkdir()
        assert model_folder(str(student)) == student

    def test_the_user_s_home(self, student: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(student.parent))
        assert model_folder("~/student") == student


class TestIndex:
    def test_files_of_the_folder(self, student: Path) -> None:
        in_parts(student, "moved.safetensors")
        assert load_classifier(str(student)).config.num_labels == 3

    @pytest.mark.parametrize(
        "name",
        ["moved.bin", "../moved.safetensors", "/tmp/moved.safetensors", "a/moved.safetensors", "./moved.safetensors",
         "a\\moved.safetensors", "moved.safetensors\0", "moved.safetensors.bin", ""],
    )  # fmt: skip
    @pytest.mark.parametrize("index", [INDEX, "model.fp16.safetensors.index.json"])
    def test_other_names_are_refused(self, student: Path, name: str, index: str) -> None:
        in_parts(student, name, index)
        with pytest.raises(ModelError, match=r"index\.json names .* as weights\. Only safetensors files in the"):
            model_folder(str(student))

    def test_no_file_beside_it(self, student: Path) -> None:
        in_parts(student, "gone.safetensors")
        with pytest.raises(ModelError, match=r"names gone\.safetensors, which is not there"):
            load_classifier(str(student))

    @pytest.mark.parametrize("content", ['{"weight_map": []}', "{}", '{"weight_map": {"a": 7}}', "[]"])
    def test_an_index_that_is_none(self, student: Path, content: str) -> None:
        (student / INDEX).write_text(content, encoding="utf-8")
        with pytest.raises(ModelError, match=r"index\.json is damaged"):
            model_folder(str(student))

    def test_links(self, student: Path) -> None:
        in_parts(student, "link.safetensors")
        (student / "link.safetensors").symlink_to("moved.safetensors")
        load_classifier(str(student))
        (student / "link.safetensors").unlink()
        (student / "moved.safetensors").rename(student.parent / "outside.safetensors")
        (student / "link.safetensors").symlink_to(student.parent / "outside.safetensors")
        with pytest.raises(ModelError, match=r"link\.safetensors, which is a link to .*outside"):
            model_folder(str(student))

    def test_links_of_the_hub_s_cache(self, student: Path, tmp_path: Path) -> None:
        in_parts(student, "part.safetensors")
        cache = tmp_path / "models--someone--risk"
        (cache / "blobs").mkdir(parents=True)
        (student / "moved.safetensors").rename(cache / "blobs" / "hash")
        snapshot = Path(shutil.copytree(student, cache / "snapshots" / "commit"))
        (snapshot / "part.safetensors").symlink_to(Path("..", "..", "blobs", "hash"))
        load_classifier(str(snapshot))

    @pytest.mark.parametrize("name", ["w.bin", "../x.safetensors", "../x.safetensors.index.json"])
    def test_own_names_of_weights(self, student: Path, name: str) -> None:
        set_values(student / "config.json", transformers_weights=name)
        with pytest.raises(ModelError, match=r"config\.json names .* as weights"):
            load_classifier(str(student))

    def test_a_pickle_is_not_read(self, student: Path) -> None:
        weights = load_file(student / "model.safetensors")
        (student / "model.safetensors").unlink()
        torch.save(weights, student / "pytorch_model.bin")
        with pytest.raises(ModelError, match="Only safetensors weights are loaded"):
            load_classifier(str(student))
        (student / INDEX).write_text(
            json.dumps({"metadata": {}, "weight_map": dict.fromkeys(weights, "pytorch_model.bin")}), encoding="utf-8"
        )
        with pytest.raises(ModelError, match=r"names 'pytorch_model\.bin' as weights"):
            load_classifier(str(student))


class TestConfiguration:
    def test_an_adapter_of_peft(self, student: Path) -> None:
        (student / "adapter_config.json").write_text('{"base_model_name_or_path": "/etc"}', encoding="utf-8")
        with pytest.raises(ModelError, match=r"a PEFT adapter.*merge_and_unload"):
            model_folder(str(student))

    def test_compiled_code_of_the_hub(self, student: Path) -> None:
        set_values(student / "config.json", text_config={"attn_implementation": "kernels-community/flash-attn"})
        with pytest.raises(ModelError, match="asks for code from the hub, 'kernels-community/flash-attn'"):
            model_folder(str(student))
        assert model_folder(str(student), trust_remote_code=True) == student

    def test_labels_that_no_model_has(self, student: Path) -> None:
        set_values(student / "config.json", id2label={str(number): "a" for number in range(100_001)})
        with pytest.raises(ModelError, match=r"no model has 100,001 labels \(id2label\)"):
            model_folder(str(student))

    @pytest.mark.parametrize("key", ["num_hidden_layers", "n_layer", "decoder_layers", "num_labels", "num_experts"])
    def test_counts_that_no_model_has(self, student: Path, key: str) -> None:
        set_values(student / "config.json", text_config={key: 10**9})
        with pytest.raises(ModelError, match=f"no model has {key}: 1000000000"):
            load_config(str(student))

    def test_a_file_without_an_end(self, student: Path) -> None:
        (student / "config.json").unlink()
        os.mkfifo(student / "config.json")
        with pytest.raises(ModelError, match=r"config\.json is damaged: it is not a plain file"):
            load_config(str(student))

    @pytest.mark.fast_cases(4)
    @pytest.mark.parametrize(
        ("values", "said"),
        [
            ({"num_hidden_layers": 10**6}, "a far larger model than its weights"),
            ({"num_hidden_layers": 400}, "a far larger model than its weights"),
            ({"vocab_size": 10**12}, "a far larger model than its weights"),
            ({"hidden_size": None}, "load the configuration of"),
            ({"id2label": ["a", "b", "c"]}, "load the configuration of"),
            ({"pad_token_id": 10**6}, "load the model of"),
        ],
    )
    @pytest.mark.parametrize("load", [load_classifier, load_encoder])
    def test_odd_values(self, student: Path, load: Callable[[str], Any], values: dict[str, Any], said: str) -> None:
        set_values(student / "config.json", **values)
        with pytest.raises(ModelError, match=said):
            load(str(student))


class TestWeights:
    def test_what_they_say_of_themselves(self, student: Path) -> None:
        found = model_weights(str(student))
        saved = load_file(student / "model.safetensors")
        assert found.shapes == {name: tuple(x.shape) for name, x in saved.items()}
        assert found.size_bytes == (student / "model.safetensors").stat().st_size

    @pytest.mark.parametrize("keep", [0, 4, 100, -1])
    def test_damage_is_named(self, student: Path, keep: int) -> None:
        file = student / "model.safetensors"
        file.write_bytes(file.read_bytes()[:keep])
        with pytest.raises(ModelError, match=r"model\.safetensors is damaged or was cut off \([\d,]+ bytes\)"):
            load_classifier(str(student))

    def test_a_model_may_be_larger_but_not_by_far(self) -> None:
        weights = Weights(Path("x"), {"a": (2, 3)}, 24)
        with bounded(weights):
            torch.nn.Linear(1000, 1000)
        with pytest.raises(ModelError, match="far larger"), bounded(weights):
            torch.nn.Linear(10**4, 10**4)
        with pytest.raises(ModelError, match="1 tensors in 24 bytes"), bounded(weights):
            torch.nn.ModuleList(torch.nn.Linear(1, 1) for _ in range(600))
        torch.nn.Linear(10**4, 10**4, device="meta")  # nothing is counted afterwards

    @pytest.mark.parametrize("layers", [10**5, 10**9])
    def test_a_model_of_new_weights_is_one_that_there_could_be(
        self, student: Path, layers: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from limbeck.errors import ConfigError
        from limbeck.students.initialise import student_from_config

        monkeypatch.setattr(checked_folder, "_MOST_TENSORS", 1000)
        sizes = {"hidden_size": 2, "num_attention_heads": 1, "intermediate_size": 2, "num_hidden_layers": layers}
        set_values(student / "config.json", **sizes)
        with torch.device("meta"), pytest.raises(ModelError, match=r"no model has num_hidden_layers|more than 1,000"):
            new_classifier(str(student), labels=["a", "b"])
        with pytest.raises(ConfigError, match=r"num_hidden_layers: \d+ is larger than in any model"):
            student_from_config({"model_type": "bert", "vocab_size": 9, **sizes}, ["a", "b"])

    def test_weights_that_are_replaced_count_once(self) -> None:
        with bounded(Weights(Path("x"), {}, 0)):
            layer = torch.nn.Linear(1000, 1000)
            for _ in range(50):
                layer.weight = torch.nn.Parameter(layer.weight.detach().clone())


class TestReading:
    @pytest.mark.parametrize("error", [KeyError("vocab"), MemoryError(), EOFError(), AssertionError("odd")])
    def test_every_error_of_a_library(self, error: Exception) -> None:
        said = rf"cannot load it of 'x': {type(error).__name__}.*copy or download"
        with pytest.raises(ModelError, match=said), reading("load it of", "x"):
            raise error

    def test_a_panic(self) -> None:
        class PanicException(BaseException):
            pass

        with pytest.raises(ModelError, match="PanicException"), reading("load it of", "x"):
            raise PanicException("called `Option::unwrap()`")

    @pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), DataError("ours")])
    def test_what_is_no_fault_of_a_file(self, error: BaseException) -> None:
        with pytest.raises(type(error)), reading("load it of", "x"):
            raise error


def test_weights_that_lack_a_layer_are_refused_with_and_without_a_new_head(student: Path) -> None:
    weights = load_file(student / "model.safetensors")
    kept = {name: x for name, x in weights.items() if "layer.1." not in name}
    save_file(kept, student / "model.safetensors", metadata={"format": "pt"})
    for labels in (None, ["risk", "caution", "safe"]):
        with pytest.raises(ModelError, match=r"lacks trained weights \(missing: bert\.encoder\.layer\.1"):
            load_classifier(str(student), labels=labels)


def test_a_student_has_no_weights_too_many(student: Path) -> None:
    weights = load_file(student / "model.safetensors")
    save_file(weights | {"bert.x": torch.ones(1)}, student / "model.safetensors", metadata={"format": "pt"})
    load_classifier(str(student))  # other models may: a head that is not needed, for one
    (student / "task.json").write_text('{"max_length": 8}', encoding="utf-8")
    with pytest.raises(ModelError, match=r"do not belong together \(unknown: bert\.x\)"):
        load_classifier(str(student))


@pytest.mark.parametrize(
    ("id2label", "said"),
    [
        ({"0": "a", "2": "b", "3": "c"}, r"without gaps, but has \[0, 2, 3\]"),
        ({"0": "a", "1": "a", "2": "c"}, "calls several labels 'a'"),
        ({"0": "a", "1": None, "2": "c"}, "a label must be text, not None"),
        ({"0": "a", "1": "\x1b[2J", "2": "c"}, "label .* holds half of a surrogate pair or a control character"),
    ],
)
def test_names_of_labels(student: Path, id2label: dict[str, Any], said: str) -> None:
    set_values(student / "config.json", id2label=id2label)
    from limbeck.tasks.classification.predict import Predictor

    with pytest.raises(ModelError, match=said):
        Predictor(str(student))


def test_a_tokenizer_without_its_words(student: Path) -> None:
    (student / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"knows no words: .* lacks its vocabulary"):
        load_tokenizer(str(student))
