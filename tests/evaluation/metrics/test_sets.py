"""Metrics of taggers and of classifiers with several labels: counted by hand, and the same in resampled rows."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from limbeck.data.tagging.scheme import Span
from limbeck.evaluation.metrics.entities import ENTITIES, TaggerOutputs
from limbeck.evaluation.metrics.label_sets import LABEL_SETS, LabelSetOutputs
from limbeck.evaluation.metrics.measure import measure

GOLD = [[Span(0, 3, "PER"), Span(5, 9, "LOC")], None, [Span(0, 3, "LOC")], []]
GIVEN = [[Span(0, 3, "PER"), Span(5, 9, "PER")], [Span(1, 2, "PER")], [Span(0, 2, "LOC")], [Span(7, 8, "LOC")]]
TEACHER = [[Span(0, 3, "PER"), Span(5, 9, "PER")], [], [Span(0, 3, "LOC")], []]
TAGGER = TaggerOutputs(GOLD, GIVEN, TEACHER, ["LOC", "PER"])


def test_figures_of_entities() -> None:
    found = measure({"s": {0: TAGGER}}, ENTITIES, resamples=50)
    figures = {key: sampled.draws[0] for (_, key), sampled in found.items()}
    # Right: PER at 0-3. Given in labelled rows: 4. Gold: 3.
    assert figures["entity_f1"] == pytest.approx(2 / 7)
    assert figures["precision"] == pytest.approx(1 / 4)
    assert figures["recall"] == pytest.approx(1 / 3)
    assert figures["macro_f1"] == pytest.approx((0 + 2 / 3) / 2)
    assert figures["boundary_f1"] == pytest.approx(4 / 7)
    # To the teacher, whose 3 entities are gold: 2 of 5 given.
    assert figures["agreement"] == pytest.approx(4 / 8)
    assert (found["s", "entity_f1"].rows, found["s", "agreement"].rows) == (3, 4)
    assert found["s", "entity_f1"].interval.low < 2 / 7 < found["s", "entity_f1"].interval.high


def test_figures_of_one_label() -> None:
    found = measure({"s": {0: TAGGER.of("PER")}}, ENTITIES, resamples=5)
    assert found["s", "entity_f1"].draws[0] == pytest.approx(2 / 3)
    assert found["s", "precision"].draws[0] == pytest.approx(1 / 2)


def test_a_teacher_is_not_compared_with_itself_and_rows_without_gold_have_no_f1() -> None:
    alone = TaggerOutputs([None, None], [[], []], None, ["PER"])
    assert measure({"s": {0: alone}}, ENTITIES, resamples=5) == {}


def test_figures_of_label_sets() -> None:
    rng = np.random.default_rng(0)
    gold = (rng.random((30, 3)) < 0.4).astype(float)
    logits, teacher = rng.normal(size=(2, 30, 3))
    gold[7] = np.nan
    known = np.arange(30) != 7
    outputs = LabelSetOutputs(logits, gold, teacher)
    found = measure({"s": {0: outputs}}, LABEL_SETS, resamples=50)
    figures = {key: sampled.draws[0] for (_, key), sampled in found.items()}
    for average in ("micro", "macro"):
        reference = f1_score(gold[known] > 0, logits[known] > 0, average=average, zero_division=0)
        assert figures[f"{average}_f1"] == pytest.approx(reference)
    assert figures["subset_accuracy"] == pytest.approx(accuracy_score(gold[known] > 0, logits[known] > 0))
    assert figures["agreement"] == pytest.approx(((logits > 0) == (teacher > 0)).mean())
    assert found["s", "subset_accuracy"].right[0].sum() == round(29 * figures["subset_accuracy"])
    one = measure({"s": {0: outputs.of(2)}}, LABEL_SETS, resamples=5)
    assert one["s", "micro_f1"].draws[0] == pytest.approx(f1_score(gold[known, 2] > 0, logits[known, 2] > 0))
