"""The prompt section: what it refuses, its hash, and files that are frozen."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from limbeck.data.prompts.label_prompt import LabelPrompt, check_prompt, load_prompt, save_prompt
from limbeck.errors import ConfigError

LABELS = ["risk", "safe"]
SHOWN = {"text": "It burns.", "label": "risk", "rationale": "The article says that there is a fire in the house."}


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"instruction": "Label {{ text }}"}, "unknown slot text"),
        ({"instruction": ""}, "at least 1 character"),
        ({"system": "{{ labels"}, "is not a template"),
        ({"input": "Input: {{ title }}"}, "input must have the slot {{ text }} that body names; its slots: title"),
        ({"answer": "Output:\nInput:"}, "expected a heading on one line"),
        ({"rationale": " "}, "expected a heading on one line"),
        ({"format": "xml"}, "'none', 'label', 'label_and_rationale' or 'json'"),
        ({"max_body_tokens": 0}, "greater than or equal to 1"),
        ({"instructions": "x"}, "Extra inputs are not permitted"),
        ({"demonstrations": [{"text": "x"}]}, "Field required"),
        ({"demonstrations": [{"text": 3, "label": "risk"}]}, "should be a valid string"),
    ],
)
def test_sections_that_cannot_be(section: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        LabelPrompt.model_validate(section)
    assert words in str(caught.value)


def test_all_faults_of_a_prompt_are_shown_at_once() -> None:
    prompt = LabelPrompt.model_validate(
        {
            "input": "{{ titel }}: {{ text }}",
            "format": "json",
            "demonstrations": [{"text": "x", "label": "rsk"}],
        }
    )
    with pytest.raises(ConfigError) as caught:
        check_prompt(prompt, LABELS, ["text", "title"])
    message = str(caught.value)
    for words in (
        "rows have no field 'titel'; did you mean 'title'?",
        "number 1: label 'rsk' is none of the task's; did you mean 'risk'?",
        "number 1: lacks 'titel'",
        "format json shows a rationale, but it has none",
    ):
        assert words in message
    check_prompt(LabelPrompt.model_validate({"demonstrations": [SHOWN], "format": "json"}), LABELS, ["text"])


def test_a_prompt_without_a_day_has_the_hash_it_was_frozen_with() -> None:
    prompt = LabelPrompt(instruction="Say {{ labels }}")
    assert prompt.hash == "e817a812205eb78a908ad66e6c98f62500a5eaebf729dd561f12e83d34a2f722"
    dated = prompt.model_copy(update={"date": datetime.date(2026, 11, 1)})
    assert dated.hash != prompt.hash
    assert LabelPrompt.model_validate(dated.model_dump(mode="json")) == dated


def test_the_hash_is_of_content_alone() -> None:
    one = LabelPrompt.model_validate({"demonstrations": [SHOWN]})
    same = LabelPrompt.model_validate({"format": "label", "demonstrations": [dict(reversed(SHOWN.items()))]})
    assert one.hash == same.hash
    hashes = {one.hash, LabelPrompt().hash}
    for change in ({"system": "x"}, {"answer": "Label:"}, {"max_body_tokens": 400}, {"layout": "chat"}):
        hashes.add(one.model_copy(update=change).hash)
    hashes.add(LabelPrompt.model_validate({"demonstrations": [SHOWN | {"text": "It burns!"}]}).hash)
    assert len(hashes) == 7


def test_a_frozen_prompt_is_named_by_its_file(tmp_path: Path) -> None:
    prompt = LabelPrompt.model_validate({"system": "Du bist Analyst.", "demonstrations": [SHOWN]})
    file = tmp_path / "prompt.json"
    save_prompt(prompt, file)
    assert load_prompt(file) == prompt
    assert LabelPrompt.model_validate({"file": str(file)}) == prompt
    with pytest.raises(ValidationError, match="file names a whole prompt; remove system"):
        LabelPrompt.model_validate({"file": str(file), "system": "x"})


def test_a_prompt_file_that_was_changed_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "prompt.json"
    save_prompt(LabelPrompt(), file)
    content = json.loads(file.read_text("utf-8"))
    content["prompt"]["answer"] = "Label:"
    file.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ConfigError, match="was changed since it was frozen"):
        load_prompt(file)
    with pytest.raises(ValidationError, match="was changed since it was frozen"):
        LabelPrompt.model_validate({"file": str(file)})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read as a prompt file"),
        ("[]", "cannot be read as a prompt file"),
        ('{"format": 9, "hash": "", "prompt": {}}', "format 9, but this version reads 1"),
        ('{"format": 1, "hash": "", "prompt": {"file": "x"}}', "holds no prompt of its own"),
        ('{"format": 1, "hash": "", "prompt": {"instruction": 3}}', "holds no prompt"),
    ],
)
def test_files_that_are_no_prompts(tmp_path: Path, content: str | None, words: str) -> None:
    file = tmp_path / "prompt.json"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=words):
        load_prompt(file)


def test_what_labels_mean_is_part_of_the_hash_and_of_a_frozen_prompt(tmp_path: Path) -> None:
    plain, told = LabelPrompt(), LabelPrompt(descriptions={"a": "one \n thing"})
    assert told.descriptions == {"a": "one thing"}
    assert told.hash != plain.hash
    assert plain.described({}) is plain
    assert plain.described({"a": "one thing"}) == told
    save_prompt(told, tmp_path / "prompt.json")
    assert load_prompt(tmp_path / "prompt.json") == told
    check_prompt(told, ["a", "b"], ["text"])
    with pytest.raises(ConfigError, match=r"prompt\.descriptions: 'a' is not one of the task's labels"):
        check_prompt(told, ["A", "b"], ["text"])
