"""How the memory is used best: on its own, not at all, or as told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from limbeck.evaluation.predict import predict_answers, predict_logits
from limbeck.evaluation.retrieval import best_retrieval
from limbeck.models.retrieval_memory import Memory, Retrieval
from limbeck.numerics.retrieval import unit

Make = Callable[..., Any]
TOLD = Retrieval(neighbours=3, temperature=0.3, own_share=0.4)


def test_answers_are_in_the_order_of_the_rows(make_classifier: Make, make_task: Make) -> None:
    model, task = make_classifier(), make_task(12)
    rows = np.array([7, 2, 11])
    logits, states = predict_answers(model, task.encoded, rows)
    assert logits.numpy() == pytest.approx(predict_logits(model, task.encoded, rows), abs=1e-5)
    for row, state in zip(rows, states, strict=True):
        with torch.no_grad():
            alone = model(**task.batch([row])["student"], output_hidden_states=True).hidden_states[-1][0, 0]
        assert torch.allclose(state, alone, atol=1e-5)


@pytest.mark.parametrize("helps", [True, False])
def test_a_memory_is_used_as_far_as_it_helps(helps: bool, make_classifier: Make, make_task: Make) -> None:
    model, task = make_classifier(scale=6.0), make_task(12)
    rows = np.arange(12)
    logits, states = predict_answers(model, task.encoded, rows)
    own = logits.argmax(dim=-1)
    right = (own + 1) % 3 if helps else own
    # Each row's nearest entry is itself. It knows the label, or says the opposite of a classifier that knows it.
    answers = torch.eye(3)[right if helps else (right + 1) % 3]
    found = best_retrieval(model, Memory(unit(states), answers, TOLD), task.encoded, right.numpy())
    assert found.own_share == (0 if helps else 1)


def test_rows_without_labels_do_not_count(make_classifier: Make, make_task: Make) -> None:
    model, task = make_classifier(scale=6.0), make_task(12)
    logits, states = predict_answers(model, task.encoded, np.arange(12))
    gold = logits.argmax(dim=-1).numpy()
    memory = Memory(unit(states), torch.eye(3)[(logits.argmax(dim=-1) + 1) % 3], TOLD)
    wrong = np.where(np.arange(12) < 6, gold, -1)
    assert best_retrieval(model, memory, task.encoded, wrong) == best_retrieval(model, memory, task.encoded, gold)
