"""Words of the Hugging Face trainer and its scripts: the message says the word here, and that word is one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from limbeck.errors import ConfigError
from limbeck.runs.config import load_run_file
from limbeck.tasks.classification.config import RunConfig
from limbeck.tasks.generation.config import TextRunConfig
from limbeck.tasks.ranking.config import LanguageRunConfig
from limbeck.tasks.trainer_words import _WORDS, word_here

GOOD = """\
data: {train: tickets.jsonl}
teacher: {model: org/encoder}
student: {model: org/small}
recipe: kd
output: runs/tickets
"""


def fault(tmp_path: Path, text: str) -> str:
    (tmp_path / "run.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_run_file(tmp_path / "run.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("word", "here"),
    [
        ("per_device_train_batch_size", "training.micro_batch_size"),
        ("gradient_accumulation_steps", "training.micro_batch_size"),
        ("epochs", "training.num_train_epochs"),
        ("max_train_steps", "training.max_steps"),
        ("lr", "training.learning_rate"),
        ("optimiser", "training.optim"),
        ("lr_scheduler_type", "training.schedule"),
        ("warmup_proportion", "training.warmup_ratio"),
        ("fp16", "training.precision: fp16"),
        ("bf16", "training.precision: bf16"),
        ("eval_steps", "training.early_stopping.eval_steps"),
        ("load_best_model_at_end", "training.early_stopping"),
        ("output_dir", "output"),
        ("train_file", "data.train"),
        ("model_name_or_path", "student.model"),
        ("teacher_name_or_path", "teacher.model"),
        ("column", "teacher.labels_from"),
    ],
)
def test_the_word_here_is_said(word: str, here: str, tmp_path: Path) -> None:
    assert f"run.yaml:6: unknown key '{word}'; the word here is {here}" in fault(tmp_path, GOOD + f"{word}: 1\n")
    inside = fault(tmp_path, GOOD + f"training: {{{word}: 1}}\n")
    assert f"run.yaml:6: unknown key 'training.{word}'; the word here is {here}" in inside


def test_the_word_is_that_of_the_section_where_it_is_one(tmp_path: Path) -> None:
    inside = GOOD.replace("{model: org/encoder}", "{model: org/encoder, fine_tune: {epochs: 3}}")
    said = fault(tmp_path, inside)
    assert "'teacher.fine_tune.epochs'; the word here is teacher.fine_tune.num_train_epochs" in said
    assert "the word here is training.num_train_epochs" in fault(tmp_path, GOOD + "epochs: 3\n")


def test_a_setting_in_another_section_is_named_with_its_own(tmp_path: Path) -> None:
    assert "unknown key 'batch_size'; did you mean training.batch_size?" in fault(tmp_path, GOOD + "batch_size: 3\n")
    assert "unknown key 'text'; did you mean task.text?" in fault(tmp_path, GOOD + "text: body\n")
    assert "unknown key 'training.model'; did you mean teacher.model or student.model?" in fault(
        tmp_path, GOOD + "training: {model: m}\n"
    )
    assert "did you mean 'num_train_epochs'" in fault(tmp_path, GOOD + "training: {num_train_epcohs: 3}\n")


@pytest.mark.parametrize(
    ("line", "key", "kind"),
    [
        ("backbone: {model: m}", "backbone", "task.kind: ranking"),
        ("prompts: none", "prompts", "task.kind: ranking"),
        ("answers: {rows: 3}", "answers", "task.kind: generation"),
        ("training: {packing: true}", "training.packing", "task.kind: generation"),
        ("task: {prompt: q, completion: a}", "task.completion", "task.kind: generation"),
        ("task: {kind: generation, prompt: q, label: a}", "task.label", "task.kind: classification (the default)"),
    ],
)
def test_a_key_of_another_kind_of_run_is_said_to_be_one(line: str, key: str, kind: str, tmp_path: Path) -> None:
    assert f"unknown key '{key}'; it belongs to runs with {kind}" in fault(tmp_path, GOOD + line + "\n")


@pytest.mark.parametrize("model", [RunConfig, LanguageRunConfig, TextRunConfig])
def test_every_word_that_is_said_is_a_key_of_such_a_file(model: type[RunConfig]) -> None:
    for word in _WORDS:
        said = word_here(word, model)
        for path in re.findall(r"\b(?:training|data|task|student|teacher|backbone)(?:\.[a-z_]+)+", said):
            section, *rest = path.split(".")
            kind = model.model_fields[section].annotation
            for name in rest:
                assert name in kind.model_fields, f"{word}: {said}"  # type: ignore[union-attr]
                kind = kind.model_fields[name].annotation  # type: ignore[union-attr]
                kind = next((part for part in get_args(kind) if hasattr(part, "model_fields")), kind)


def test_what_best_weights_are_judged_by_is_a_choice_for_classifiers_alone() -> None:
    assert "metric_for_best_model" in word_here("metric_for_best_model", RunConfig)
    assert word_here("metric_for_best_model", TextRunConfig) == ""
    assert "training.early_stopping.eval_steps" in word_here("eval_steps", TextRunConfig)
    assert word_here("eval_steps", LanguageRunConfig) == ""


def test_a_kind_without_labels_of_a_teacher_is_not_sent_to_them() -> None:
    assert word_here("column", RunConfig).startswith("the word here is teacher.labels_from")
    assert word_here("column", TextRunConfig) == ""
    assert word_here("column", LanguageRunConfig) == ""
