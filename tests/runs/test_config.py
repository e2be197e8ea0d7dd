from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from limbeck.errors import ConfigError
from limbeck.runs.config import load_run_file, run_config

GOOD = """\
data: {train: tickets.jsonl}
teacher:
  model: org/encoder
  fine_tune: {num_train_epochs: 3}
student: {from_teacher: {layers: spread, keep: 3}}
recipe: {name: pkd, loss_temperature: 4}
output: runs/tickets
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def fault(tmp_path: Path, text: str, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_run_file(write(tmp_path, text), overrides)
    return str(caught.value)


def test_a_short_run_file_gets_sensible_defaults(tmp_path: Path) -> None:
    config = load_run_file(write(tmp_path, GOOD))
    assert config.training.batch_size == 32
    assert config.seeds == [0]
    assert [baseline.name for baseline in config.baselines] == ["fine_tune"]
    assert config.recipe.arguments["hint_weight"] == 100.0  # every argument is spelled out
    assert config.recipe.arguments["loss_temperature"] == 4


def test_the_same_words_in_python() -> None:
    config = run_config({"data": {"train": "a.jsonl"}, "teacher": {"model": "m"}, "student": {"model": "s"},
                         "recipe": "kd", "output": "runs/x"})  # fmt: skip
    assert config.recipe.name == "kd"


def test_set_overrides_any_value(tmp_path: Path) -> None:
    config = load_run_file(
        write(tmp_path, GOOD), ["training.num_train_epochs=5", "recipe.strategy=last", "seeds=[3, 4]"]
    )
    assert config.training.num_train_epochs == 5
    assert config.recipe.arguments["strategy"] == "last"
    assert config.seeds == [3, 4]


def test_set_fills_in_an_argument_of_a_recipe_given_by_name_alone(tmp_path: Path) -> None:
    text = GOOD.replace("{name: pkd, loss_temperature: 4}", "kd")
    config = load_run_file(write(tmp_path, text), ["recipe.label_weight=0"])
    assert (config.recipe.name, config.recipe.arguments["label_weight"]) == ("kd", 0)


def test_all_faults_are_shown_at_once_with_file_and_line(tmp_path: Path) -> None:
    text = (
        GOOD.replace("num_train_epochs: 3", "num_train_epcohs: 3")
        .replace("keep: 3", "keep: none")
        .replace("output", "ouput")
    )
    text = text.replace("loss_temperature", "temperature") + "training: {batch_size: -1}\n"
    message = fault(tmp_path, text)
    assert message.startswith("6 faults in the run")
    assert "run.yaml:4: unknown key 'teacher.fine_tune.num_train_epcohs'; did you mean 'num_train_epochs'?" in message
    assert "run.yaml:5: student.from_teacher.keep" in message
    assert "run.yaml:7: unknown key 'ouput'; did you mean 'output'?" in message
    assert "'output' is missing" in message
    assert "run.yaml:8: training.batch_size" in message
    assert "run.yaml:6: recipe.temperature: 'pkd' has no such argument; did you mean 'loss_temperature'?" in message


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name: pkd", "name: pdk", "unknown recipe 'pdk': did you mean 'pd' or 'pkd'?"),
        (
            "loss_temperature: 4",
            "loss_temperature: warm",
            "run.yaml:6: recipe.loss_temperature: Input should be a valid",
        ),
        ("loss_temperature: 4", "loss_temperature: 0", "loss_temperature must be a number above 0"),
        ("loss_temperature: 4", "strategy: middle", "recipe.strategy: Input should be 'skip', 'last' or 'cka'"),
        ("layers: spread, keep: 3", "layers: spread", "layers: spread needs keep"),
        ("layers: spread, keep: 3", "layers: sprad, keep: 3", "run.yaml:5: student.from_teacher.layers"),
        ("{from_teacher: {layers: spread, keep: 3}}", "{model: a, config: {}}", "exactly one of from_teacher"),
        ("data: {train: tickets.jsonl}", "data: tickets.jsonl", "run.yaml:1: data: Input should be a"),
        ("output: runs/tickets", "output: runs/tickets\nseeds: [1, 1]", "seeds must be different"),
        (
            "num_train_epochs: 3",
            "batch_size: 32, micro_batch_size: 5",
            "micro_batch_size 5 does not divide batch_size 32",
        ),
        ("output: runs/tickets", "output: runs/tickets\noutput: other", "run.yaml:8: key 'output' is given twice"),
        ("model: org/encoder", "model: [org", "run.yaml:4: not valid YAML"),
    ],
)
def test_a_fault_says_where_and_what(old: str, new: str, message: str, tmp_path: Path) -> None:
    assert old in GOOD
    assert message in fault(tmp_path, GOOD.replace(old, new))


def test_a_fault_in_an_override_is_said_to_be_there(tmp_path: Path) -> None:
    assert "--set: training.num_train_epochs: Input should be a valid number" in fault(
        tmp_path, GOOD, "training.num_train_epochs=many"
    )
    assert "--set takes section.key=value" in fault(tmp_path, GOOD, "training.num_train_epochs")


def test_a_missing_run_file_names_its_likeness(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    with pytest.raises(ConfigError, match=r"there is no run file .*rum\.yaml; did you mean 'run\.yaml'\?"):
        load_run_file(tmp_path / "rum.yaml")


@pytest.mark.parametrize("text", ["", "just words", "- a\n- list\n"])
def test_a_file_that_is_no_mapping(text: str, tmp_path: Path) -> None:
    assert "a run file is a YAML mapping" in fault(tmp_path, text)


def test_a_file_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_bytes(b"output: \xff\xfe")
    with pytest.raises(ConfigError, match="cannot read run file"):
        load_run_file(tmp_path / "run.yaml")


def test_python_objects_in_yaml_are_not_made(tmp_path: Path) -> None:
    assert "not valid YAML" in fault(tmp_path, "output: !!python/object/apply:os.system ['echo no']")


def test_a_recipe_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sections: dict[str, Any]) -> None:
    module = (
        "from limbeck.recipes.kd import kd\n"
        "def soft(*, loss_temperature: float = 3.0):\n"
        "    'Soft targets only.'\n"
        "    return kd(loss_temperature=loss_temperature, label_weight=0)\n"
    )
    (tmp_path / "recipes_of_mine.py").write_text(module, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    config = run_config({**sections, "recipe": {"name": "recipes_of_mine:soft"}})
    assert config.recipe.arguments == {"loss_temperature": 3.0}
    with pytest.raises(ConfigError, match="cannot import recipe"):
        run_config({**sections, "recipe": "recipes_of_mine:hard"})


def test_the_resolved_file_is_the_same_run(tmp_path: Path) -> None:
    config = load_run_file(write(tmp_path, GOOD))
    again = load_run_file(write(tmp_path, json.dumps(config.model_dump(mode="json"))))
    assert again == config


@pytest.mark.parametrize(
    ("word", "kind"),
    [("ner", "token_classification"), ("Multi-Label", "multi_label"), ("summarization", "generation")],
)
def test_the_word_of_others_for_a_kind_is_answered_with_ours(word: str, kind: str) -> None:
    with pytest.raises(ConfigError, match=f"there is no kind '{word}'; here it is called '{kind}'"):
        run_config({"task": {"kind": word}, "output": "runs/x"})
