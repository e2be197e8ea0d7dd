"""The temperature of a student: read, refused, fitted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from limbeck.data.load import Fields, load_rows
from limbeck.errors import ConfigError, DataError, ModelError
from limbeck.tasks.classification.predict import Predictor
from limbeck.tasks.classification.temperature import Fitted, calibrate, read_temperature, student_temperature
from limbeck.types import SilentProgress

LABELS = ["risk", "caution", "safe"]
WORDS = ["cat", "dog", "run", "is", "the", "."]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        "[1]",
        '{"temperature": 0}',
        '{"temperature": "hot"}',
        '{"temperature": Infinity}',
        '{"temperature": true}',
    ],
)
def test_a_damaged_calibration_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "calibration.json").write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match=r"calibration.json.*(damaged|above 0)"):
        read_temperature(tmp_path)


def test_without_the_file_there_is_no_temperature(tmp_path: Path) -> None:
    assert read_temperature(tmp_path) is None


@pytest.fixture
def student(risk_student: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(risk_student, tmp_path / "student"))


@pytest.fixture
def rows(student: Path, tmp_path: Path) -> Path:
    """Rows whose labels follow the student's probabilities at a temperature of 3."""
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDS, 6)) for _ in range(60)]
    file = tmp_path / "dev.jsonl"
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    logits = Predictor(str(student)).logits(load_rows(file, Fields("text")).rows) / 3
    probs = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    drawn = [LABELS[rng.choice(3, p=p / p.sum())] for p in probs.astype(float)]
    lines = [{"text": text, "label": label} for text, label in zip(texts, drawn, strict=True)]
    file.write_text("".join(json.dumps(line) + "\n" for line in [*lines, {"text": "the"}]), encoding="utf-8")
    return file


def test_the_temperature_is_that_of_the_least_loss(student: Path, rows: Path) -> None:
    fitted = calibrate(str(student), str(rows), fields=None, progress=SilentProgress())
    loaded = load_rows(rows, Fields("text", None, "label")).rows.take(list(range(60)))
    logits = Predictor(str(student)).logits(loaded).astype(float)
    gold = np.array([LABELS.index(str(label)) for label in loaded.label])

    def loss(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        return float((np.log(np.exp(scaled).sum(-1)) - scaled[np.arange(60), gold]).mean())

    best = np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x)
    assert fitted.temperature == pytest.approx(best, rel=1e-2)
    assert fitted.temperature > 1.3, "the student was made three times too sure"
    assert fitted.rows == 60
    assert fitted.error_after < fitted.error_before
    assert read_temperature(student) == pytest.approx(fitted.temperature)
    written = json.loads((student / "calibration.json").read_text(encoding="utf-8"))
    assert written["rows"] == 60


def test_what_cannot_be_calibrated_is_refused(student: Path, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"text": "the cat"}\n', encoding="utf-8")
    with pytest.raises(DataError, match="no row has a label in field 'label'"):
        calibrate(str(student), str(file), fields=None, progress=SilentProgress())
    with pytest.raises(ConfigError, match="org/model is not a folder"):
        calibrate("org/model", str(file), fields=None, progress=SilentProgress())


def test_labels_that_say_nothing_leave_the_temperature_at_one() -> None:
    """Labels drawn from the student's own probabilities: no other temperature is better but by chance."""
    kept = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        logits = rng.normal(0, 2, (40, 3)).astype(np.float32)
        probs = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        wanted = np.array([rng.choice(3, p=p / p.sum()) for p in probs.astype(float)])
        kept += student_temperature(logits, wanted) == 1.0
    assert kept >= 10


def test_a_student_that_is_too_sure_is_cooled_on_few_rows_as_well() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (40, 3)).astype(np.float32)
    probs = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    wanted = np.array([rng.choice(3, p=p / p.sum()) for p in probs.astype(float)])
    assert student_temperature(5 * logits, wanted) > 3


def test_a_calibration_error_that_grew_is_said() -> None:
    assert Fitted(2.0, 500, error_before=0.2, error_after=0.1).notes == []
    assert "calibration error grew" in Fitted(2.0, 80, error_before=0.061, error_after=0.222).notes[0]
    assert "stays 1" in Fitted(1.0, 80, error_before=0.061, error_after=0.061).notes[0]
