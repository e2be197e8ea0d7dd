"""`limbeck calibrate`: a saved student's temperature, used by all that read its folder, and folded into a copy."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar

from limbeck.data.load import Fields, load_rows
from limbeck.errors import ConfigError, DataError, ModelError
from limbeck.evaluation.calibration import expected_calibration_error, reliability_bins
from limbeck.evaluation.predict import softmax
from limbeck.models.classifier_head import head_layer
from limbeck.models.load import load_classifier, load_tokenizer, save_model
from limbeck.results.figures import Interval
from limbeck.students.adapters import Adapter, add_adapter, merged_for_export
from limbeck.tasks.classification.calibrate_saved import Fitted, calibrate, fold
from limbeck.tasks.classification.evaluate import evaluate
from limbeck.tasks.classification.predict import Predictor
from limbeck.tasks.classification.temperature import read_temperature
from limbeck.types import SilentProgress

LABELS = ["risk", "caution", "safe"]
WORDS = ["cat", "dog", "run", "is", "the", "."]
TEXTS = ["the cat is", "a dog runs .", "the"]


def with_temperature(folder: Path, temperature: float) -> Path:
    (folder / "calibration.json").write_text(json.dumps({"temperature": temperature}), encoding="utf-8")
    return folder


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
    assert fitted.error_after.value < fitted.error_before.value
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


def test_the_errors_have_intervals_and_are_those_of_the_bins(student: Path, rows: Path) -> None:
    fitted = calibrate(str(student), str(rows), fields=None, progress=SilentProgress())
    loaded = load_rows(rows, Fields("text", None, "label")).rows.take(list(range(60)))
    gold = np.array([LABELS.index(str(label)) for label in loaded.label])
    logits = Predictor(str(student)).logits(loaded)
    for error, temperature in ((fitted.error_before, 1.0), (fitted.error_after, fitted.temperature)):
        expected = expected_calibration_error(reliability_bins(softmax(logits / np.float32(temperature)), gold))
        assert error.value == pytest.approx(expected, abs=1e-6)
        assert error.low is not None
        assert error.high is not None
        assert 0 <= error.low < error.high
        assert error.high - error.low > 0.02, "60 rows say little"


def test_predictions_are_with_the_temperature(student: Path) -> None:
    before = Predictor(str(student)).predict(TEXTS)
    after = Predictor(str(with_temperature(student, 2.5))).predict(TEXTS)
    for raw, calibrated in zip(before, after, strict=True):
        assert raw["label"] == calibrated["label"]
        powers = {label: p ** (1 / 2.5) for label, p in raw["probabilities"].items()}
        for label, p in calibrated["probabilities"].items():
            assert p == pytest.approx(powers[label] / sum(powers.values()), abs=1e-4)
        assert calibrated["confidence"] == calibrated["probabilities"][calibrated["label"]]


@pytest.mark.usefixtures("light")
def test_an_evaluation_is_with_the_temperature_and_tells_the_error_before(student: Path, rows: Path) -> None:
    def figures() -> dict[str, Any]:
        found = evaluate(str(student), str(rows), against=None, fields=None, progress=SilentProgress())
        return {figure.metric: figure for figure in found.figures if figure.system == "distilled" and not figure.slice}

    raw, fitted = figures(), calibrate(str(student), str(rows), fields=None, progress=SilentProgress())
    calibrated = figures()
    assert "ece_before" not in raw
    assert raw["ece"].value == calibrated["ece_before"].value == pytest.approx(fitted.error_before.value)
    assert calibrated["ece"].value == pytest.approx(fitted.error_after.value)
    assert calibrated["loss"].value < raw["loss"].value
    assert calibrated["accuracy"] == raw["accuracy"]
    with_temperature(student, 1.0)
    assert "ece_before" not in figures(), "it would be the same"


def test_a_copy_with_the_temperature_in_its_weights_says_the_same_without_it(student: Path, tmp_path: Path) -> None:
    from transformers import pipeline

    (student / "README.md").write_text("# A card\n", encoding="utf-8")
    calibrated = Predictor(str(with_temperature(student, 2.5))).predict(TEXTS)
    before = {file.name: file.read_bytes() for file in student.iterdir()}
    assert fold(str(student), tmp_path / "copy") == 2.5
    assert {file.name: file.read_bytes() for file in student.iterdir()} == before, "the student stays as it is"
    assert {file.name for file in (tmp_path / "copy").iterdir()} == set(before)
    own = Predictor(str(tmp_path / "copy"))
    assert own.temperature == 1.0
    plain = pipeline("text-classification", model=str(tmp_path / "copy"), top_k=None)(TEXTS)
    for expected, found, of_pipeline in zip(calibrated, own.predict(TEXTS), plain, strict=True):
        assert found["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-5)
        scores = {one["label"]: one["score"] for one in of_pipeline}
        assert scores == pytest.approx(expected["probabilities"], abs=1e-5)
    card = (tmp_path / "copy" / "README.md").read_text(encoding="utf-8")
    assert card.startswith("# A card\n")
    assert "The temperature 2.5 is folded into this copy's weights" in card


@pytest.mark.parametrize("adapter", [None, Adapter(kind="houlsby", width=4)])
def test_so_does_a_copy_of_a_student_in_several_files(
    adapter: Adapter | None, sentence_encoder_folder: Path, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model = load_classifier(str(sentence_encoder_folder), labels=LABELS)
    torch.nn.init.normal_(head_layer(model).weight)
    if adapter is not None:
        add_adapter(model, adapter)
        merged_for_export(model)
    save_model(model, load_tokenizer(str(sentence_encoder_folder)), tmp_path / "student")
    calibrated = Predictor(str(with_temperature(tmp_path / "student", 2.5))).predict(TEXTS)
    fold(str(tmp_path / "student"), tmp_path / "copy")
    names = [
        {str(file.relative_to(tmp_path / one)) for file in (tmp_path / one).rglob("*")} for one in ("student", "copy")
    ]
    assert names[0] == names[1]
    for expected, found in zip(calibrated, Predictor(str(tmp_path / "copy")).predict(TEXTS), strict=True):
        assert found["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-5)


def test_what_cannot_be_folded_is_refused(student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"has no calibration\.json, and so no temperature to fold"):
        fold(str(student), tmp_path / "copy")
    with_temperature(student, 2.0)
    (tmp_path / "there").mkdir()
    with pytest.raises(ConfigError, match="there exists"):
        fold(str(student), tmp_path / "there")
    # A model that does something else after its last linear map.
    monkeypatch.setattr("limbeck.tasks.classification.calibrate_saved.fold_scale", lambda *_: None)
    with pytest.raises(ModelError, match="are not those of a last linear map"):
        fold(str(student), tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_calibration_error_that_grew_is_said() -> None:
    low, middle, high = (Interval(value=value, low=value, high=value) for value in (0.061, 0.1, 0.222))
    assert Fitted(2.0, 500, error_before=high, error_after=middle).notes == []
    assert "calibration error grew" in Fitted(2.0, 80, error_before=low, error_after=high).notes[0]
    assert "stays 1" in Fitted(1.0, 80, error_before=low, error_after=low).notes[0]
