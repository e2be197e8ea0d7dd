"""The run file of a student that writes: what it may say, and what it may not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from limbeck.errors import ConfigError
from limbeck.runs.config import load_run_file, run_config
from limbeck.tasks.generation.config import TextRunConfig

SECTIONS: dict[str, Any] = {
    "task": {"kind": "generation", "prompt": "question", "completion": "answer"},
    "data": {"train": "rows.jsonl"},
    "teacher": {"model": "large"},
    "student": {"model": "small"},
    "recipe": "gkd",
    "output": "runs/one",
}


def config_of(**changes: Any) -> TextRunConfig:
    config = run_config({**SECTIONS, **changes})
    assert isinstance(config, TextRunConfig)
    return config


def test_a_recipe_by_its_name_gets_its_defaults() -> None:
    config = config_of()
    assert config.recipe.arguments == {
        "on_policy_fraction": 0.5, "beta": 0.5, "fine_tune_fraction": 0.25, "otherwise": "data", "max_new_tokens": 128,
        "temperature": 1.0, "reward": None, "reward_weight": 0.5,
    }  # fmt: skip
    assert config.recipe.build().title == "GKD"
    assert (config.seeds, config.answers.rows, config.teacher.top_k) == ([0], 200, 64)


def test_a_spelled_out_run_is_the_same_run() -> None:
    config = config_of(recipe={"name": "f_distill", "variant": "tvd"})
    assert run_config(config.model_dump()) == config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recipe": {"name": "gkd", "lambda": 0.5}}, "recipe.lambda: 'gkd' has no such argument"),
        ({"recipe": {"name": "gkd", "beta": 2}}, "recipe.beta: Input should be less than or equal to 1 (got 2)"),
        ({"recipe": "gdk"}, "unknown recipe 'gdk': did you mean 'gkd'?"),
        ({"answers": {"metric": "rouge_l"}}, "unknown key 'answers.metric'; did you mean 'metrics'?"),
        ({"answers": {"metrics": ["bleu"]}}, "answers.metrics.0"),
        ({"answers": {"metrics": []}}, "answers.metrics"),
        ({"teacher": {"model": "large", "top_k": 0}}, "teacher.top_k"),
        ({"teacher": {}}, "'teacher.model' is missing"),
        (
            {"teacher": {"model": "large", "engine": "vllm"}},
            "teacher.engine: vllm is for a recipe that trains on completions that the teacher generated beforehand",
        ),
        (
            {"teacher": {"model": "large", "engine": "vllm"}, "recipe": "seqkd"},
            "teacher.engine: vllm samples. Set recipe.decode: sample",
        ),
        ({"task": {"kind": "generation"}}, "give exactly one of prompt (with completion), messages, text"),
        ({"student": {}}, "give exactly one of from_teacher, pruned, model, config (given: none)"),
        ({"seeds": [1, 1]}, "seeds must be different whole numbers"),
        (
            {"teacher": {"model": "large", "precision": "bf16", "fine_tune": {}}},
            "teacher.precision: bf16 is for a teacher that is finished",
        ),
        (
            {"task": {"kind": "generation", "text": "text"}},
            "recipe 'gkd' with these arguments generates completions of prompts, and plain text (task.text) has no "
            "prompts. Use kd",
        ),
        (
            {"recipe": {"name": "distillm", "corpus_weight": 1.0}},
            "trains on plain text in addition to the task, and there is no corpus. Set data.corpus, or "
            "recipe.corpus_weight",
        ),
        (
            {"teacher": {"model": "large", "store": "stores/one"}},
            "generates completions of prompts, and no store holds what the teacher says of those. Leave",
        ),
        (
            {"recipe": "seqkd", "teacher": {"model": "large", "store": "stores/one"}},
            "recipe 'seqkd' with these arguments generates completions of prompts, and no store",
        ),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_what_cannot_be_is_refused_before_anything_is_read(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        config_of(**changes)
    assert message in str(refused.value)


@pytest.mark.parametrize("name", ["kd", "reverse_kl", "fine_tune"])
def test_recipes_on_rows_take_plain_text_and_a_store(name: str) -> None:
    plain = config_of(recipe=name, task={"kind": "generation", "text": "text"})
    assert plain.recipe.build().reads_completions
    assert config_of(recipe=name, teacher={"model": "large", "store": "stores/one"}).teacher.store == "stores/one"


def test_all_faults_are_told_at_once_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    faulty = {**SECTIONS, "recipe": {"name": "kd", "label_wieght": 0.5}, "answers": {"row": 3}}
    path.write_text("".join(f"{name}: {json.dumps(value)}\n" for name, value in faulty.items()), encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        load_run_file(path, ["training.num_train_epoch=2"])
    message = str(refused.value)
    assert f"{path}:7: unknown key 'answers.row'; did you mean 'rows'?" in message
    assert "--set: unknown key 'training.num_train_epoch'; did you mean 'num_train_epochs'?" in message
