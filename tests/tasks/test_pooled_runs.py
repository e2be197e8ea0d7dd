"""Runs whose models are sentence encoders, and students of some layers of any model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.conftest import as_sentence_encoder
from tests.runs.interruption import InterruptAfter
from tests.tasks.conftest import write_rows

import limbeck
from limbeck.errors import ConfigError
from limbeck.intact import file_mark
from limbeck.models.load import load_classifier, load_config, load_tokenizer, save_model
from limbeck.models.pooled_classifier import PooledClassifier, pooling_in, pooling_named
from limbeck.runs.config import run_config
from limbeck.tasks.classification.calibrate_saved import fold
from limbeck.tasks.classification.config import RunConfig
from limbeck.tasks.classification.memory import plan_memory
from limbeck.tasks.classification.predict import Predictor
from limbeck.tasks.classification.rows import start_teacher
from limbeck.types import Origin, Rows


@pytest.fixture
def of_sentences(sections: dict[str, Any], sentence_encoder_folder: Path) -> dict[str, Any]:
    """The small run with a sentence encoder as its teacher."""
    sections["teacher"]["model"] = str(sentence_encoder_folder)
    return sections


def texts_of(file: str) -> list[str]:
    return [json.loads(line)["text"] for line in Path(file).read_text(encoding="utf-8").splitlines()]


def logits_of(folder: Path, texts: list[str]) -> Any:
    origin = [Origin("", i + 1) for i in range(len(texts))]
    return Predictor(str(folder)).logits(Rows(texts, None, [None] * len(texts), origin))


def encoded_by_sentence_transformers(folder: Path, texts: list[str]) -> Any:
    library = pytest.importorskip("sentence_transformers")
    return library.SentenceTransformer(str(folder), device="cpu").encode(texts)


def limit_of(student: Path) -> int:
    """Return the longest row in tokens as Sentence Transformers finds it."""
    limit: int = json.loads((student / "sentence_bert_config.json").read_text(encoding="utf-8"))["max_seq_length"]
    return limit


def marks(run: Path) -> dict[str, str]:
    return {str(file.relative_to(run)): file_mark(file) for file in sorted(run.rglob("*.safetensors"))}


@pytest.mark.slow
def test_teacher_and_student_read_the_mean_and_sentence_transformers_reads_the_student(
    of_sentences: dict[str, Any], light: None
) -> None:
    limbeck.distill(**of_sentences)
    run = Path(of_sentences["output"])
    (of_teacher,) = run.glob("stages/01-teacher-*/model")
    teacher, student = load_classifier(str(of_teacher)), load_classifier(str(run / "student"))
    assert isinstance(teacher, PooledClassifier)
    assert isinstance(student, PooledClassifier)
    texts = texts_of(of_sentences["data"]["test"])
    found = logits_of(run / "student", texts)
    np.testing.assert_allclose(encoded_by_sentence_transformers(run / "student", texts), found, atol=1e-5)
    np.testing.assert_allclose(np.load(run / "predictions" / "distilled-seed0.npy"), found, atol=1e-5)
    assert limit_of(run / "student") == json.loads((run / "student" / "task.json").read_text("utf-8"))["max_length"]
    assert "SentenceTransformer(" in (run / "student" / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("adapter", [None, {"kind": "lora", "rank": 2}])
def test_an_interrupt_at_any_step_changes_nothing_in_the_end(
    adapter: dict[str, Any] | None, of_sentences: dict[str, Any], tmp_path: Path, light: None
) -> None:
    of_sentences["student"]["adapter"] = adapter
    limbeck.distill(**of_sentences)
    expected = marks(Path(of_sentences["output"]))
    assert "student/2_Dense/model.safetensors" in expected
    of_sentences["output"] = str(tmp_path / "interrupted")
    for advances in (1, 9, 20, 29, 34, 4, 7, 11, 3):
        try:
            limbeck.distill(**of_sentences, progress=InterruptAfter(advances))
        except KeyboardInterrupt:
            continue
        break
    (head,) = (tmp_path / "interrupted").glob("stages/01-*/model/2_Dense/model.safetensors")
    head.write_bytes(head.read_bytes()[:-3])  # as after a power cut
    limbeck.distill(**of_sentences)
    assert marks(tmp_path / "interrupted") == expected


@pytest.mark.slow
def test_a_student_of_transformers_own_class_learns_from_it(of_sentences: dict[str, Any], light: None) -> None:
    from transformers import AutoModelForSequenceClassification

    of_sentences["student"]["pooling"] = "pooler"
    limbeck.distill(**of_sentences)
    folder = Path(of_sentences["output"]) / "student"
    assert pooling_named(load_config(str(folder))) is None
    _, info = AutoModelForSequenceClassification.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"]
    assert not (folder / "modules.json").exists()


@pytest.mark.slow
def test_a_column_can_have_a_student_of_some_layers(
    sections: dict[str, Any], sentence_encoder_folder: Path, tmp_path: Path, light: None
) -> None:
    rows = [json.loads(line) for line in Path(sections["data"]["train"][0]).read_text(encoding="utf-8").splitlines()]
    sections["data"]["train"] = str(write_rows(tmp_path / "a.jsonl", [{**row, "llm": row["label"]} for row in rows]))
    sections["teacher"] = {"labels_from": "llm"}
    sections["student"] = {"model": str(sentence_encoder_folder), "layers": "uniform", "keep": 2}
    results = limbeck.distill(**sections)
    student = load_classifier(str(Path(sections["output"]) / "student"))
    assert isinstance(student, PooledClassifier)
    assert student.config.num_hidden_layers == 2
    assert next(system.layers for system in results.systems if system.name == "distilled") == 2


@pytest.mark.slow
def test_numbers_stay_in_the_users_units(
    encoder: Path, valued: Callable[..., Path], tmp_path: Path, light: None
) -> None:
    folder = as_sentence_encoder(encoder, tmp_path / "sentences")
    training = {"num_train_epochs": 8, "learning_rate": 3e-3, "batch_size": 16}
    for pooling in ("auto", "first"):  # a copied head, and a new one
        run = tmp_path / pooling
        limbeck.distill(
            task={"kind": "regression", "value": "price"},
            data={"train": str(valued("train", 200)), "test": str(valued("test", 40, start=1000))},
            teacher={"model": str(folder), "fine_tune": training},
            student={"from_teacher": {"keep": 2}, "pooling": pooling},
            recipe="kd",
            training=training,
            output=str(run),
        )
        texts = texts_of(str(tmp_path / "test.jsonl"))
        theirs = encoded_by_sentence_transformers(run / "student", texts)
        np.testing.assert_allclose(theirs[:, 0], np.load(run / "predictions" / "distilled-seed0.npy")[:, 0], rtol=1e-4)
        assert 150_000 < theirs.mean() < 350_000
        assert (
            limit_of(run / "student") == json.loads((run / "student" / "task.json").read_text("utf-8"))["max_length"]
        )


def test_the_temperature_folds_into_the_head(sentence_encoder_folder: Path, tmp_path: Path) -> None:
    student, texts = tmp_path / "student", ["my card is lost", "what is the exchange rate"]
    model = load_classifier(str(sentence_encoder_folder), labels=["a", "b"])
    save_model(model, load_tokenizer(str(sentence_encoder_folder)), student)
    (student / "calibration.json").write_text('{"temperature": 2.5}', encoding="utf-8")
    expected = logits_of(student, texts) / 2.5
    assert fold(str(student), tmp_path / "copy") == 2.5
    np.testing.assert_allclose(logits_of(tmp_path / "copy", texts), expected, atol=1e-6)


@pytest.mark.parametrize(("pooling", "how"), [("auto", "mean"), ("first", "first"), ("pooler", "pooler")])
def test_a_teacher_that_is_trained_reads_as_told(pooling: str, how: str, of_sentences: dict[str, Any]) -> None:
    of_sentences["teacher"]["pooling"] = pooling
    config = run_config(of_sentences)
    assert isinstance(config, RunConfig)
    assert pooling_in(start_teacher(config, ["a", "b"])[0]) == how


@pytest.mark.slow
def test_the_memory_plan_is_of_the_models_of_the_run(of_sentences: dict[str, Any]) -> None:
    plan = plan_memory(run_config(of_sentences), available=1e12)  # type: ignore[arg-type]
    found = {item.name: item.bytes for phase in plan.phases for item in phase.items}
    teacher = load_classifier(of_sentences["teacher"]["model"], labels=["a", "b", "c", "d"])
    assert isinstance(teacher, PooledClassifier)
    assert found["teacher's weights"] == 4 * sum(p.numel() for p in teacher.parameters())
    layer = sum(p.numel() for p in teacher.encoder.encoder.layer[0].parameters())
    assert found["student's optimiser"] == 8 * (found["teacher's weights"] / 4 - 2 * layer)


@pytest.mark.parametrize(
    ("section", "values", "said"),
    [
        ("teacher", {"model": "a", "pooling": "mean"}, "pooling is for a teacher with fine_tune"),
        ("student", {"model": "a", "head": "verbaliser", "pooling": "mean"}, "pooling is for head: linear"),
        ("student", {"model": "a", "pooling": "max"}, "student.pooling"),
    ],
)
@pytest.mark.usefixtures("light")
def test_pooling_where_nothing_is_pooled_is_refused(
    section: str, values: dict[str, Any], said: str, sections: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match=said):
        run_config({**sections, section: values})


@pytest.mark.parametrize("section", ["teacher", "student"])
def test_entities_are_not_pooled(section: str, sections: dict[str, Any]) -> None:
    sections["task"] = {"kind": "token_classification", "words": "tokens", "tags": "tags"}
    sections.pop("simple_baselines")
    sections[section]["pooling"] = "mean"
    with pytest.raises(ConfigError, match=rf"{section}\.pooling is for one answer a text"):
        run_config(sections)
