"""`limbeck calibrate`, from the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.cli.test_alerts import ROWS, run

Texts = pytest.CaptureFixture[str]


@pytest.fixture
def student(risk_student: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(risk_student, tmp_path / "student"))


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    return file


def test_a_temperature_is_fitted_and_folded(
    student: Path, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Texts
) -> None:
    copy = tmp_path / "copy"
    code, out, errors = run(monkeypatch, capsys, "calibrate", str(student), str(rows), "--fold", str(copy))
    assert (code, out) == (0, ""), errors
    words = " ".join(errors.split())
    assert "from 3 labelled rows; calibration error on them" in words
    assert "(95 % intervals)" in words
    assert "is folded into the weights of" in words
    assert json.loads((student / "calibration.json").read_text(encoding="utf-8"))["rows"] == 3
    assert json.loads((copy / "calibration.json").read_text(encoding="utf-8"))["temperature"] == 1


def test_the_temperature_that_is_there_is_folded_without_rows(
    student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Texts
) -> None:
    (student / "calibration.json").write_text('{"temperature": 2.0}', encoding="utf-8")
    code, _, errors = run(monkeypatch, capsys, "calibrate", str(student), "--fold", str(tmp_path / "copy"))
    assert code == 0, errors
    assert "the temperature 2.000 is folded" in errors


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["MODEL"], "give labelled rows to fit a temperature on, or --fold FOLDER"),
        (["MODEL", "--fold", "ROWS"], "rows.jsonl exists. Give another one"),
        (["WRITER", "ROWS"], "is not a student of the kind classification: its task.json says generation"),
        (["MODEL", "ROWS", "--label", "l"], "--text-pair and --label go with --text"),
        (["org/model", "ROWS"], "org/model is not a folder"),
    ],
)
def test_a_fault_in_the_input_exits_with_2(
    words: list[str], message: str, student: Path, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: Texts,
) -> None:  # fmt: skip
    (tmp_path / "writer").mkdir()
    (tmp_path / "writer" / "task.json").write_text('{"kind": "generation", "prompt": "question"}', encoding="utf-8")
    places = {"MODEL": str(student), "ROWS": str(rows), "WRITER": str(tmp_path / "writer")}
    code, _, errors = run(monkeypatch, capsys, "calibrate", *(places.get(word, word) for word in words))
    assert code == 2
    assert message in " ".join(errors.split())
    assert "Traceback" not in errors
