"""Damaged and hostile model folders: a clear error, no code, bounded time and memory."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.hostile.tally import Tally
from tests.runs.forge import Forge

from limbeck.data.prompts.choice import PromptChoice
from limbeck.data.prompts.label_prompt import LabelPrompt
from limbeck.data.prompts.scored import make_verbaliser
from limbeck.models.label_scorer import LabelScorer
from limbeck.models.load import save_model
from limbeck.models.pooled_classifier import with_pooling
from limbeck.students.adapters import Adapter, add_adapter, merged_for_export
from limbeck.students.scorer import make_scorer
from limbeck.tasks.ranking.predict import RankingTask
from limbeck.types import SoftLayout

Damage = Callable[[Path], None]
WEIGHTS = "model.safetensors"
HEAD = "2_Dense/model.safetensors"
INDEX = "model.safetensors.index.json"
LABELS = ["risk", "caution", "safe"]


@pytest.fixture(scope="module")
def forge() -> Iterator[Forge]:
    made = Forge(Path(__file__).with_name("folder_program.py"))
    yield made
    made.end()


@pytest.fixture(scope="module")
def students(
    tmp_path_factory: pytest.TempPathFactory,
    risk_student: Path,
    multilingual_folder: Path,
    make_classifier: Callable[..., Any],
    make_tokenizer: Callable[..., Any],
    make_causal_tokenizer: Callable[..., Any],
) -> dict[str, Path]:
    """A folder of each kind of student."""
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("students")
    found = {
        kind: folder / kind for kind in ("classifier", "pooled", "adapter", "prompt", "scorer", "writer", "ranker")
    }
    task = {"kind": "classification", "text": "text", "labels": LABELS, "max_length": 16}
    shutil.copytree(risk_student, found["classifier"])
    pooled = with_pooling(make_classifier(), "mean")
    save_model(pooled, make_tokenizer(), found["pooled"])
    adapters = {"adapter": Adapter(kind="houlsby", width=4), "prompt": Adapter(kind="prompt", vectors=3)}
    for kind, adapter in adapters.items():
        found[kind].mkdir()
        save_model(merged_for_export(add_adapter(make_classifier(), adapter)), make_tokenizer(), found[kind])
    tokenizer = make_causal_tokenizer()
    torch.manual_seed(0)
    causal = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=1,
            num_attention_heads=2, max_position_embeddings=128,
        )
    )  # fmt: skip
    for kind in ("writer", "scorer"):
        found[kind].mkdir()
    save_model(causal, tokenizer, found["writer"])
    prompt = LabelPrompt(format="none", input="Input: {{ text }}", body="text")
    save_model(LabelScorer(causal, make_verbaliser(prompt, LABELS, ["text"], tokenizer)), tokenizer, found["scorer"])
    for kind in ("classifier", "pooled", "adapter", "prompt", "scorer"):
        write(found[kind] / "task.json", task | ({"max_length": 100} if kind == "scorer" else {}))
    write(found["writer"] / "task.json", {"kind": "generation", "prompt": "text", "max_length": 64})
    soft = SoftLayout(("topic",), ("en", "bg"), 8, 8)
    found["ranker"].mkdir()
    make_scorer("cross_encoder", str(multilingual_folder), soft).save_pretrained(found["ranker"])
    AutoTokenizer.from_pretrained(multilingual_folder).save_pretrained(found["ranker"])
    ranking = RankingTask(
        scorer="cross_encoder", prompts=PromptChoice(), soft=soft, languages=["en", "bg"], tasks=["topic"],
        labels={"topic": ["health", "sports"]}, max_length=110,
    )  # fmt: skip
    write(found["ranker"] / "task.json", ranking.model_dump(mode="json"))
    return found


def write(file: Path, values: Any) -> None:
    file.write_text(json.dumps(values), encoding="utf-8")


def edit(file: str, **values: Any) -> Damage:
    """Set fields of a JSON file."""

    def do(folder: Path) -> None:
        found = json.loads((folder / file).read_text(encoding="utf-8"))
        write(folder / file, found | values)

    return do


def content(file: str, text: str | bytes) -> Damage:
    def do(folder: Path) -> None:
        (folder / file).write_bytes(text if isinstance(text, bytes) else text.encode())

    return do


def weights(change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Damage:
    def do(folder: Path) -> None:
        save_file(change(load_file(folder / WEIGHTS)), folder / WEIGHTS, metadata={"format": "pt"})

    return do


def vocabulary(change: Callable[[dict[str, int]], dict[str, int]]) -> Damage:
    def do(folder: Path) -> None:
        found = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        found["model"]["vocab"] = change(found["model"]["vocab"])
        write(folder / "tokenizer.json", found)

    return do


class Run:
    """A pickle that leaves a mark when it is read."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


def pickled(name: str, *, index: bool = False, format: str = "plain") -> Damage:
    """Put a pickle in the place of the weights, with an index that names it or without."""

    def do(folder: Path) -> None:
        names = list(load_file(folder / WEIGHTS))
        (folder / WEIGHTS).unlink()
        run = Run(folder.parent / "mark")
        file = folder / name
        if format == "torch":
            torch.save({names[0]: run}, file)
        else:
            file.write_bytes(pickle.dumps(run))
        if index:
            write(folder / INDEX, {"metadata": {}, "weight_map": dict.fromkeys(names, name)})

    return do


def indexed(name: str, *, outside: bool = False, link: bool = False, keep: bool = False, index: str = INDEX) -> Damage:
    """Move the weights, and write an index that names them so."""

    def do(folder: Path) -> None:
        names = list(load_file(folder / WEIGHTS))
        place = folder.parent / "outside.safetensors" if outside or link else folder / "moved.safetensors"
        shutil.copy(folder / WEIGHTS, place)
        if not keep:
            (folder / WEIGHTS).unlink()
        if link:
            (folder / "link.safetensors").symlink_to(place)
        write(folder / index, {"metadata": {}, "weight_map": dict.fromkeys(names, name.format(folder=folder.parent))})

    return do


def whole_file(kind: str) -> Callable[[Path], None]:
    """Damage a file as disks, downloads and pranks do."""

    def do(file: Path) -> None:
        before = file.read_bytes()
        file.unlink()
        if kind == "folder":
            file.mkdir()
        elif kind == "pipe":
            os.mkfifo(file)
        elif kind == "device":
            file.symlink_to("/dev/zero")
        elif kind == "text":
            (file.parent / "notes.txt").write_text("nothing here", encoding="utf-8")
            file.symlink_to("notes.txt")
        elif kind == "loop":
            file.symlink_to(file.name)
        elif kind != "gone":
            file.write_bytes(CONTENTS[kind](before))

    return do


CONTENTS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda b: b"",
    "cut": lambda b: b[: len(b) // 2],
    "cut at the end": lambda b: b[:-1],
    "zeros": lambda b: bytes(len(b)),
    "garbage": lambda b: bytes(i * 131 % 251 for i in range(2000)),
    "null": lambda b: b"null",
    "list": lambda b: b"[]",
    "number": lambda b: b"7",
    "bare object": lambda b: b"{}",
    "deep": lambda b: b'{"a":' * 100_000,
    "deep lists": lambda b: b'{"a": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "not UTF-8": lambda b: b'{"a": "\xff\xfe"}',
    "twice": lambda b: b + b,
    "long number": lambda b: b'{"max_length": ' + b"9" * 5000 + b"}",
}
READABLE = {"cut at the end", "bare object", "twice", "long number"}
KINDS = {kind: kind not in {"gone", "device", "loop", *READABLE} for kind in (
    "gone", "folder", "pipe", "device", "text", "loop", *CONTENTS)}  # fmt: skip
"""How files are damaged, and whether no such file can be read."""
FEW = ("empty", "cut", "garbage", "null", "bare object", "deep", "not UTF-8", "pipe")
FILES = {
    "classifier": ("config.json", WEIGHTS, "tokenizer.json", "tokenizer_config.json", "task.json"),
    "pooled": (HEAD,),
    "adapter": ("adapter.json",),
    "scorer": ("verbaliser.json",),
    "ranker": ("task.json",),
    "writer": ("task.json", "generation_config.json"),
}
UNNOTICED = {"tokenizer_config.json", "generation_config.json"}
"""What a model can do without, or with little in it."""

REFUSED: dict[str, list[tuple[str, Damage]]] = {
    "classifier": [
        ("index of a pickle", pickled("w.bin", index=True)),
        ("index of torch's pickle", pickled("w.bin", index=True, format="torch")),
        ("index of a pickle called safetensors", pickled("w.safetensors", index=True)),
        ("pickle called safetensors", pickled(WEIGHTS)),
        ("pickle alone", pickled("pytorch_model.bin")),
        ("torch's pickle alone", pickled("pytorch_model.bin", format="torch")),
        ("index outside", indexed("../outside.safetensors", outside=True)),
        ("absolute index", indexed("{folder}/outside.safetensors", outside=True)),
        ("index with a dot", indexed("./moved.safetensors")),
        ("index of a link outside", indexed("link.safetensors", link=True)),
        ("a second index beside the weights", indexed("../outside.safetensors", outside=True, keep=True)),
        ("index of a variant", indexed("../outside.safetensors", outside=True, keep=True, index=f"x.{INDEX}")),
        ("index of what is not there", indexed("missing.safetensors")),
        ("index with a NUL", indexed("a\0.safetensors")),
        ("index of a device", indexed("../../../../../../../../dev/zero")),
        ("own name of weights outside", edit("config.json", transformers_weights="../x.safetensors")),
        ("own name of a pickle", edit("config.json", transformers_weights="w.bin")),
        ("adapter of PEFT", content("adapter_config.json", '{"base_model_name_or_path": "/etc"}')),
        ("compiled attention", edit("config.json", attn_implementation="someone/kernel")),
        ("compiled attention, privately", edit("config.json", _attn_implementation="someone/kernel")),
        ("remote code", edit("config.json", model_type="mine", auto_map={"AutoConfig": "code.Config"})),
        ("a billion layers", edit("config.json", num_hidden_layers=10**9)),
        ("a million layers", edit("config.json", num_hidden_layers=10**6)),
        ("a thousand layers", edit("config.json", num_hidden_layers=1000)),
        ("no layers", edit("config.json", num_hidden_layers=0)),
        ("layers below none", edit("config.json", num_hidden_layers=-1)),
        ("huge width", edit("config.json", hidden_size=2 * 10**6)),
        ("endless width", edit("config.json", hidden_size=10**30)),
        ("huge vocabulary", edit("config.json", vocab_size=10**12)),
        ("huge inner width", edit("config.json", intermediate_size=10**9)),
        ("huge positions", edit("config.json", max_position_embeddings=10**11)),
        ("width of null", edit("config.json", hidden_size=None)),
        ("width in words", edit("config.json", hidden_size="wide")),
        ("width below none", edit("config.json", hidden_size=-16)),
        ("layers as a list", edit("config.json", num_hidden_layers=[2])),
        ("no heads", edit("config.json", num_attention_heads=0)),
        ("heads that do not divide", edit("config.json", num_attention_heads=3)),
        ("unknown activation", edit("config.json", hidden_act="boom")),
        ("unknown kind", edit("config.json", model_type="nothing")),
        ("kind as a list", edit("config.json", model_type=["bert"])),
        ("kind as null", edit("config.json", model_type=None)),
        ("architectures as a number", edit("config.json", architectures=7, model_type="none")),
        ("padding outside of the vocabulary", edit("config.json", pad_token_id=10**6)),
        ("labels with a gap", edit("config.json", id2label={"0": "risk", "2": "safe", "3": "caution"})),
        ("labels as a list", edit("config.json", id2label=LABELS)),
        ("labels twice", edit("config.json", id2label={"0": "risk", "1": "risk", "2": "safe"})),
        ("labels of null", edit("config.json", id2label={"0": "risk", "1": None, "2": "safe"})),
        ("labels as mappings", edit("config.json", id2label={"0": "risk", "1": {}, "2": "safe"})),
        ("labels by word", edit("config.json", id2label={"a": "risk", "b": "caution", "c": "safe"})),
        ("labels that are no text", edit("config.json", id2label={"0": "\ud800", "1": "caution", "2": "safe"})),
        ("labels below none", edit("config.json", id2label={"-1": "risk", "0": "caution", "1": "safe"})),
        ("a million labels", edit("config.json", id2label={str(i): str(i) for i in range(10**6)})),
        ("fewer labels than weights", edit("config.json", id2label={"0": "risk", "1": "safe"})),
        ("weights of another name", weights(lambda w: {f"x.{name}": x for name, x in w.items()})),
        ("weights lack a layer", weights(lambda w: {n: x for n, x in w.items() if "layer.1." not in n})),
        ("weights lack the head", weights(lambda w: {n: x for n, x in w.items() if "classifier" not in n})),
        ("weights lack one bias", weights(lambda w: {n: x for n, x in w.items() if "0.output.dense.bias" not in n})),
        ("weights too many", weights(lambda w: w | {"bert.encoder.layer.7.output.dense.bias": torch.ones(16)})),
        ("weights of other shapes", weights(lambda w: {n: x[:1].clone() for n, x in w.items()})),
        ("weights without numbers", weights(lambda w: {n: torch.full_like(x, torch.nan) for n, x in w.items()})),
        ("tokenizer of other ids", vocabulary(lambda words: words | {"cat": 10**6})),
        ("tokenizer without words", vocabulary(lambda words: dict(list(words.items())[:5]))),
        ("tokenizer of an unknown kind", edit("tokenizer.json", model={"type": "Boom", "vocab": {}})),
        ("limit below none", edit("task.json", max_length=-5)),
        ("no limit", edit("task.json", max_length=0)),
        ("endless limit", content("task.json", '{"max_length": 1e400}')),
        ("limit in words", edit("task.json", max_length="long")),
        ("limit of null", edit("task.json", max_length=None)),
        ("limit as a list", edit("task.json", max_length=[16])),
        ("limit beyond the model", edit("task.json", max_length=10**9)),
        ("unknown task", edit("task.json", kind="dance")),
        ("task as a list", edit("task.json", kind=["classification"])),
        ("field as a number", edit("task.json", text=7)),
        ("unknown field", edit("task.json", surprise=1)),
        ("a single label", edit("task.json", labels=["risk"])),
    ],
    "pooled": [
        ("no head", lambda folder: shutil.rmtree(folder / "2_Dense")),
        ("a head that is a pickle", lambda folder: (folder / HEAD).write_bytes(
            pickle.dumps(Run(folder.parent / "mark")))),
        ("a head for more labels", lambda folder: save_file(
            {"linear.weight": torch.zeros(4, 16), "linear.bias": torch.zeros(4)}, folder / HEAD)),
        ("a head of other names", lambda folder: save_file({"weight": torch.zeros(3, 16)}, folder / HEAD)),
        ("a head without numbers", lambda folder: save_file(
            {"linear.weight": torch.full((3, 16), torch.nan), "linear.bias": torch.zeros(3)}, folder / HEAD)),
        ("an unknown pooling", edit("config.json", pooled_classifier="max")),
        ("pooling as a list", edit("config.json", pooled_classifier=["mean"])),
        ("pooling as a number", edit("config.json", pooled_classifier=7)),
        ("no pooling", edit("config.json", pooled_classifier=None)),
        ("an encoder with a decoder", edit("config.json", model_type="t5")),
        ("a billion layers", edit("config.json", num_hidden_layers=10**9)),
        ("a thousand layers", edit("config.json", num_hidden_layers=1000)),
        ("labels with a gap", edit("config.json", id2label={"0": "risk", "2": "safe", "3": "caution"})),
        ("fewer labels than weights", edit("config.json", id2label={"0": "risk", "1": "safe"})),
        ("weights lack a layer", weights(lambda w: {n: x for n, x in w.items() if "layer.1." not in n})),
        ("weights too many", weights(lambda w: w | {"encoder.layer.7.output.dense.bias": torch.ones(16)})),
        ("index of a pickle", pickled("w.bin", index=True)),
    ],
    "adapter": [
        ("endless width", edit("adapter.json", width=10**12)),
        ("width below none", edit("adapter.json", width=-4)),
        ("another width", edit("adapter.json", width=5)),
        ("width in words", edit("adapter.json", width="wide")),
        ("a place that is no map", edit("adapter.json", sites=["bert.encoder"])),
        ("a place that is none", edit("adapter.json", sites=["bert.nothing"])),
        ("places as a text", edit("adapter.json", sites="bert")),
        ("places as numbers", edit("adapter.json", sites=[1, 2])),
        ("unknown kind", edit("adapter.json", kind="boom")),
        ("unknown field", edit("adapter.json", surprise=1)),
        ("another adapter", edit("adapter.json", kind="prefix", vectors=3)),
        ("a billion layers", edit("config.json", num_hidden_layers=10**9)),
        ("ten thousand layers", edit("config.json", num_hidden_layers=10**4)),
        ("huge vocabulary", edit("config.json", vocab_size=10**10)),
    ],
    "prompt": [
        ("endless vectors", edit("adapter.json", vectors=10**12)),
        ("many vectors", edit("adapter.json", vectors=10**8)),
        ("no vectors", edit("adapter.json", vectors=0)),
        ("vectors below none", edit("adapter.json", vectors=-1)),
    ],
    "scorer": [
        ("labels of no tokens", edit("verbaliser.json", label_ids=[[], [], []])),
        ("labels of unknown tokens", edit("verbaliser.json", label_ids=[[10**6], [5], [6]])),
        ("labels below none", edit("verbaliser.json", label_ids=[[-3], [5], [6]])),
        ("labels in words", edit("verbaliser.json", label_ids=[["a"], ["b"], ["c"]])),
        ("endless labels", content("verbaliser.json", '{"labels": ["a", "b"], "label_ids": [[1e400], [2]]}')),
        ("labels twice", edit("verbaliser.json", labels=["risk", "risk", "safe"])),
        ("one label", edit("verbaliser.json", labels=["risk"], label_ids=[[5]])),
        ("endless power", content("verbaliser.json", '{"labels": ["a", "b"], "label_ids": [[1], [2]], '
                                  '"length_power": 1e400, "fields": ["text"], "prompt": {}}')),
        ("a prompt that is none", edit("verbaliser.json", prompt={"format": "boom"})),
        ("a prompt as a list", edit("verbaliser.json", prompt=[1])),
    ],
    "ranker": [
        ("endless vectors", edit("task.json", soft={"tasks": ["topic"], "languages": ["en", "bg"],
                                                    "task_vectors": 10**12, "language_vectors": 8})),
        ("many vectors", edit("task.json", soft={"tasks": ["topic"], "languages": ["en", "bg"],
                                                 "task_vectors": 10**8, "language_vectors": 8})),
        ("vectors below none", edit("task.json", soft={"tasks": ["topic"], "languages": ["en", "bg"],
                                                       "task_vectors": -8, "language_vectors": 8})),
        ("a critic that is not there", edit("task.json", critic=True)),
        ("unknown scorer", edit("task.json", scorer="psychic")),
        ("limit below none", edit("task.json", max_length=-5)),
        ("no labels", edit("task.json", labels={})),
        ("a task without labels", edit("task.json", labels={"topic": []})),
        ("labels as numbers", edit("task.json", labels={"topic": [1, 2]})),
        ("a billion layers", edit("config.json", num_hidden_layers=10**9)),
    ],
    "writer": [
        ("limit of one", edit("task.json", max_length=1)),
        ("limit below none", edit("task.json", max_length=-64)),
        ("no field", edit("task.json", prompt=None)),
        ("index of a pickle", pickled("w.bin", index=True)),
        ("a million layers", edit("config.json", num_hidden_layers=10**6)),
        ("no heads of keys", edit("config.json", num_key_value_heads=0)),
        ("weights lack the norm", weights(lambda w: {n: x for n, x in w.items() if "model.norm" not in n})),
    ],
}  # fmt: skip


ODD: dict[str, list[tuple[str, Damage]]] = {
    "classifier": [
        *((f"configuration: {key}: {value!r}"[:80], edit("config.json", **{key: value})) for key, values in {
            "dtype": ("boom", 7, "int8"),
            "quantization_config": ({"quant_method": "gptq", "bits": 4}, {"quant_method": "boom"}, [], 7,
                                    {"quant_method": "fp8"}, {"quant_method": "bitsandbytes", "load_in_8bit": True}),
            "attn_implementation": ("flash_attention_2", 7),
            "is_decoder": (True,), "add_cross_attention": (True,), "chunk_size_feed_forward": (-1, 3),
            "problem_type": ("boom", "regression", "multi_label_classification"), "return_dict": (False,),
            "output_hidden_states": (True,), "layer_norm_eps": ("x", -1), "hidden_dropout_prob": (7,),
            "architectures": (None, [], ["Boom"], ["BertForMaskedLM"]), "num_labels": (10**6, -1),
            "position_embedding_type": ("boom",), "pad_token_id": (None, -1), "type_vocab_size": (1,),
            "base_model_tp_plan": ({"*": "colwise"},), "transformers_version": ([],),
            "pruned_heads": ({"0": [0]}, {"9": [9]}), "id2label": (None, {}), "label2id": ([], {"risk": "x"}),
        }.items() for value in values),
        *((f"tokenizer: {key}: {value!r}"[:80], edit("tokenizer_config.json", **{key: value})) for key, values in {
            "model_max_length": (-1, "x", 10**400), "padding_side": ("up", 7), "truncation_side": ("up",),
            "pad_token": (None, 7, "dog"), "tokenizer_class": ("Boom", 7, "LlamaTokenizer"),
            "auto_map": ({"AutoTokenizer": ["code.T", None]},), "chat_template": ("{{ 1/0 }}", 7),
            "added_tokens_decoder": ({"999999": {"content": "x"}}, {"x": 7}, []), "do_lower_case": ("x",),
        }.items() for value in values),
        ("padding to a billion", edit("tokenizer.json", padding={
            "strategy": {"Fixed": 10**9}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0,
            "pad_type_id": 0, "pad_token": "[PAD]"})),
        ("no pieces", edit("tokenizer.json", pre_tokenizer=None)),
        ("no marks", edit("tokenizer.json", post_processor=None)),
        ("half precision", weights(lambda w: {n: x.half() for n, x in w.items()})),
        ("whole numbers", weights(lambda w: {n: x.to(torch.int32) for n, x in w.items()})),
        ("a second file of weights", lambda folder: shutil.copy(folder / WEIGHTS, folder / "other.safetensors")),
        ("a pickle beside", lambda folder: (folder / "training_args.bin").write_bytes(
            pickle.dumps(Run(folder.parent / "mark")))),
        ("code beside", content("sitecustomize.py", "import pathlib; pathlib.Path('mark').touch()")),
    ],
    "writer": [
        *((f"writing: {key}: {value!r}"[:80], edit("generation_config.json", **{key: value})) for key, values in {
            "eos_token_id": ("end", -1, 10**9, [], [[]]), "max_new_tokens": (-1, "x"), "temperature": (-1, "x"),
            "custom_generate": ("someone/code",), "cache_implementation": ("boom",), "num_beams": (10**9,),
            "forced_bos_token_id": (10**9,), "watermarking_config": ({"x": 1},), "pad_token_id": (10**9,),
        }.items() for value in values),
        *((f"configuration: {key}: {value!r}"[:80], edit("config.json", **{key: value})) for key, values in {
            "rope_scaling": ({"type": "boom"}, 7, {"rope_type": "yarn", "factor": "x"}), "rope_theta": (0, "x"),
            "tie_word_embeddings": (True, "x"), "head_dim": (0, 8, 7), "use_cache": (False, "x"),
            "max_position_embeddings": (10**12, 1, -1), "layer_types": (["boom"], []), "sliding_window": (0, -1),
        }.items() for value in values),
    ],
}  # fmt: skip
"""What may do no harm; whether or not, it ends well or clearly."""


EVERYWHERE = ["index of a pickle", "index outside", "adapter of PEFT", "a billion layers", "labels with a gap",
              "weights lack a layer", "weights lack the head", "unknown kind"]  # fmt: skip
"""Names of what other commands than `predict` are tried with."""


class Folders:
    """Copies of students, damaged, and what commands say of them."""

    def __init__(self, forge: Forge, students: dict[str, Path], place: Path, tally: Tally) -> None:
        self.forge, self.students, self.place, self.tally = forge, students, place, tally
        self.wrong: list[str] = []

    def predict(self, kind: str, name: str, damage: Damage, *, code: int | None = 2, says: str = "") -> None:
        """Carry out `limbeck predict` with a damaged copy, and note what does not end as it should."""
        more = {"ranker": ("--lang", "en"), "writer": ("--max-new-tokens", "2")}
        words = ("predict", "STUDENT", *more.get(kind, ()))
        self.run(kind, name, damage, *words, code=code, says=says)

    def run(self, kind: str, name: str, damage: Damage, *words: str, code: int | None = 2, says: str = "") -> None:
        """Carry out a command, in whose words STUDENT is the damaged copy."""
        folder = self.place / "try" / "student"
        folder.parent.mkdir()
        shutil.copytree(self.students[kind], folder)
        damage(folder)
        words = tuple(word.replace("STUDENT", str(folder)) for word in words)
        ended = self.forge.run(*words, cwd=folder.parent, stdin=b"the cat\n")
        told = f"{' '.join(words[:3])} {kind}, {name}: exit code {ended}\n{self.forge.output}"
        try:
            self.tally.ended(ended, self.forge.output)
        except AssertionError:
            self.wrong.append(told)
        if (code is not None and ended != code) or says not in told or list(self.place.rglob("mark")):
            self.wrong.append(told)
        shutil.rmtree(folder.parent)


@pytest.fixture
def folders(forge: Forge, students: dict[str, Path], tmp_path: Path, tally: Tally) -> Iterator[Folders]:
    made = Folders(forge, students, tmp_path, tally)
    yield made
    assert not made.wrong, "\n".join([f"{len(made.wrong)} did not end as they should:", *made.wrong])


def test_students_work_as_they_are(folders: Folders) -> None:
    for kind in folders.students:
        folders.predict(kind, "as it is", lambda folder: None, code=0)


@pytest.mark.parametrize(("kind", "file"), [(kind, file) for kind, files in FILES.items() for file in files])
def test_damaged_files(folders: Folders, kind: str, file: str) -> None:
    for how in KINDS if file in (WEIGHTS, "config.json") else FEW:
        refused = file == WEIGHTS or (KINDS[how] and file not in UNNOTICED)
        damage = whole_file(how)
        folders.predict(
            kind,
            f"{file} {how}",
            lambda folder, damage=damage: damage(folder / file),
            code=2 if refused else None,
            says=file.partition(".")[0] if refused else "",
        )


@pytest.mark.parametrize("kind", list(REFUSED))
def test_damaged_values(folders: Folders, kind: str) -> None:
    for name, damage in REFUSED[kind]:
        folders.predict(kind, name, damage)


@pytest.mark.parametrize("words", [
    ("evaluate", "STUDENT", "ROWS"),
    ("evaluate", "UNDAMAGED", "ROWS", "--against", "STUDENT"),
    ("doctor", "RUN", "--set", "teacher.model=STUDENT"),
    ("doctor", "RUN", "--set", "student={model: STUDENT}"),
    ("distill", "RUN", "--set", "teacher.model=STUDENT"),
    ("plan", "RUN", "--set", "teacher.model=STUDENT"),
], ids=" ".join)  # fmt: skip
def test_other_commands(folders: Folders, tmp_path: Path, words: tuple[str, ...]) -> None:
    rows, run = tmp_path / "rows.jsonl", tmp_path / "run.yaml"
    lines = [json.dumps({"text": f"the {word}", "label": label}) for word in ("cat", "dog") * 4 for label in LABELS]
    rows.write_text("\n".join(lines), encoding="utf-8")
    undamaged = str(folders.students["classifier"])
    sections = {"data": {"train": str(rows), "test": str(rows)}, "teacher": {"model": undamaged}, "output": "run",
                "student": {"model": undamaged}, "recipe": "kd", "training": {"max_steps": 1}}  # fmt: skip
    write(run, sections)  # JSON is YAML
    given = {"ROWS": str(rows), "RUN": str(run), "UNDAMAGED": undamaged}
    words = tuple(given.get(word, word) for word in words)
    wanted = EVERYWHERE if words[0] != "plan" else [name for name in EVERYWHERE if "weights" not in name]
    for name, damage in REFUSED["classifier"]:
        if name in wanted:
            folders.run("classifier", name, damage, *words)


@pytest.mark.parametrize("kind", list(ODD))
def test_odd_values(folders: Folders, kind: str) -> None:
    for name, damage in ODD[kind]:
        folders.predict(kind, name, damage, code=None)
