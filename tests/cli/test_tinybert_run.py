"""TinyBERT from the command line: a narrower student, an interruption, and models that it cannot compare."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from tests.runs.interruption import StopAfter

Command = Callable[..., tuple[int, str, str]]

NARROWER = {
    "model_type": "bert", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
    "max_position_embeddings": 64,
}  # fmt: skip


@pytest.fixture
def narrower(sections: dict[str, Any]) -> dict[str, Any]:
    sections["training"] |= {"max_steps": 20, "log_every": 1, "warmup_ratio": 0.3, "schedule": "cosine"}
    recipe = {"name": "tinybert", "intermediate_fraction": 0.5}
    return {**sections, "student": {"config": NARROWER}, "recipe": recipe, "baselines": [], "speed": False}


def written(sections: dict[str, Any], folder: Path) -> str:
    path = folder / "tinybert.yaml"
    path.write_text(json.dumps(sections), encoding="utf-8")  # JSON is YAML
    return str(path)


@pytest.mark.slow
def test_a_narrower_student_is_taught_in_two_stages(
    narrower: dict[str, Any], tmp_path: Path, limbeck: Command, light: None
) -> None:
    code, _, said = limbeck("distill", written(narrower, tmp_path))
    assert code == 0, said
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    stages = {name: [x for x in lines if x["stage"] == name] for name in ("intermediate", "prediction")}
    terms = [{key for x in found for key in x if key.startswith("term/")} for found in stages.values()]
    assert terms == [{"term/hidden_states", "term/attention"}, {"term/soft_targets"}]
    first, second = stages.values()
    assert {x["learning_rate"] for x in first} == {1e-3}
    assert len(first) == len(second) == 10
    rates = [x["learning_rate"] for x in second]
    assert rates == pytest.approx([0.0, *[1e-3 * left / 9 for left in range(9, 0, -1)]])
    assert first[-1]["loss"] < first[0]["loss"]
    weights = load_file(tmp_path / "run" / "student" / "model.safetensors")
    assert not [name for name in weights if "projection" in name]
    assert weights["bert.embeddings.word_embeddings.weight"].shape[1] == 16
    assert limbeck("predict", str(tmp_path / "run" / "student"), narrower["data"]["test"])[0] == 0


@pytest.mark.slow
def test_an_interrupted_run_ends_with_the_same_weights(narrower: dict[str, Any], tmp_path: Path, light: None) -> None:
    from limbeck import distill

    narrower["recipe"] |= {"embedding_map": "own"}
    distill(**narrower)
    expected = load_file(tmp_path / "run" / "student" / "model.safetensors")
    narrower["output"] = str(tmp_path / "interrupted")
    for steps in (2, 4, 5, 4):  # twice in the first stage, twice in the second
        with pytest.raises(KeyboardInterrupt):
            distill(**narrower, progress=StopAfter(steps))
    distill(**narrower)
    found = load_file(tmp_path / "interrupted" / "student" / "model.safetensors")
    assert all(tensor.equal(expected[name]) for name, tensor in found.items())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "target", "watched"),
    [
        ("regression", "gold", "train/absolute_error"),
        ("regression", "teacher", "train/distance_to_teacher"),
        ("multi_label", "gold", "train/agreement"),
        ("token_classification", "gold", "train/agreement"),
    ],
)
def test_other_kinds_of_task_have_both_stages(
    kind: str, target: str, watched: str, narrower: dict[str, Any], tmp_path: Path, limbeck: Command, light: None
) -> None:
    path = rows_of(kind, narrower, tmp_path)
    narrower["recipe"]["regression_target"] = target
    code, _, said = limbeck("distill", path(narrower))
    assert code == 0, said
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    of_student = [x for x in lines if x["system"] == "distilled"]
    assert [x["stage"] for x in of_student] == ["intermediate"] * 10 + ["prediction"] * 10
    assert of_student[9]["loss"] < of_student[0]["loss"]
    assert {name for name in of_student[-1] if name.startswith(("term/", "train/"))} == {"term/soft_targets", watched}


@pytest.mark.parametrize("kind", ["classification", "regression", "multi_label", "token_classification"])
def test_unequal_heads_are_refused_before_the_teacher_is_trained(
    kind: str, narrower: dict[str, Any], tmp_path: Path, limbeck: Command
) -> None:
    path, run = rows_of(kind, narrower, tmp_path), tmp_path / "run"
    narrower["student"] = {"config": {**NARROWER, "num_attention_heads": 4}}
    for command in ("distill", "doctor"):
        code, out, said = limbeck(command, path(narrower))
        assert code == 2
        assert "the teacher has 2 in each layer and the student 4" in " ".join((out + said).split())
    assert not (run / "stages").exists()


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_attention_that_cannot_be_read_is_refused_before_the_teacher_is_trained(
    kind: str, narrower: dict[str, Any], tmp_path: Path, limbeck: Command
) -> None:
    path = rows_of(kind, narrower, tmp_path)
    narrower["student"] = {"config": {**NARROWER, "model_type": "deberta-v2"}}
    code, _, said = limbeck("distill", path(narrower))
    assert code == 2
    assert re.search(r"cannot read the attention of layer \d of DebertaV2ForSequenceClassification", said)
    assert not (tmp_path / "run" / "stages").exists()


def rows_of(kind: str, sections: dict[str, Any], folder: Path) -> Callable[[dict[str, Any]], str]:
    """Give a run rows of a kind of task; return what writes its file."""
    answers: dict[str, Callable[[int], dict[str, Any]]] = {
        "regression": lambda n: {"text": f"my card {n}", "value": n / 3},
        "multi_label": lambda n: {"text": f"my card {n}", "labels": ["card", "money"][: n % 3]},
        "token_classification": lambda n: {"words": ["my", "card", str(n)], "tags": ["O", "B-CARD", "O"]},
    }
    if kind in answers:
        task = {"kind": kind} | ({"words": "words"} if kind == "token_classification" else {})
        text = "".join(json.dumps(answers[kind](n)) + "\n" for n in range(40))
        (folder / "rows.jsonl").write_text(text, encoding="utf-8")
        sections |= {"task": task, "data": {"train": str(folder / "rows.jsonl")}}
        del sections["simple_baselines"]
    return lambda changed: written(changed, folder)
