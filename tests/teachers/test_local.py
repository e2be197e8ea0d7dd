"""A live teacher: evaluation mode, no gradients, its own inputs, and only what is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from limbeck.teachers.local import LocalTeacher
from limbeck.types import Needs, Tap

Make = Callable[..., Any]
LAST, FIRST = Tap("hidden", 3), frozenset({Tap("first", 1), Tap("first", 2)})
EVERYTHING = Needs(logits=True, teacher_taps=FIRST | {LAST})


def test_two_passes_are_equal_even_after_the_model_was_put_in_train_mode(
    make_classifier: Make, make_task: Make
) -> None:
    model = make_classifier(layers=3, dropout=0.5)
    teacher, batch = LocalTeacher(model), make_task().batch(range(6))
    assert not model.training
    first = teacher.signal(batch, EVERYTHING)
    model.train()
    second = teacher.signal(batch, EVERYTHING)
    assert not model.training
    assert torch.equal(first["logits"], second["logits"])
    assert torch.equal(first["states"][LAST], second["states"][LAST])


def test_signals_are_those_of_the_model_in_evaluation_mode(make_classifier: Make, make_task: Make) -> None:
    model = make_classifier(layers=3, dropout=0.5)
    batch = make_task().batch(range(6))
    signal = LocalTeacher(model).signal(batch, EVERYTHING)
    with torch.no_grad():
        expected = model.eval()(**batch["teacher"], output_hidden_states=True)
    torch.testing.assert_close(signal["logits"], expected.logits)
    torch.testing.assert_close(signal["states"][LAST], expected.hidden_states[3])
    for layer in (1, 2):
        torch.testing.assert_close(signal["states"][Tap("first", layer)], expected.hidden_states[layer][:, 0])


def test_parameters_are_frozen_and_signals_carry_no_gradient(make_classifier: Make, make_task: Make) -> None:
    model = make_classifier(layers=3)
    signal = LocalTeacher(model).signal(make_task().batch(range(3)), EVERYTHING)
    assert not any(p.requires_grad for p in model.parameters())
    tensors = [signal["logits"], *signal["states"].values()]
    assert not any(x.requires_grad for x in tensors)


@pytest.mark.parametrize(
    ("needs", "kinds"),
    [
        (Needs(logits=True), {"logits"}),
        (Needs(teacher_taps=frozenset({Tap("hidden", 1)})), {"states"}),
        (Needs(teacher_taps=FIRST), {"states"}),
        (EVERYTHING, {"logits", "states"}),
    ],
)
def test_only_what_is_asked_for_is_given(
    make_classifier: Make, make_task: Make, needs: Needs, kinds: set[str]
) -> None:
    signal = LocalTeacher(make_classifier(layers=3)).signal(make_task().batch(range(3)), needs)
    assert set(signal) == kinds
    assert frozenset(signal.get("states", {})) == needs.teacher_taps


def test_first_states_do_not_keep_whole_layers_alive(make_classifier: Make, make_task: Make) -> None:
    tap = Tap("first", 2)
    signal = LocalTeacher(make_classifier()).signal(make_task().batch(range(3)), Needs(teacher_taps=frozenset({tap})))
    first = signal["states"][tap]
    assert first.untyped_storage().nbytes() == first.numel() * 4


def test_the_teacher_reads_its_own_inputs_token_types_included(make_classifier: Make, make_task: Make) -> None:
    """A DistilBERT student takes no token types; its BERT teacher must still be given them."""
    model = make_classifier(scale=4.0)
    batch = make_task().batch(range(4))
    batch["student"] = {"input_ids": torch.zeros(4, 2, dtype=torch.int64), "attention_mask": torch.ones(4, 2)}
    found = LocalTeacher(model).signal(batch, Needs(logits=True))["logits"]
    with torch.no_grad():
        expected = model(**batch["teacher"]).logits
        without_types = model(**{k: v for k, v in batch["teacher"].items() if k != "token_type_ids"}).logits
    torch.testing.assert_close(found, expected)
    assert not torch.allclose(found, without_types)


def test_a_distilbert_teacher_takes_a_batch_with_token_types(make_classifier: Make, make_task: Make) -> None:
    signal = LocalTeacher(make_classifier("distilbert")).signal(make_task().batch(range(4)), Needs(logits=True))
    assert signal["logits"].shape == (4, 3)


def test_the_first_state_is_that_of_the_first_token_whichever_side_is_padded(
    make_classifier: Make, make_task: Make
) -> None:
    model, needs = make_classifier(layers=3, scale=4.0), Needs(teacher_taps=frozenset({Tap("first", 2)}))
    batch = make_task(pad_left=True).batch(range(6))
    assert (batch["teacher"]["attention_mask"][:, 0] == 0).any()
    first = LocalTeacher(model).signal(batch, needs)["states"][Tap("first", 2)]
    with torch.no_grad():
        states = model(**batch["teacher"], output_hidden_states=True).hidden_states[2]
    for row, mask in enumerate(batch["teacher"]["attention_mask"].tolist()):
        torch.testing.assert_close(first[row], states[row, mask.index(1)])
