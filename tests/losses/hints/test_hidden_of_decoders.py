"""Hints at every token: against states that the models themselves put out, in float64."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from limbeck.data.generation.collate import TokenSequence, collate
from limbeck.errors import ConfigError
from limbeck.losses.hints.hidden import HiddenStates
from limbeck.losses.objective import Objective
from limbeck.losses.readout import TokenReadout
from limbeck.losses.term import WeightedTerm, bind_terms
from limbeck.losses.tokens import TokenTerm
from limbeck.models.layers import shapes
from limbeck.numerics.token_losses import LabelLoss, TokenDivergence
from limbeck.teachers.language_model import LanguageTeacher
from limbeck.types import Batch, Needs, Shapes, Tap

VOCABULARY = 19
TERMS = (
    WeightedTerm("divergence", TokenTerm(TokenDivergence("forward_kl")), weight=0.8),
    WeightedTerm("labels", TokenTerm(LabelLoss()), weight=0.2),
    WeightedTerm("hints", HiddenStates("uniform", over_layers="sum"), weight=3.0),
)


def make_llama(layers: int, seed: int) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=16, num_hidden_layers=layers, num_attention_heads=2, intermediate_size=16,
        initializer_range=0.5, bos_token_id=1, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    return LlamaForCausalLM(config).double()


class Setting:
    def __init__(self) -> None:
        self.student, self.teacher = make_llama(2, seed=1), LanguageTeacher(make_llama(4, seed=2))
        self.terms = bind_terms(TERMS, shapes(self.teacher.model, self.student))
        rng = np.random.default_rng(0)
        self.sequences = []
        for prompt, completion in [(4, 2), (1, 6), (3, 1), (6, 4)]:
            ids = rng.integers(3, VOCABULARY, prompt + completion).astype(np.int32)
            self.sequences.append(TokenSequence(ids, np.arange(len(ids)) >= prompt, prompt, False))

    def batch(self, rows: Sequence[int], **options: Any) -> Batch:
        return collate([self.sequences[row] for row in rows], 0, **options)

    def step(self, *batches: Batch) -> tuple[float, Tensor, dict[str, float]]:
        objective = Objective(self.student, self.terms, TokenReadout())
        self.student.zero_grad(set_to_none=True)
        counts = objective.count(batches)
        total, logged = 0.0, {}
        for batch in batches:
            batch["signal"] = self.teacher.signal(batch, objective.needs)
            loss, parts = objective(batch, counts)
            loss.backward()
            total += loss.item()
            logged = {name: logged.get(name, 0.0) + part.item() for name, part in parts.items()}
        return total, self.gradient(), logged

    def gradient(self) -> Tensor:
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.student.parameters()]
        return torch.cat([gradient.flatten() for gradient in gradients])


@pytest.fixture
def setting() -> Setting:
    return Setting()


ALL = range(4)


def test_value_and_gradient_are_those_of_whole_hidden_states(setting: Setting) -> None:
    batch = setting.batch(ALL)
    loss, gradient, logged = setting.step(batch)
    setting.student.zero_grad(set_to_none=True)
    inputs, labels_BT = batch["student"], batch["labels_BT"]
    read_BT, learnt_BT = inputs["attention_mask"].bool(), labels_BT >= 0
    with torch.no_grad():
        # The library puts the last layer through the last norm: its output is taken where it leaves the layer.
        last: list[Tensor] = []
        handle = setting.teacher.model.model.layers[-1].register_forward_hook(lambda m, i, o: last.append(o))
        other = setting.teacher.model(**inputs, output_hidden_states=True)
        handle.remove()
    own_last: list[Tensor] = []
    handle = setting.student.model.layers[-1].register_forward_hook(lambda m, i, o: own_last.append(o))
    own = setting.student(**inputs, output_hidden_states=True)
    handle.remove()
    pairs = [(own.hidden_states[1], other.hidden_states[2]), (own_last[0], last[0])]
    hints = torch.stack([(a - b)[read_BT].square().mean() for a, b in pairs]).sum()
    log_q_SV, log_p_SV = (x.logits[learnt_BT].log_softmax(-1) for x in (own, other))
    divergence = (log_p_SV.exp() * (log_p_SV - log_q_SV)).sum(-1).mean()
    labels = torch.nn.functional.nll_loss(log_q_SV, labels_BT[learnt_BT])
    assert logged == pytest.approx(
        {"term/divergence": divergence.item(), "term/labels": labels.item(), "term/hints": hints.item()}, rel=1e-5
    )
    total = 0.8 * divergence + 0.2 * labels + 3 * hints
    assert loss == pytest.approx(total.item(), rel=1e-5)
    total.backward()
    assert gradient.abs().max() > 1
    torch.testing.assert_close(gradient, setting.gradient(), rtol=1e-5, atol=1e-5)


def test_any_split_and_packed_rows_give_the_same_step(setting: Setting) -> None:
    loss, gradient, logged = setting.step(setting.batch(ALL))
    for batches in ([setting.batch([2]), setting.batch([3, 0, 1])], [setting.batch(ALL, pack_to=16)]):
        other, other_gradient, other_logged = setting.step(*batches)
        assert other == pytest.approx(loss, rel=1e-5)
        assert other_logged == pytest.approx(logged, rel=1e-5)
        torch.testing.assert_close(other_gradient, gradient, rtol=1e-5, atol=1e-5)


def test_a_student_that_is_the_teacher_has_no_distance(setting: Setting) -> None:
    setting.teacher = LanguageTeacher(make_llama(2, seed=1))
    setting.terms = bind_terms(TERMS[2:], shapes(setting.teacher.model, setting.student))
    loss, gradient, _ = setting.step(setting.batch(ALL))
    assert loss == 0
    assert (gradient == 0).all()


def taps(*layers: int) -> frozenset[Tap]:
    return frozenset(Tap("hidden", layer) for layer in layers)


def test_layers_are_mapped_by_name() -> None:
    assert HiddenStates("uniform", over_layers="sum").bind(Shapes(6, 8, 3, 8)).pairs == ((1, 2), (2, 4), (3, 6))
    assert HiddenStates("spread", over_layers="sum").bind(Shapes(6, 8, 2, 8)).pairs == ((1, 1), (2, 6))
    needs = HiddenStates("last", over_layers="sum").bind(Shapes(6, 8, 2, 8)).needs
    assert needs == Needs(taps(1, 2), taps(5, 6), same_tokens=True, same_width=True)
    assert HiddenStates(over_layers="sum").needs.teacher


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"hint of hidden states .*the teacher has 8, the student 4"):
        HiddenStates(over_layers="sum").bind(Shapes(6, 8, 3, 4))
    with pytest.raises(ConfigError, match="cannot keep 7 layers of a teacher with 6"):
        HiddenStates(over_layers="sum").bind(Shapes(6, 8, 7, 8))
