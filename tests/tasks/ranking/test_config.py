"""Cross-lingual run files: what is filled in, and what is refused with which words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from limbeck.errors import ConfigError
from limbeck.recipes.catalogue import recipe_card
from limbeck.runs.config import load_run_file, run_config
from limbeck.sequences.given import Paired
from limbeck.tasks.ranking.config import LanguageRunConfig

GOOD = """\
task:
  kind: ranking
  languages: [bul_Cyrl, de]
  high_resource: [deu_Latn]
data:
  sets:
    - {layout: rows, folder: sets/topics}
  shots: [128, 0, 16]
backbone: {model: org/encoder}
prompts: {levels: T+L}
recipe: {name: ml_ipd, confidence_threshold: 0.4}
training:
  source: {num_train_epochs: 1}
  distillation: {batch_size: 16}
output: runs/topics
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def load(tmp_path: Path, text: str = GOOD, *overrides: str) -> LanguageRunConfig:
    config = load_run_file(write(tmp_path, text), overrides)
    assert isinstance(config, LanguageRunConfig)
    return config


def fault(tmp_path: Path, text: str, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_run_file(write(tmp_path, text), overrides)
    return str(caught.value)


def test_a_short_run_file_gets_sensible_defaults(tmp_path: Path) -> None:
    config = load(tmp_path)
    assert config.task.languages == ["bg", "de"]  # our codes, whatever the set's are
    assert config.task.high_resource == ["de"]
    assert config.data.shots == [0, 16, 128]
    assert [recipe.key for recipe in config.recipes()] == ["ml_ipd", "ml_dft", "pl_bl", "rl_ia", "transfer"]
    assert config.recipe.arguments == {
        **recipe_card("ml_ipd").defaults,
        "confidence_threshold": 0.4,
    }  # every argument is spelled out
    assert config.baselines[2].arguments["entropy_weight"] == 0.01
    assert (config.backbone.scorer, config.backbone.max_length) == ("auto", 256)
    source, distillation, target = (getattr(config.training, s) for s in ("source", "distillation", "target"))
    assert (source.learning_rate, distillation.learning_rate, target.learning_rate) == (1e-5, 5e-6, 5e-6)
    assert (source.num_train_epochs, distillation.num_train_epochs, target.num_train_epochs) == (1, 2, 5)
    assert (source.batch_size, distillation.batch_size) == (64, 16)
    assert source.prompt_learning_rate == distillation.prompt_learning_rate == target.prompt_learning_rate == 1e-3


def test_the_same_words_in_python() -> None:
    config = run_config({
        "task": {"kind": "ranking", "languages": ["bg"]},
        "data": {"sets": [{"layout": "rows", "folder": "x"}], "shots": 4},
        "backbone": {"model": "m"}, "prompts": "none", "recipe": "ml_ipd", "baselines": ["transfer"], "output": "o",
    })  # fmt: skip
    assert isinstance(config, LanguageRunConfig)
    assert config.data.shots == [4]
    assert config.prompts.levels == "none"
    assert config.recipe.arguments["confidence_threshold"] == 0.5
    assert [recipe.name for recipe in config.baselines] == ["transfer"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("prompts: none", ("none", "both")),
        ("prompts: {levels: T}", ("T", "both")),
        ("prompts: {form: hard}", ("T+L", "hard")),
    ],
)
def test_an_ablation_of_the_prompts_is_one_line(tmp_path: Path, line: str, expected: tuple[str, str]) -> None:
    config = load(tmp_path, GOOD.replace("prompts: {levels: T+L}", line))
    assert (config.prompts.levels, config.prompts.form) == expected


def test_an_ablation_of_the_recipe_is_one_line(tmp_path: Path) -> None:
    config = load(tmp_path, GOOD.replace("{name: ml_ipd, confidence_threshold: 0.4}", "{pairing: same, name: ml_ipd}"))
    assert config.recipe.build().part(Paired) == Paired("same", 0.5)
    assert load(tmp_path, GOOD, "recipe.pairing=mixed").recipe.arguments["pairing"] == "mixed"


def test_set_overrides_any_value(tmp_path: Path) -> None:
    config = load(tmp_path, GOOD, "training.target.max_steps=7", "data.shots=2", "task.languages=[sk, sw]",
                  "task.high_resource=[]", "baselines=[]")  # fmt: skip
    assert config.training.target.max_steps == 7
    assert config.data.shots == [2]
    assert config.task.languages == ["sk", "sw"]
    assert config.baselines == []


def test_options_of_a_layout_are_kept(tmp_path: Path) -> None:
    (one,) = load(
        tmp_path, GOOD.replace("folder: sets", "characters: 300, test_in: {sk: dev}, folder: sets")
    ).data.sets
    assert one.options == {"characters": 300}
    assert one.test_in == {"sk": "dev"}


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("bul_Cyrl", "bulg", 3, "'bulg' is none of the"),
        ("bul_Cyrl", "xx", 3, "Expected an ISO 639-1 or 639-3 code or one of FLORES"),
        ("bul_Cyrl", "en", 1, "the source language 'en' cannot be a target language too"),
        ("bul_Cyrl", "ger", 3, "'ger' is none of the"),
        ("bul_Cyrl", "deu", 3, "given twice: de"),
        ("[deu_Latn]", "[sk]", 1, "high_resource names languages that are no targets: sk"),
        ("[bul_Cyrl, de]", "[]", 3, "should have at least 1 item"),
        ("layout: rows", "layout: row", 7, "no layout 'row'; did you mean 'rows'"),
        ("folder: sets", "test: train, folder: sets", 7, "Input should be 'dev' or 'test' (got 'train')"),
        ("folder: sets", "test_in: {sk: train}, folder: sets", 7, "Input should be 'dev' or 'test' (got 'train')"),
        ("folder: sets", "languages: [xx], folder: sets", 7, "'xx' is none of the"),
        ("[128, 0, 16]", "[-1]", 8, "greater than or equal to 0"),
        ("[128, 0, 16]", "[]", 8, "should have at least 1 item"),
        ("[128, 0, 16]", "[many]", 8, "valid integer"),
        ("org/encoder}", "org/encoder, scorer: cross}", 9, "'cross_encoder', 'dual_encoder' or 'auto'"),
        ("org/encoder}", "org/encoder, max_length: 0}", 9, "greater than 0"),
        ("levels: T+L", "levels: TL", 10, "Input should be 'none', 'T', 'L' or 'T+L'"),
        ("{levels: T+L}", "all", 10, "expected one of none, T, L, T+L or a mapping with levels and form, not 'all'"),
        ("levels: T+L", "task_vectors: 100", 10, "less than or equal to 64"),
        ("levels: T+L", "version: 9", 10, "prompts.version"),
        ("levels: T+L", "languages: {sk: ''}", 10, "the text for language 'sk' has 0 characters"),
        ("name: ml_ipd", "name: ml_ip", 11, "unknown recipe 'ml_ip': did you mean 'ml_ipd'"),
        ("confidence_threshold: 0.4", "threshold: 0.4", 11, "recipe.threshold: 'ml_ipd' has no such argument"),
        ("threshold: 0.4", "threshold: 4", 11, "recipe.confidence_threshold: Input should be less than or equal"),
        ("name: ml_ipd, confidence_threshold: 0.4", "name: pkd", 11, "recipe 'pkd' is for classification runs"),
        ("num_train_epochs: 1", "num_train_epoch: 1", 13, "source.num_train_epoch'; did you mean 'num_train_epochs'?"),
        ("num_train_epochs: 1", "batch_size: 0", 13, "greater than 0"),
        ("batch_size: 16", "optim: adam", 14, "Input should be 'adamw' or 'sgd'"),
        (
            "batch_size: 16", "max_length: 64", 12,
            "distillation.max_length: one length holds for all stages; set backbone.max_length",
        ),
        ("distillation:", "distilation:", 14, "unknown key 'training.distilation'; did you mean 'distillation'?"),
        ("backbone:", "backbon:", 9, "unknown key 'backbon'; did you mean 'backbone'?"),
        ("output:", "seeds: [1, 1]\noutput:", 15, "seeds must be different whole numbers from 0 to 4294967295"),
        ("output:", "seeds: [-1]\noutput:", 15, "seeds must be different whole numbers from 0 to 4294967295"),
        ("output:", "baselines: [ml_ipd]\noutput:", 1, "recipe and baselines name a system twice: ml_ipd"),
        ("output:", "baselines: [tranfser]\noutput:", 11, "unknown recipe 'tranfser': did you mean 'transfer'"),
    ],
)  # fmt: skip
def test_faults_have_a_line_and_say_what_to_do(tmp_path: Path, old: str, new: str, line: int, message: str) -> None:
    assert GOOD.count(old) == 1
    said = fault(tmp_path, GOOD.replace(old, new))
    assert message in said
    assert f"run.yaml:{line}: " in said


def test_all_faults_are_shown_at_once(tmp_path: Path) -> None:
    text = (
        GOOD.replace("bul_Cyrl", "xx")
        .replace("confidence_threshold", "confidence_thresholds")
        .replace("rows,", "row,")
        .replace("ng: 16", "ng: 1")
    )
    message = fault(tmp_path, text.replace("num_train_epochs: 1", "num_train_epochs: 0"))
    assert message.startswith("4 faults in the run")
    assert (
        "recipe.confidence_thresholds: 'ml_ipd' has no such argument; did you mean 'confidence_threshold'?" in message
    )
    for line in ("run.yaml:3: ", "run.yaml:7: ", "run.yaml:13: "):
        assert line in message


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    message = fault(tmp_path, "task: {kind: ranking, languages: [bg]}\n")
    for name in ("data", "backbone", "output"):
        assert f"'{name}' is missing" in message


def test_a_section_of_classification_runs_is_unknown_here(tmp_path: Path) -> None:
    assert "unknown key 'teacher'" in fault(tmp_path, GOOD + "teacher: {model: m}\n")


@pytest.mark.parametrize(
    ("given", "most"),
    [({"num_train_epochs": 2}, 8), ({"max_steps": 3, "num_train_epochs": 9}, 3), ({"num_train_epochs": 0.1}, 1)],
)
def test_steps_of_a_stage(given: dict[str, Any], most: int) -> None:
    config = run_config({
        "task": {"kind": "ranking", "languages": ["bg"]},
        "data": {"sets": [{"layout": "rows", "folder": "x"}]}, "backbone": {"model": "m"}, "output": "o",
        "training": {"distillation": {"batch_size": 25, **given}},
    })  # fmt: skip
    assert isinstance(config, LanguageRunConfig)
    assert config.training.distillation.total_steps(100) == most


def test_a_rate_is_a_price_and_a_currency_or_nothing(tmp_path: Path) -> None:
    assert load(tmp_path).rate is None
    rate = load(tmp_path, GOOD + "rate: {per_device_hour: 2.5, currency: EUR}\n").rate
    assert rate is not None
    assert (rate.per_device_hour, rate.currency) == (2.5, "EUR")


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        ("{per_device_hour: 2.5}", "'rate.currency' is missing"),
        ("{per_device_hour: -1, currency: EUR}", "rate.per_device_hour: Input should be greater than 0"),
        ("{per_device_hour: .inf, currency: EUR}", "rate.per_device_hour: Input should be a finite number"),
        ("{per_device_hour: 1, currency: ''}", "rate.currency: String should have at least 1 character"),
    ],
)
def test_a_rate_that_is_no_price(tmp_path: Path, rate: str, words: str) -> None:
    assert words in fault(tmp_path, GOOD + f"rate: {rate}\n")
