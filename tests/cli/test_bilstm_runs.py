"""Runs whose student is an LSTM: its tokenizer, pairs, plans, refusals, and what reads it afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file
from tests.conftest import write_rows
from tests.runs.interruption import InterruptAfter

import limbeck as package
from limbeck.errors import ConfigError, LimbeckError
from limbeck.models.bilstm import BILSTM, BiLstmForSequenceClassification
from limbeck.models.load import load_classifier, load_tokenizer
from limbeck.runs.config import run_config
from limbeck.runs.examine import examine
from limbeck.tasks.classification.config import RunConfig
from limbeck.tasks.classification.memory import plan_memory
from limbeck.tasks.classification.predict import Predictor
from limbeck.tasks.classification.rows import read_rows
from limbeck.tasks.new_student import new_student
from limbeck.tasks.run_config import Student
from limbeck.types import SilentProgress

Command = Callable[..., tuple[int, str, str]]
TINY = {"model_type": BILSTM, "embedding_size": 12, "hidden_size": 10, "intermediate_size": 8}


@pytest.fixture
def recurrent(sections: dict[str, Any]) -> dict[str, Any]:
    """The small run with an LSTM that learns the teacher's logits."""
    return {**sections, "student": {"config": TINY}, "recipe": "distilbilstm", "speed": False}


@pytest.fixture
def of_pairs(recurrent: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """The same with pairs of questions."""
    for name in ("train", "test"):
        given = recurrent["data"][name]
        file = Path(given[0] if isinstance(given, list) else given)
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        pairs = [{**row, "other": rows[-n]["text"]} for n, row in enumerate(rows)]
        recurrent["data"][name] = str(write_rows(tmp_path / f"{name}-pairs.jsonl", pairs))
    return recurrent | {"task": {"text_pair": "other"}}


@pytest.mark.parametrize("pairs", [False, True])
def test_the_configuration_is_filled_in_from_tokenizer_and_rows(pairs: bool, encoder_folder: Path) -> None:
    tokenizer = load_tokenizer(str(encoder_folder))
    student = new_student(Student(config=TINY), None, ["a", "b"], tokenizer, pairs=pairs)
    assert isinstance(student, BiLstmForSequenceClassification)
    assert student.head_is_new
    config = student.config
    assert (config.vocab_size, config.texts) == (len(tokenizer), 2 if pairs else 1)
    assert config.framing_ids == [tokenizer.cls_token_id, tokenizer.sep_token_id]
    assert config.separator_id == tokenizer.sep_token_id
    texts = (["a card"], ["an euro"]) if pairs else (["a card"],)
    inputs = tokenizer(*texts, return_tensors="pt")
    assert student(inputs["input_ids"], inputs["attention_mask"]).logits.shape == (1, 2)


def test_it_can_begin_with_the_teachers_word_embeddings(encoder_folder: Path) -> None:
    labels, tokenizer = ["a", "b"], load_tokenizer(str(encoder_folder))
    teacher = load_classifier(str(encoder_folder), labels=labels)
    section = Student.model_validate({"config": TINY | {"embedding_size": 32}, "word_embeddings": "pca"})
    student = new_student(section, teacher, labels, tokenizer)
    assert student.get_input_embeddings().weight.equal(teacher.get_input_embeddings().weight)


def test_what_is_no_student(encoder_folder: Path) -> None:
    tokenizer = load_tokenizer(str(encoder_folder))
    for change, options, said in [
        ({"hiden_size": 3}, {}, "hiden_size"),
        ({"num_hidden_layers": 2}, {}, "has no such field"),
        ({"hidden_size": 0}, {}, "at least 1"),
        ({}, {"head": "tokens"}, "labels whole texts, not words"),
        ({}, {"pooling": "mean"}, "Leave pooling out"),
    ]:
        with pytest.raises(ConfigError, match=said):
            new_student(Student(config=TINY | change), None, ["a", "b"], tokenizer, **options)


@pytest.mark.parametrize("kind", ["recurrent", "of_pairs"])
def test_its_memory_is_planned(kind: str, request: pytest.FixtureRequest) -> None:
    config = run_config(request.getfixturevalue(kind))
    assert isinstance(config, RunConfig)
    plan = plan_memory(config, available=1e12)
    (training,) = [phase for phase in plan.phases if phase.name == "training the student"]
    found = {item.name: item.bytes for item in training.items}
    labels = read_rows(config).labels
    tokenizer = load_tokenizer(config.teacher.model or "")
    student = new_student(config.student, None, labels, tokenizer, pairs=kind == "of_pairs")
    parameters = sum(parameter.numel() for parameter in student.parameters())
    assert found["student's weights"] == 4 * parameters
    assert found["student's activations"] > 0


@pytest.mark.parametrize("recipe", ["pkd", "tinybert", "mobilebert", "minilm", "minilm_v2", "ad_kd", "ted"])
def test_recipes_on_layers_are_refused_before_anything_is_trained(recipe: str, recurrent: dict[str, Any]) -> None:
    with pytest.raises(LimbeckError, match=r"same width|student 0|does not give one|recurrent models none"):
        package.distill(**recurrent | {"recipe": recipe})
    assert not list(Path(recurrent["output"]).rglob("*.safetensors"))


def test_the_doctor_knows_it(recurrent: dict[str, Any]) -> None:
    found = {finding.check: finding for finding in examine(run_config(recurrent), SilentProgress())}
    assert all(finding.level != "fault" for finding in found.values()), found
    assert "student 1 x 10" in found["layers"].message


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["recurrent", "of_pairs"])
def test_a_run_leaves_a_student_that_all_commands_read(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, limbeck: Command, light: None
) -> None:
    sections = request.getfixturevalue(kind)
    sections["training"] |= {"max_steps": 60, "learning_rate": 1e-2}
    sections["teacher"]["fine_tune"]["fit_head"] = False  # a head fitted to random features has enormous logits
    file = tmp_path / "run.yaml"
    file.write_text(json.dumps(sections), encoding="utf-8")
    code, _, said = limbeck("distill", str(file))
    assert code == 0, said
    run = Path(sections["output"])
    losses = [
        line["loss"]
        for line in map(json.loads, (run / "log.jsonl").read_text(encoding="utf-8").splitlines())
        if line["system"] == "distilled"
    ]
    assert losses[-1] < 0.7 * losses[0]
    student = run / "student"
    assert isinstance(load_classifier(str(student)), BiLstmForSequenceClassification)
    assert not list(student.rglob("*.py"))
    card = (student / "README.md").read_text(encoding="utf-8")
    assert "library_name: limbeck" in card
    assert "(1 layer, " in card  # none of the teacher's
    assert "Predictor(" in card
    test = sections["data"]["test"]
    code, answered, said = limbeck("predict", str(student), test)
    assert code == 0, said
    found = [json.loads(line)["label"] for line in answered.splitlines()]
    kept = np.load(run / "predictions" / "distilled-seed0.npy").argmax(axis=-1)
    assert found == [Predictor(str(student)).labels[n] for n in kept]
    assert limbeck("evaluate", str(student), test)[0] == 0
    code, _, said = limbeck("calibrate", str(student), test)
    assert code == 0, said


@pytest.mark.slow
def test_an_interrupted_run_ends_with_the_same_weights(recurrent: dict[str, Any], tmp_path: Path, light: None) -> None:
    recurrent["recipe"] = {"name": "distilbilstm", "logit_weight": 0.5}
    package.distill(**recurrent)
    expected = load_file(tmp_path / "run" / "student" / "model.safetensors")
    recurrent["output"] = str(tmp_path / "interrupted")
    for advances in (30, 9, 12, 5):
        try:
            package.distill(**recurrent, progress=InterruptAfter(advances))
        except KeyboardInterrupt:
            continue
        break
    package.distill(**recurrent)
    found = load_file(tmp_path / "interrupted" / "student" / "model.safetensors")
    assert all(tensor.equal(found[name]) for name, tensor in expected.items())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["regression", "multi_label"])
def test_other_kinds_of_task(kind: str, recurrent: dict[str, Any], tmp_path: Path, light: None) -> None:
    answers: dict[str, Callable[[int], dict[str, Any]]] = {
        "regression": lambda n: {"text": f"my card {n}", "value": n / 3},
        "multi_label": lambda n: {"text": f"my card {n}", "labels": ["card", "money"][: n % 3]},
    }
    rows = write_rows(tmp_path / "rows.jsonl", [answers[kind](n) for n in range(40)])
    del recurrent["simple_baselines"]
    package.distill(**recurrent | {"task": {"kind": kind}, "data": {"train": str(rows)}})
    student = load_classifier(str(Path(recurrent["output"]) / "student"))
    assert isinstance(student, BiLstmForSequenceClassification)
