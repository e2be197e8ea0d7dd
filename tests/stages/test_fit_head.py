"""The start of a head: logistic regression on what the rest of the model says, once, and nothing else changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from limbeck.errors import ConfigError
from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.logits import ForwardKL
from limbeck.losses.term import WeightedTerm
from limbeck.models.classifier_head import features
from limbeck.models.label_spreading import spread_head
from limbeck.numerics.logistic_regression import LinearHead, fit_logistic_regression, one_hot
from limbeck.sequences.fixed import FixedSequences
from limbeck.stages import fit_head as module
from limbeck.stages.fit_head import fit_head, spread_rows
from limbeck.stages.pipeline import StageRun, run_stage
from limbeck.stages.stage import Stage, Training
from limbeck.teachers.local import LocalTeacher
from limbeck.types import Shapes, SilentProgress

Make = Callable[..., Any]
GOLD = Stage("gold", (WeightedTerm("labels", LabelCrossEntropy()),), fit_head=True)
TAUGHT = Stage(
    "taught", (WeightedTerm("soft", ForwardKL()), WeightedTerm("labels", LabelCrossEntropy())), fit_head=True
)
ROWS = np.arange(2, 24)


class Setting:
    def __init__(self, make_classifier: Make, make_task: Make, folder: Path) -> None:
        self.task, self.folder, self._make = make_task(), folder, make_classifier
        self.teacher = LocalTeacher(make_classifier(layers=4, seed=2, scale=12.0))

    def student(self, dropout: float = 0.1) -> Any:
        return self._make(seed=1, dropout=dropout)

    def run(self, steps: int = 0, progress: Any = None, **changes: Any) -> StageRun:
        training = Training(max_steps=max(steps, 1), batch_size=8, log_every=1, checkpoints=4)
        sequences = FixedSequences(ROWS, self.task.encoded.lengths, 8, steps, 0)
        values: dict[str, Any] = {"head_rows": ROWS, "teacher": self.teacher, **changes}
        return StageRun(self.folder / "stage", self.folder / "log.jsonl", "distilled", 0, training, sequences,
                        self.task.batch, progress or SilentProgress(), "a stage", None, Shapes(4, 16, 2, 16),
                        **values)  # fmt: skip

    def features(self, student: Any, rows: Any) -> Any:
        with torch.no_grad():
            return features(student.eval(), self.task.encoded.batch(rows)).numpy()


@pytest.fixture
def setting(make_classifier: Make, make_task: Make, tmp_path: Path) -> Setting:
    return Setting(make_classifier, make_task, tmp_path)


def require_head(student: Any, features_ND: Any, probs_NC: Any) -> None:
    require_equal_head(student, features_ND, fit_logistic_regression(features_ND, probs_NC))


def require_equal_head(student: Any, features_ND: Any, expected: LinearHead) -> None:
    inputs = torch.from_numpy(features_ND)
    own = student.classifier(inputs).softmax(-1)
    by_hand = (inputs.double() @ torch.from_numpy(expected.weight_CD).T + torch.from_numpy(expected.bias_C)).softmax(
        -1
    )
    torch.testing.assert_close(own.double(), by_hand, atol=1e-3, rtol=0)


def test_it_is_fitted_on_the_labelled_rows_alone(setting: Setting) -> None:
    student = setting.student()
    before = {name: value.clone() for name, value in student.state_dict().items()}
    fit_head(GOLD, setting.run(), student)
    rows = ROWS[setting.task.labels[ROWS] >= 0]
    assert 0 < len(rows) < len(ROWS)
    require_head(student, setting.features(student, rows), one_hot(setting.task.labels[rows], 3))
    changed = {name for name, value in student.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"classifier.weight", "classifier.bias"}


def test_unlabelled_rows_take_part_with_spread_labels(setting: Setting) -> None:
    student, labels_N = setting.student(), setting.task.labels[ROWS]
    assert (labels_N < 0).any()
    fit_head(replace(GOLD, spreads=True), setting.run(), student)
    features_ND = setting.features(student, ROWS)
    require_equal_head(student, features_ND, spread_head(features_ND, labels_N, 3))


def test_all_labelled_rows_and_a_bounded_number_of_others_take_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_SPREAD", 6)
    labelled, others = np.array([9, 1, 5]), np.arange(100, 200)
    rows = spread_rows(labelled, others)
    assert set(labelled) < set(rows.tolist()) < {*labelled, *others}
    assert len(rows) == 6
    assert len(spread_rows(np.arange(8), others)) == 8


def test_a_stage_with_a_teacher_fits_its_probabilities(setting: Setting) -> None:
    student = setting.student()
    fit_head(TAUGHT, setting.run(), student)
    with torch.no_grad():
        logits = setting.teacher.model(**setting.task.encoded.batch(ROWS)).logits
    require_head(student, setting.features(student, ROWS), logits.double().softmax(-1).numpy())


def test_a_stage_may_say_how_strong_the_regression_is(setting: Setting) -> None:
    rows, heads = ROWS[setting.task.labels[ROWS] >= 0], []
    for strength in (0.01, 100.0):
        student = setting.student()
        fit_head(replace(GOLD, head_strength=strength), setting.run(), student)
        probs_NC = one_hot(setting.task.labels[rows], 3)
        expected = fit_logistic_regression(setting.features(student, rows), probs_NC, strength)
        heads.append(student.classifier.weight.detach().numpy())
        np.testing.assert_allclose(heads[-1], expected.weight_CD, rtol=0.02, atol=0.02)
    assert np.abs(heads[0]).max() < 0.2 * np.abs(heads[1]).max()


def test_more_rows_than_needed_are_sampled(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_ROWS", 12)
    student = setting.student()
    fit_head(TAUGHT, setting.run(), student)
    rows = np.sort(np.random.default_rng(0).permutation(ROWS)[:12])
    with torch.no_grad():
        logits = setting.teacher.model(**setting.task.encoded.batch(rows)).logits
    require_head(student, setting.features(student, rows), logits.double().softmax(-1).numpy())


def test_without_labels_there_is_nothing_to_fit(setting: Setting) -> None:
    for rows in (ROWS[setting.task.labels[ROWS] < 0], ROWS[:0]):
        with pytest.raises(ConfigError, match="stage 'gold' fits the head on labelled rows, and there are none"):
            fit_head(GOLD, setting.run(head_rows=rows), setting.student())


def test_a_stage_without_steps_fits_the_head_and_is_finished(setting: Setting) -> None:
    student = setting.student()
    cost = run_stage(GOLD, setting.run(), student)
    assert (cost.steps, cost.rows_seen) == (0, 0)
    assert cost.seconds > 0
    again = setting.student()
    again.classifier.weight.data.zero_()
    assert run_stage(GOLD, setting.run(progress=Refusing()), again) == cost
    assert torch.equal(again.classifier.weight, student.classifier.weight)


def test_a_stage_fits_first_and_a_resumed_one_does_not_fit_again(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits = []
    fit = module.fit_head
    monkeypatch.setattr(module, "fit_head", lambda *arguments: (fits.append(1), fit(*arguments)))
    whole = setting.student()
    run_stage(GOLD, setting.run(6), whole)
    setting.folder = setting.folder / "again"
    setting.folder.mkdir()
    with pytest.raises(KeyboardInterrupt):
        run_stage(GOLD, setting.run(6, StopAt(5)), setting.student())
    assert len(fits) == 2
    resumed = setting.student()
    run_stage(GOLD, setting.run(6), resumed)
    assert len(fits) == 2
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


def test_a_stage_that_was_cut_off_while_fitting_fits_again(setting: Setting) -> None:
    whole, resumed = setting.student(), setting.student()
    run_stage(GOLD, setting.run(2), whole)
    setting.folder = setting.folder / "again"
    setting.folder.mkdir()
    with pytest.raises(KeyboardInterrupt):
        run_stage(GOLD, setting.run(2, StopAt(1, "head")), setting.student())
    run_stage(GOLD, setting.run(2), resumed)
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


class Refusing(SilentProgress):
    def track(self, title: str, total: int, done: int = 0) -> Any:
        raise AssertionError(f"{title}: this was done before")


class StopAt(SilentProgress):
    """Stops the program at an advance of one bar."""

    def __init__(self, advances: int, title: str = "a stage") -> None:
        self._left, self._title = advances, title

    def track(self, title: str, total: int, done: int = 0) -> Any:
        import contextlib

        def update(n: int, note: str = "") -> None:
            self._left -= title.endswith(self._title)
            if self._left <= 0:
                raise KeyboardInterrupt

        return contextlib.nullcontext(update)
