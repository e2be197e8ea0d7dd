"""Whole runs of masked language models: every recipe, what a student is good for, and what a run refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.evaluation.measured import value
from tests.runs.interruption import StopAfter
from tests.tasks.masked_lm.masked_models import (
    TINY,
    make_model,
    make_tokenizer,
    masked_sections,
    save,
    texts,
    write_texts,
)

import limbeck
from limbeck.errors import ConfigError, LimbeckError, ModelError
from limbeck.models.load import load_masked_lm
from limbeck.results import Results
from limbeck.runs.config import run_config
from limbeck.runs.predict import load
from limbeck.tasks.options import checked_options
from limbeck.tasks.table import task_of_kind
from limbeck.types import SilentProgress


@pytest.fixture
def sections(tmp_path: Path) -> dict[str, Any]:
    return masked_sections(tmp_path)


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "student" / "model.safetensors")


def evaluate(student: Path, data: str, **options: Any) -> Results:
    saved = load(str(student))
    return saved.evaluate(data, checked_options(saved.evaluate_options, options, ""), SilentProgress())


@pytest.mark.slow
@pytest.mark.usefixtures("light")
def test_distilbert_from_text_to_a_classifier(sections: dict[str, Any], tmp_path: Path) -> None:
    """Plain text makes a small encoder with its head; a classification run begins with it."""
    sections["training"] |= {"max_steps": 40, "early_stopping": {"eval_steps": 20}}
    results = limbeck.distill(**sections)
    run = Path(sections["output"])
    assert results.kind == "masked_lm"
    assert value(results, "distilled", "nll") < value(results, "student_init", "nll")
    assert value(results, "distilled", "kl") < value(results, "student_init", "kl")
    assert {figure.system for figure in results.figures} == {"teacher", "student_init", "fine_tune", "distilled"}
    assert results.verdict[0].startswith("The student's loss per masked token is ")
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text("utf-8").splitlines()]
    of_student = [line for line in lines if line["system"] == "distilled" and "loss" in line]
    assert of_student[-1]["loss"] < of_student[0]["loss"]
    assert {"term/soft_targets", "term/labels", "term/cosine"} <= of_student[0].keys()
    assert any("dev/loss" in line for line in lines)

    student = load_masked_lm(str(run / "student"))
    assert type(student).__name__ == "BertForMaskedLM"
    assert student.config.num_hidden_layers == 1
    measured = evaluate(run / "student", sections["data"]["test"], against=sections["teacher"]["model"])
    for system in ("distilled", "teacher"):
        assert value(measured, system, "nll") == pytest.approx(value(results, system, "nll"), rel=1e-5)
    assert value(measured, "distilled", "kl") == pytest.approx(value(results, "distilled", "kl"), rel=1e-4)
    assert "fill-mask" in (run / "student" / "README.md").read_text("utf-8")

    rows = [{"text": text, "label": text[0]} for text in texts(60, seed=3)]
    files = {"train": tmp_path / "labelled.jsonl", "test": tmp_path / "held-out.jsonl"}
    for part, file in zip((rows[:40], rows[40:]), files.values(), strict=True):
        file.write_text("".join(json.dumps(row) + "\n" for row in part), encoding="utf-8")
    tuned = limbeck.distill(
        data={name: str(file) for name, file in files.items()},
        teacher={"model": sections["teacher"]["model"], "fine_tune": {"max_steps": 10, "learning_rate": 5e-3}},
        student={"model": str(run / "student")},
        recipe={"name": "fine_tune"},
        training={"max_steps": 30, "learning_rate": 5e-3, "batch_size": 20},
        baselines=[],
        simple_baselines=False,
        speed=False,
        output=str(tmp_path / "tuned"),
    )
    assert value(tuned, "distilled", "accuracy") > 0.6
    before, after = weights(run), weights(tmp_path / "tuned")
    name = "bert.embeddings.word_embeddings.weight"
    assert torch.nn.functional.cosine_similarity(before[name].flatten(), after[name].flatten(), dim=0) > 0.5


@pytest.mark.slow
@pytest.mark.usefixtures("light")
@pytest.mark.parametrize(
    ("recipe", "stages"),
    [
        ("fine_tune", ["fine_tune"]),
        ({"name": "kd", "label_weight": 0.0}, ["kd"]),
        ({"name": "distilbert", "soft_targets_at": "masks"}, ["distilbert"]),
        ({"name": "tinybert", "layer_map": "cka"}, ["intermediate", "prediction"]),
        ({"name": "mobilebert", "layers": 2}, ["layer_1", "layer_2", "distillation"]),
        ("minilm", ["relations", "kd"]),
        ("minilm_v2", ["relations", "kd"]),
    ],
    ids=str,
)
def test_every_recipe_for_this_kind(recipe: Any, stages: list[str], tmp_path: Path) -> None:
    student = {"config": {**TINY, "num_hidden_layers": max(1, len(stages) - 1)}}
    sections = masked_sections(tmp_path, recipe=recipe, student=student, baselines=[])
    sections["task"] |= {"frequency_exponent": -0.7, "mask_fraction": 0.3}
    results = limbeck.distill(**sections)
    assert [cost.stage for cost in results.costs] == stages
    assert any(one.kind == "layer_map" for one in results.sections) == (stages[0] == "intermediate")
    assert value(results, "distilled", "nll") < value(results, "student_init", "nll")


@pytest.mark.slow
@pytest.mark.usefixtures("light")
def test_micro_batches_change_nothing_and_a_restart_not_a_bit(tmp_path: Path) -> None:
    """More steps than fit into a pass, so that masks are drawn anew."""
    training = {"max_steps": 8, "batch_size": 16, "learning_rate": 1e-2, "optim": "sgd", "dropout": 0.0,
                "log_every": 1, "checkpoints": 8}  # fmt: skip
    runs = {}
    for name, changes in {"whole": {}, "split": {"micro_batch_size": 4}, "stopped": {}}.items():
        output = str(tmp_path / name)
        sections = masked_sections(tmp_path, training=training | changes, baselines=[], output=output)
        if name == "stopped":
            with pytest.raises(KeyboardInterrupt):
                limbeck.distill(**sections, progress=StopAfter(5))
            assert list(Path(output).glob("stages/**/checkpoints/*"))
        limbeck.distill(**sections)
        runs[name] = weights(Path(output))
    for name, tensor in runs["whole"].items():
        assert torch.equal(runs["stopped"][name], tensor), name
        torch.testing.assert_close(runs["split"][name], tensor, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.usefixtures("light")
def test_a_teacher_is_trained_first_and_a_rate_is_searched(tmp_path: Path) -> None:
    untrained = save(make_model(3), tmp_path / "untrained")
    fine_tune = {"max_steps": 120, "learning_rate": 1e-2, "batch_size": 24}
    sections = masked_sections(
        tmp_path,
        teacher={"model": untrained, "fine_tune": fine_tune},
        student={"config": {**TINY, "num_hidden_layers": 1}},
        search={"learning_rate": [1e-4, 1e-2]},
    )
    results = limbeck.distill(**sections)
    assert value(results, "teacher", "nll") < value(results, "student_init", "nll")
    assert next(iter(results.costs)).system == "teacher"
    with pytest.raises(ModelError, match="it has learnt nothing about these texts"):
        limbeck.distill(**masked_sections(tmp_path, teacher={"model": untrained}, output=str(tmp_path / "other")))


def opened(sections: dict[str, Any]) -> Any:
    config = run_config(sections)
    task = task_of_kind("masked_lm")
    return task.open(config, task.read(config, None), Path(config.output), SilentProgress())


def test_stages_on_states_read_whole_texts_and_others_have_masks(tmp_path: Path) -> None:
    run = opened(masked_sections(tmp_path, recipe="minilm_v2", student={"from_teacher": {"layers": [1]}}))
    main = next(system for system in run.systems(0) if system.role == "main")
    student = run.model(main, 0)
    masks = []
    for planned in main.stages:
        stage = run.stage(main, planned, 0, student)
        numbers = next(stage.sequences.micro_batches(1))
        inputs = stage.make_batch(numbers)["student"]["input_ids"]
        masks.append(int((inputs == make_tokenizer().mask_token_id).sum()))
    assert masks[0] == 0 < masks[1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recipe": "gkd"}, "recipe 'gkd' is for generation runs .*, not for masked-language-modelling runs"),
        ({"recipe": "pkd"}, "not for masked-language-modelling runs"),
        ({"task": {"kind": "mlm"}}, "here it is called 'masked_lm'"),
        ({"task": {"kind": "masked_lm", "mask_fraction": 1.0}}, "task.mask_fraction"),
        ({"task": {"kind": "masked_lm", "frequency_exponent": 0.7}}, "task.frequency_exponent"),
        ({"recipe": {"name": "distilbert", "soft_targets_at": "some"}}, "soft_targets_at"),
    ],
)
def test_run_files_that_are_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        run_config(masked_sections(tmp_path, **changes))


def other_words(folder: Path) -> str:
    tokenizer = make_tokenizer.__wrapped__()
    tokenizer.add_tokens(["more"])
    return save(make_model(vocab_size=26), folder, tokenizer)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: {"teacher": {"model": save(make_model().bert, folder / "bare")}},
         "lacks trained weights for AutoModelForMaskedLM"),
        (lambda folder: {"student": {"model": other_words(folder / "other")}},
         r"1 tokens are only the student's \('more' = 25\). Losses of masked tokens need one tokenizer"),
        (lambda folder: {"student": {"config": {**TINY, "hidden_size": 8}}}, "must have the same width"),
        (lambda folder: {"student": {"from_teacher": {"layers": [3]}}}, "the teacher has layers 1 to 2"),
        (lambda folder: {"training": {"max_length": 33}}, "max_length 33 is more than the 32 tokens"),
        (lambda folder: {"training": {"max_length": 2}}, "leaves no room for text"),
        (lambda folder: {"data": {"train": write_texts(folder / "odd.jsonl", ["xyz"] * 20)}},
         "none of the 18 texts has a token that can be masked"),
        (lambda folder: {"data": {"train": write_texts(folder / "odd.jsonl", ["ba be"] * 20, "words")}}, "'text'"),
    ],
)  # fmt: skip
def test_runs_that_are_refused_before_training(make: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(LimbeckError, match=message):
        opened(masked_sections(tmp_path, **make(tmp_path)))


def test_a_causal_model_is_no_teacher(tmp_path: Path) -> None:
    model = make_model(model_type="bert", is_decoder=True)
    with pytest.raises(ModelError, match=r"For others use task\.kind: generation with task\.text"):
        opened(masked_sections(tmp_path, teacher={"model": save(model, tmp_path / "causal")}))


def test_store_and_plan_say_why_they_are_not_for_it(sections: dict[str, Any]) -> None:
    config, task = run_config(sections), task_of_kind("masked_lm")
    with pytest.raises(ConfigError, match="every pass over the texts has new masks"):
        task.fill_store(config, SilentProgress())
    with pytest.raises(ConfigError, match="limbeck plan is for models with a head on top, not for masked"):
        task.plan(config, None)
