"""The file of a search: what it refuses, all at once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from limbeck.data.prompts.label_prompt import LabelPrompt
from limbeck.data.tasks import Classification
from limbeck.errors import ConfigError
from limbeck.prompt_search.config import AskedTeacher, load_tune_file

GOOD = """
task: {text: body, label: label, labels: [risk, safe]}
data: {dev: dev.jsonl}
teacher: {model: teacher}
prompt: {instruction: "Is it {{ labels }}?"}
search: {paraphrases: ["Which of {{ labels }}?"], keywords: [{risk: danger}]}
output: runs/prompt
"""


def load(tmp_path: Path, text: str) -> object:
    file = tmp_path / "tune.yaml"
    file.write_text(text, encoding="utf-8")
    return load_tune_file(file)


def test_a_file_that_is_good(tmp_path: Path) -> None:
    load(tmp_path, GOOD)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "dev: dev.jsonl", "dev: d, test: t",
            "tune.yaml:3: data: a prompt must not be chosen on held-out rows; remove data.test",
        ),
        ("keywords:", "keyword:", "tune.yaml:6: unknown key 'search.keyword'; did you mean 'keywords'?"),
        ("output: runs/prompt", "", "'output' is missing"),
        ("{model: teacher}", "{}", "teacher: give exactly one of model, api (given: none)"),
        ("{model: teacher}", "{model: t, journal: j}", "journal needs api"),
        ('"Is it {{ labels }}?"', '"{{ text }}"', "prompt.instruction: unknown slot text"),
        (GOOD, "- 1", "a file of a prompt search is a YAML mapping with task, data, teacher"),
        (GOOD, "a: [", "not valid YAML"),
    ],
)  # fmt: skip
def test_files_that_are_not(tmp_path: Path, old: str, new: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, GOOD.replace(old, new))
    assert words in str(caught.value)


def test_all_faults_are_shown_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="3 faults") as caught:
        load(tmp_path, GOOD.replace("dev.jsonl", "[1]").replace("runs/prompt", "1"))
    assert "output" in str(caught.value)
    with pytest.raises(ConfigError, match=r"there is no file of a prompt search .*did you mean 'tune.yaml'"):
        load_tune_file(tmp_path / "tun.yaml")


def test_a_key_is_not_shown(tmp_path: Path) -> None:
    text = GOOD.replace("{model: teacher}", "{api: {base_url: 'http://x/v1', model: m, key_env: sk-planted-secret}}")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert "sk-planted-secret" not in str(caught.value)


def test_the_searches_of_the_documentation_are_accepted(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "prompts.md").read_text("utf-8")
    blocks = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    whole = [block for block in blocks if {"data", "teacher", "output"} <= yaml.safe_load(block).keys()]
    assert whole
    for block in whole:
        load(tmp_path, block)
    parts = [yaml.safe_load(block) for block in blocks if block not in whole]
    assert [list(part) for part in parts] == [["prompt"], ["task"], ["teacher"]]
    LabelPrompt.model_validate(parts[0]["prompt"])
    told = Classification.model_validate(parts[1]["task"])
    assert told.labels == ["risk and warning", "caution and advice", "safe and harmless"]
    assert list(told.descriptions) == told.labels[:2]
    AskedTeacher.model_validate(parts[2]["teacher"])
