"""What is kept of each record that a student has ranked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from limbeck.data.instructions.make import choice
from limbeck.tasks.ranking.measure import example_scores_of


def test_example_scores_hold_the_figures_of_single_tasks() -> None:
    name: dict[str, Any] = {"source": "own", "split": "test", "lang": "en", "key": 1}
    entity = replace(
        choice(**name, task="ner", text="Bern", labels=("LOC", "none"), label="LOC"), slots=(("span", "Bern"),)
    )
    query = replace(
        choice(**name, task="web_pages", text="q", labels=("a", "b"), label="a"), gold=(0,), grades=(3.0, 1.0)
    )
    scores = np.array([[2.0, 1.0], [1.0, 2.0]], dtype=np.float32)
    found = example_scores_of([entity, query], scores)
    right = float(entity.gold == (0,))
    assert found.accuracy_N.tolist() == [right, 0]
    assert found.reciprocal_rank_N.tolist() == [0.5 + right / 2, 0.5]
    np.testing.assert_allclose(found.spans_N3, [[right, right, 1], [np.nan] * 3])
    np.testing.assert_allclose(found.ndcg_N, [np.nan, (1 + 3 / np.log2(3)) / (3 + 1 / np.log2(3))])
