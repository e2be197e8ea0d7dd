"""Modules that go on from stage to stage: by name, from the last stage that has them, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from limbeck.errors import ConfigError
from limbeck.losses.hints.filters import FilteredStates, LayerFilters
from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.term import WeightedTerm, bind_terms
from limbeck.stages.kept_modules import keep_modules, load_kept_modules
from limbeck.types import Shapes

PAIR = Shapes(2, 6, 2, 5, outputs=3)
FILTERS = tuple(WeightedTerm(side, LayerFilters(side=side)) for side in ("student", "teacher"))
LABELS = WeightedTerm("labels", LabelCrossEntropy())
HINTS = (LABELS, WeightedTerm("hints", FilteredStates()))


def a_stage(folder: Path, value: float) -> Path:
    """A finished stage of filters that all have one value."""
    terms = bind_terms(FILTERS, PAIR)
    for t in terms:
        for parameter in t.term.module().parameters():  # type: ignore[union-attr]
            torch.nn.init.constant_(parameter, value)
    (folder / "model").mkdir(parents=True)
    keep_modules(terms, folder / "model")
    return folder


def values_of(terms: tuple[WeightedTerm, ...]) -> set[float]:
    modules = [module for t in terms for module in t.term.kept_modules.values()]
    return {value for module in modules for p in module.parameters() for value in p.unique().tolist()}


def test_the_last_stage_that_has_modules_counts(tmp_path: Path) -> None:
    stages = [a_stage(tmp_path / "1", 1.0), a_stage(tmp_path / "2", 2.0), tmp_path / "3"]
    terms = bind_terms(HINTS, PAIR)
    load_kept_modules(terms, stages, "ted")
    assert values_of(terms) == {2.0}
    files = sorted(path.name for path in (stages[0] / "model").rglob("*.safetensors"))
    assert files == ["student_filters.safetensors", "teacher_filters.safetensors"]  # and no heads
    hints = terms[1].term
    assert isinstance(hints, FilteredStates)
    assert hints.teacher_filters is not None
    assert not any(parameter.requires_grad for parameter in hints.teacher_filters.parameters())


def test_new_modules_are_not_filled(tmp_path: Path) -> None:
    terms = bind_terms(FILTERS, PAIR)
    load_kept_modules(terms, [a_stage(tmp_path / "1", 7.0)], "filters")
    assert 7.0 not in values_of(terms)


def test_a_stage_that_nobody_trained_for_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="stage 'ted' goes on with the student filters of an earlier stage, and none"
    ):
        load_kept_modules(bind_terms(HINTS, PAIR), [tmp_path], "ted")


def test_terms_without_modules_leave_no_folder(tmp_path: Path) -> None:
    keep_modules(bind_terms((LABELS,), PAIR), tmp_path)
    assert not list(tmp_path.iterdir())
