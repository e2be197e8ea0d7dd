"""Calibration in a run: every trained system has its temperature, and the figures are with it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.conftest import write_rows
from tests.evaluation.measured import figure, section, value
from tests.runs.interruption import InterruptAfter

import limbeck
from limbeck.evaluation.calibration import expected_calibration_error, reliability_bins
from limbeck.evaluation.predict import softmax
from limbeck.report.page import render_report
from limbeck.results import Results
from limbeck.results.sections import Calibration, Classes, Reliability
from limbeck.runs.config import run_config
from limbeck.tasks.classification.calibrate import collection_warnings
from limbeck.tasks.classification.checks import examine
from limbeck.tasks.classification.rows import read_rows
from limbeck.tasks.classification.temperature import student_temperature
from limbeck.types import SilentProgress


def rows_of(file: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(file).read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def with_dev(sections: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """A run with development rows, that learns enough to be too sure or too unsure."""
    rows = rows_of(sections["data"]["test"])
    sections["data"] |= {
        "dev": str(write_rows(tmp_path / "dev.jsonl", rows[::2])),
        "test": str(write_rows(tmp_path / "held-out.jsonl", rows[1::2])),
    }
    sections["training"] |= {"max_steps": 60, "learning_rate": 3e-3, "dropout": 0.0}
    sections["teacher"]["fine_tune"] |= {"num_train_epochs": 20, "dropout": 0.0}
    return sections


def answers(run: Path, system: str, of_dev: bool = False, seed: int = 0) -> Any:
    return np.load(run / "predictions" / f"{system}-seed{seed}{'-dev' if of_dev else ''}.npy")


def gold_of(results: Results, file: str) -> Any:
    labels = section(results, Classes).labels
    return np.array([labels.index(row["label"]) for row in rows_of(file)])


@pytest.mark.slow
def test_the_figures_of_trained_systems_are_with_their_temperatures(
    with_dev: dict[str, Any], light: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Some steps of one model leave its confidence nearly right: this is not about when a temperature pays.
    monkeypatch.setattr(
        "limbeck.tasks.classification.calibrate.student_temperature", lambda *both: student_temperature(*both) + 0.5
    )
    results = limbeck.distill(**with_dev, seeds=[0, 1])
    run, found = Path(with_dev["output"]), section(results, Calibration)
    test, dev = (gold_of(results, with_dev["data"][split]) for split in ("test", "dev"))
    assert {name: len(fitted) for name, fitted in found.systems.items()} == {
        "teacher": 1, "distilled": 2, "fine_tune": 2
    }  # fmt: skip
    assert found.temperature == found.systems["distilled"][0]
    assert (found.rows, found.labels) == (len(dev), "gold")
    for system, fitted in found.systems.items():
        for seed, temperature in enumerate(fitted):
            assert temperature == student_temperature(answers(run, system, True, seed), dev) + 0.5
        all_gold, seeds = np.tile(test, len(fitted)), range(len(fitted))
        for metric, by in (("ece", fitted), ("ece_before", [1.0] * len(fitted))):
            probs = np.concatenate([softmax(answers(run, system, seed=s) / np.float32(by[s])) for s in seeds])
            bins = reliability_bins(probs, all_gold)
            assert value(results, system, metric) == pytest.approx(expected_calibration_error(bins), abs=1e-5)
            if metric == "ece":
                shown = section(results, Reliability).systems[system]
                assert [bin.rows for bin in shown] == [bin.rows for bin in bins]
                interval = figure(results, system, metric)
                assert interval.low < interval.high
    with pytest.raises(AssertionError):
        figure(results, "student_init", "ece_before")
    page = render_report(results)
    assert f"temperature {found.temperature:.2f}, fitted on {len(dev)} development rows with gold labels" in page
    assert "Calibration error without the temperature" in page
    assert "Temperatures of all systems: Teacher" in (run / "student" / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_run_that_was_stopped_while_calibrating_goes_on_to_the_same_figures(
    with_dev: dict[str, Any], light: None, tmp_path: Path
) -> None:
    whole = limbeck.distill(**with_dev)

    class WhileCalibrating(InterruptAfter):
        def track(self, title: str, total: int, done: int = 0) -> Any:
            if "calibrating: distilled" in title:
                raise KeyboardInterrupt
            return super().track(title, total, done)

    again = {**with_dev, "output": str(tmp_path / "again")}
    with pytest.raises(KeyboardInterrupt):
        limbeck.distill(**again, progress=WhileCalibrating(10**9))
    assert (tmp_path / "again" / "predictions" / "teacher-seed0-dev.npy").exists()
    resumed = limbeck.distill(**again)
    assert resumed.figures == whole.figures
    assert section(resumed, Calibration) == section(whole, Calibration)


@pytest.mark.parametrize("marks", ["", " #zxqj @kwxq http://t.co/xq"])
def test_development_rows_of_another_collection_are_told(marks: str, sections: dict[str, Any], tmp_path: Path) -> None:
    rows = rows_of(sections["data"]["test"])
    assert len(rows) >= 40
    dev = [{**row, "text": row["text"] + marks} for row in rows[::2]]
    sections["data"]["dev"] = str(write_rows(tmp_path / "dev.jsonl", dev))
    read = read_rows(run_config(sections))  # type: ignore[arg-type]
    warnings = collection_warnings(read)
    assert len(warnings) == bool(marks)
    if marks:
        assert "seem to come from another collection of texts than the held-out rows" in warnings[0]
        assert "curve 1.00; 0.5: chance" in warnings[0]
    assert collection_warnings(replace(read, dev=None)) == []
    told = {one.check: one.message for one in examine(run_config(sections), SilentProgress(), lambda *_: [])}  # type: ignore[arg-type]
    assert told.get("development rows") == (warnings[0] if marks else None)
