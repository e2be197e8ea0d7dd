"""How long to train, and settings that cannot be."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.logits import ForwardKL
from limbeck.losses.term import WeightedTerm
from limbeck.stages.stage import Stage, Training


def test_the_loss_temperature_is_that_of_all_terms_that_have_one() -> None:
    soft, labels = WeightedTerm("soft", ForwardKL(2.0), weight=0.5), WeightedTerm("labels", LabelCrossEntropy())
    stage = Stage("kd", (soft, labels), share=0.5)
    assert stage.has_loss_temperature
    changed = stage.at_loss_temperature(7.0)
    assert changed == Stage("kd", (WeightedTerm("soft", ForwardKL(7.0), weight=0.5), labels), share=0.5)
    assert not Stage("fine_tune", (labels, replace(soft, weight=0.0))).has_loss_temperature


@pytest.mark.parametrize(
    ("training", "rows", "steps"),
    [
        (Training(num_train_epochs=3, batch_size=32), 320, 30),
        (Training(num_train_epochs=3, batch_size=32), 321, 31),
        (Training(num_train_epochs=0.5, batch_size=8), 64, 4),
        (Training(num_train_epochs=0.01, batch_size=8), 64, 1),
        (Training(num_train_epochs=3, batch_size=32), 5, 1),
        (Training(num_train_epochs=3, batch_size=32, max_steps=7), 10_000, 7),
    ],
)
def test_total_steps(training: Training, rows: int, steps: int) -> None:
    assert training.total_steps(rows) == steps


@given(st.integers(1, 10_000), st.integers(1, 256), st.integers(1, 20))
def test_every_row_is_seen_for_at_least_the_epochs_asked_for(rows: int, batch_size: int, epochs: int) -> None:
    seen = Training(num_train_epochs=epochs, batch_size=batch_size).total_steps(rows) * batch_size
    assert epochs * rows <= seen < epochs * rows + batch_size


@pytest.mark.parametrize(
    "values",
    [
        {"num_train_epochs": 0},
        {"max_steps": 0},
        {"batch_size": 0},
        {"micro_batch_size": 0},
        {"learning_rate": 0},
        {"warmup_ratio": 1.0},
        {"warmup_ratio": -0.1},
        {"weight_decay": -1},
        {"max_grad_norm": 0},
        {"dropout": 1.0},
        {"precision": "fp8"},
        {"max_length": 0},
        {"log_every": 0},
        {"checkpoints": 0},
        {"report_to": ["paper"]},
        {"epocs": 3},
    ],
)
def test_values_out_of_range_and_unknown_keys_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Training.model_validate(values)


@pytest.mark.parametrize("field", ["num_train_epochs", "learning_rate", "weight_decay", "max_grad_norm"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_values_that_are_no_numbers_are_refused(field: str, value: float) -> None:
    with pytest.raises(ValidationError):
        Training.model_validate({field: value})


def test_micro_batches_must_fill_the_batch() -> None:
    assert Training(batch_size=32, micro_batch_size=8).micro_batch_size == 8
    with pytest.raises(ValidationError, match="micro_batch_size 12 does not divide batch_size 32"):
        Training(batch_size=32, micro_batch_size=12)


def test_settings_are_not_changed_after_they_are_made() -> None:
    with pytest.raises(ValidationError):
        Training().epochs = 5  # type: ignore[misc]
