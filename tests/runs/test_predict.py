"""A saved student is found by its folder, whatever its kind; commands know no kinds."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

import limbeck.cli
from limbeck.errors import ModelError
from limbeck.recipes.kinds import KINDS
from limbeck.runs.predict import load

STUDENTS = {
    "classification": "students that label texts",
    "token_classification": "students that find entities",
    "regression": "regression students",
    "multi_label": "multi-label students",
    "generation": "generative students",
    "masked_lm": "masked language models",
    "ranking": "cross-lingual students",
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_student(kind: str, tmp_path: Path) -> None:
    """Nothing is loaded for it before rows come."""
    (tmp_path / "task.json").write_text(json.dumps({"kind": kind}), encoding="utf-8")
    student = load(str(tmp_path))
    assert student.students == STUDENTS[kind]
    for options in (student.predict_options, student.evaluate_options):
        assert set(options().model_dump()) == set(options.model_fields)


def test_a_folder_without_a_task_file_is_a_classifier(tmp_path: Path) -> None:
    assert load(str(tmp_path)).students == "students that label texts"


@pytest.mark.parametrize("content", ["{", '{"kind": "dance"}', '{"kind": {}}'])
def test_a_damaged_task_file(content: str, tmp_path: Path) -> None:
    (tmp_path / "task.json").write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match=r"task\.json is damaged: .*Write the student again"):
        load(str(tmp_path))


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no such folder"):
        load(str(tmp_path / "none"))


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_the_commands_know_no_kind(command: str) -> None:
    """Neither by its name nor by its modules: they import what all kinds share."""
    (folder,) = limbeck.cli.__path__
    tree = ast.parse((Path(folder) / f"{command}.py").read_text(encoding="utf-8"))
    assert not KINDS.keys() & {str(node.value) for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    imported = {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    of_runs = {name for name in imported if name.startswith(("limbeck.runs", "limbeck.tasks"))}
    assert of_runs == {"limbeck.runs.predict", "limbeck.tasks.options"}
