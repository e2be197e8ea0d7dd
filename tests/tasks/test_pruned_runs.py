"""Whole runs with a pruned student, of every kind that can have one; what doctor and plan say; what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from tests.conftest import as_sentence_encoder, write_rows
from tests.evaluation.measured import value
from tests.runs.interruption import InterruptAfter, StopAfter
from tests.tasks.generation.text_models import text_sections
from tests.tasks.masked_lm.masked_models import masked_sections

import limbeck
from limbeck.errors import ConfigError
from limbeck.intact import file_mark
from limbeck.models.load import load_classifier, load_language_model, load_masked_lm
from limbeck.runs.config import run_config
from limbeck.runs.examine import examine
from limbeck.students.pruning.units import units_of
from limbeck.tasks.classification.memory import plan_memory
from limbeck.tasks.run_config import Student
from limbeck.types import SilentProgress

PRUNED = {"pruned": {"keep": "half", "hidden": "half", "feed_forward": 40, "rows": 24}}


def marks(run: Path) -> dict[str, str]:
    return {str(file.relative_to(run)): file_mark(file) for file in sorted(run.rglob("*.safetensors"))}


def shape_of(model: Any) -> tuple[int, int, int, int]:
    shape = units_of(model).shape
    return model.config.num_hidden_layers, shape.hidden, shape.heads, shape.feed_forward


@pytest.mark.slow
@pytest.mark.parametrize("pooled", [False, True])
def test_a_classifier_is_pruned_after_the_teacher_is_trained_and_resumes_to_the_same_bits(
    pooled: bool, sections: dict[str, Any], encoder_folder: Path, tmp_path: Path, light: None
) -> None:
    if pooled:
        sections["teacher"]["model"] = str(as_sentence_encoder(encoder_folder, tmp_path / "sentences"))
    sections |= {"student": PRUNED, "recipe": "minima"}
    results = limbeck.distill(**sections)
    run = Path(sections["output"])
    assert shape_of(load_classifier(str(run / "student"))) == (2, 16, 1, 40)
    assert next(system.layers for system in results.systems if system.name == "distilled") == 2
    with np.load(run / "importance.npz") as kept:
        assert kept["neurons_LF"].shape == (4, 64)
        assert (kept["hidden_D"] > 0).all()
    expected = marks(run)
    sections["output"] = str(tmp_path / "interrupted")
    for advances in (30, 40, 52, 60, 7):
        try:
            limbeck.distill(**sections, progress=InterruptAfter(advances))
        except KeyboardInterrupt:
            continue
        break
    limbeck.distill(**sections)
    assert marks(tmp_path / "interrupted") == expected


@pytest.mark.slow
def test_gradual_pruning_resumes_to_the_same_bits(sections: dict[str, Any], tmp_path: Path, light: None) -> None:
    """Masks, scores and moments are in the checkpoints; what is left has the shape of the run file."""
    sections |= {"student": PRUNED, "recipe": {"name": "homodistil", "pruning_ends": 0.7}, "baselines": ["minima"]}
    sections["training"] |= {"log_every": 1, "checkpoints": 12}
    limbeck.distill(**sections)
    run = Path(sections["output"])
    assert shape_of(load_classifier(str(run / "student"))) == (2, 16, 1, 40)
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text("utf-8").splitlines()]
    kept = [line["kept/feed_forward"] for line in lines if line["system"] == "distilled"]
    assert kept == sorted(kept, reverse=True)
    assert kept[-1] == pytest.approx(40 / 64)
    assert len(set(kept)) > 4
    expected = marks(run)
    sections["output"] = str(tmp_path / "interrupted")
    for steps in (4, 3, 2):  # of those that are not yet done; the first while units leave
        with pytest.raises(KeyboardInterrupt):
            limbeck.distill(**sections, progress=StopAfter(steps))
    assert list((tmp_path / "interrupted").glob("stages/*distilled*/checkpoints/checkpoint-*"))
    limbeck.distill(**sections)
    assert marks(tmp_path / "interrupted") == expected


@pytest.mark.slow
def test_gradual_pruning_of_texts_and_masked_words(tmp_path: Path, light: None) -> None:
    pruned = {"pruned": {"hidden": "half", "feed_forward": "half", "rows": 16}}
    for folder, made in ((tmp_path / "texts", text_sections), (tmp_path / "masked", masked_sections)):
        folder.mkdir()
        sections = made(folder) | {"student": pruned, "recipe": "homodistil"}
        limbeck.distill(**sections)
        load = load_language_model if made is text_sections else load_masked_lm
        student, teacher = load(str(Path(sections["output"]) / "student")), load(sections["teacher"]["model"])
        assert shape_of(student)[1] == shape_of(teacher)[1] // 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"student": {"from_teacher": {"keep": 2}}}, "student.pruned does not say what is left of its units"),
        ({"student": {"pruned": {"keep": 2}}}, "student.pruned does not say what is left of its units"),
        ({"student": {**PRUNED, "adapter": {"kind": "lora"}}}, "student.adapter freezes its weights"),
        ({"student": PRUNED, "training": {"early_stopping": {"eval_steps": 2}}}, "weights from before it is done"),
    ],
)
def test_what_cannot_be_pruned_while_it_trains_is_refused(
    changes: dict[str, Any], said: str, sections: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match=said):
        run_config(sections | {"recipe": "homodistil"} | changes)


@pytest.mark.slow
def test_numbers(encoder: Path, valued: Callable[..., Path], tmp_path: Path, light: None) -> None:
    """The student answers in the user's units, and is better than before training."""
    training = {"num_train_epochs": 8, "learning_rate": 3e-3, "batch_size": 16}
    limbeck.distill(
        task={"kind": "regression", "value": "price"},
        data={"train": str(valued("train", 200)), "test": str(valued("test", 40, start=1000))},
        teacher={"model": str(encoder), "fine_tune": training},
        student={"pruned": {"heads": "half", "rows": 32}},
        recipe="minima",
        training=training,
        output=str(tmp_path / "run"),
    )
    found = np.load(tmp_path / "run" / "predictions" / "distilled-seed0.npy")
    assert 150_000 < found.mean() < 350_000
    assert shape_of(load_classifier(str(tmp_path / "run" / "student")))[1:3] == (16, 1)


@pytest.mark.slow
def test_texts(tmp_path: Path, light: None) -> None:
    """A decoder with fewer neurons."""
    sections = text_sections(
        tmp_path, student={"pruned": {"keep": 2, "feed_forward": 40, "rows": 48}}, recipe="minima"
    )
    results = limbeck.distill(**sections)
    run = Path(sections["output"])
    assert shape_of(load_language_model(str(run / "student"))) == (2, 32, 2, 40)
    assert {system.name for system in results.systems} >= {"teacher", "student_init", "distilled"}
    assert (run / "importance.npz").exists()


@pytest.mark.slow
def test_masked_words(tmp_path: Path, light: None) -> None:
    """The head over the vocabulary is cut too, and the student is an encoder like its teacher."""
    sections = masked_sections(tmp_path)
    sections |= {"student": {"pruned": {"hidden": "half", "feed_forward": "half", "rows": 24}}, "recipe": "minima"}
    results = limbeck.distill(**sections)
    teacher, student = (load_masked_lm(str(f)) for f in (sections["teacher"]["model"], tmp_path / "run" / "student"))
    assert type(student) is type(teacher)
    assert shape_of(student)[1] == shape_of(teacher)[1] // 2
    assert value(results, "distilled", "nll") < value(results, "student_init", "nll")


@pytest.mark.slow
def test_the_doctor_and_the_plan_know_the_pruned_student(sections: dict[str, Any], encoder_folder: Path) -> None:
    sections |= {"student": PRUNED, "recipe": "minima"}
    found = {finding.check: finding for finding in examine(run_config(sections), SilentProgress())}
    assert all(finding.level != "fault" for finding in found.values())
    assert "student 2 x 16" in found["layers"].message
    assert not Path(sections["output"]).exists()
    optimiser = {}
    for recipe in ("minima", "homodistil"):
        plan = plan_memory(run_config(sections | {"recipe": recipe}), available=1e12)  # type: ignore[arg-type]
        items = {item.name: item.bytes for phase in plan.phases for item in phase.items}
        optimiser[recipe] = items["student's optimiser"] / items["teacher's optimiser"]
    assert optimiser["minima"] < 0.5
    assert 0.5 < optimiser["homodistil"] < 1  # half of the layers with all their units, and whole embeddings


@pytest.mark.parametrize(
    ("pruned", "said"),
    [
        ({}, "say what is left: keep"),
        ({"rows": 8}, "say what is left: keep"),
        ({"hidden": 0}, "expected a number of units, at least 1, or a share"),
        ({"heads": 1.0}, "expected a number of units"),
        ({"feed_forward": True}, "expected a number of units"),
        ({"hidden": "third"}, "expected a number of units"),
        ({"keep": 2, "rows": 0}, "greater than or equal to 1"),
        ({"keep": 2, "width": 3}, "Extra inputs"),
    ],
)
def test_sections_that_say_nothing_are_refused(pruned: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Student.model_validate({"pruned": pruned})


def test_it_is_one_way_to_make_a_student() -> None:
    with pytest.raises(ValidationError, match="exactly one of from_teacher, pruned, model, config"):
        Student.model_validate({"pruned": {"keep": 2}, "model": "a"})
    assert Student.model_validate({"pruned": {"hidden": 0.5}}).begins_as("teacher") == "teacher"


@pytest.mark.parametrize(
    ("pruned", "said"),
    [
        ({"hidden": 20}, "hidden: 16, heads: 1"),
        ({"keep": 5}, "cannot keep 5 layers of a teacher with 4"),
        ({"feed_forward": 65}, "student.pruned.feed_forward: the teacher has 64"),
    ],
)
def test_widths_that_do_not_fit_end_a_run_before_it_starts(
    pruned: dict[str, Any], said: str, sections: dict[str, Any], light: None
) -> None:
    sections["student"] = {"pruned": pruned}
    with pytest.raises(ConfigError, match=said):
        limbeck.distill(**sections)
    assert not list(Path(sections["output"]).rglob("*.safetensors"))


def test_a_teacher_without_weights_cannot_be_pruned(sections: dict[str, Any]) -> None:
    sections |= {"teacher": {"labels_from": "llm"}, "student": PRUNED}
    with pytest.raises(ConfigError, match=r"no layers or tokenizer to copy; give student\.model"):
        run_config(sections)


def test_numbers_without_gold_values_cannot_show_what_matters(
    encoder: Path, valued: Callable[..., Path], tmp_path: Path
) -> None:
    rows = [json.loads(line) for line in valued("train", 20).read_text("utf-8").splitlines()]
    train = write_rows(tmp_path / "plain.jsonl", [{"text": row["text"]} for row in rows])
    config = {
        "task": {"kind": "regression", "value": "price"},
        "data": {"train": str(train), "test": str(valued("test", 8, start=1000))},
        "teacher": {"model": str(_finished(encoder, tmp_path / "teacher"))},
        "student": {"pruned": {"heads": "half"}},
        "recipe": {"name": "kd", "label_weight": 0},
        "baselines": [],
        "output": str(tmp_path / "run"),
    }
    with pytest.raises(ConfigError, match=r"student.pruned: .* no training row has one"):
        limbeck.distill(**config)


def _finished(encoder: Path, folder: Path) -> Path:
    from limbeck.models.load import load_tokenizer, save_model

    torch.manual_seed(0)
    model = load_classifier(str(encoder), labels=["price"])
    model.config.problem_type = "regression"
    save_model(model, load_tokenizer(str(encoder)), folder)
    return folder
