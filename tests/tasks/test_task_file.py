"""The file that says how a student reads rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from limbeck.data.generation.task import Generation
from limbeck.data.tasks import Classification
from limbeck.errors import ModelError
from limbeck.tasks.task_file import read_task, student_kind, student_max_length


def write(folder: Path, content: str) -> Path:
    (folder / "task.json").write_text(content, encoding="utf-8")
    return folder


def test_a_task_and_its_limit(tmp_path: Path) -> None:
    assert student_kind(tmp_path) == "classification"
    assert student_max_length(tmp_path) is None
    write(tmp_path, '{"kind": "classification", "text": "body", "max_length": 16}')
    assert read_task(tmp_path, Classification, without="max_length").text == "body"
    assert student_max_length(tmp_path) == 16


@pytest.mark.parametrize("limit", ["-5", "0", "1e400", '"long"', "null", "[16]", "1.5", "{}"])
def test_a_limit_that_is_none(limit: str, tmp_path: Path) -> None:
    write(tmp_path, f'{{"kind": "classification", "max_length": {limit}}}')
    with pytest.raises(ModelError, match=r"task\.json is damaged: max_length: .*Write the student again"):
        student_max_length(tmp_path)


@pytest.mark.parametrize(
    "content", ['{"kind": "dance"}', '{"kind": ["dance"]}', '{"text": 7}', '{"surprise": 1}', '{"labels": ["one"]}']
)
def test_a_task_that_is_none(content: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"task\.json is damaged: .*Write the student again"):
        read_task(write(tmp_path, content), Classification)


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no such folder"):
        student_kind(tmp_path / "none")


def test_the_kind_is_that_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"not a student of the kind generation: it has no task\.json"):
        read_task(tmp_path, Generation)
    write(tmp_path, '{"kind": "generation", "text": "body"}')
    assert student_kind(tmp_path) == "generation"
    assert read_task(tmp_path, Generation).text == "body"
    with pytest.raises(ModelError, match=r"not a student of the kind classification: its task\.json says generation"):
        read_task(tmp_path, Classification)
