"""A cut model is its original without the units that are gone, in every family."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.students.pruning.conftest import CLASSIFIERS, FAMILIES
from torch import Tensor

from limbeck.errors import ModelError
from limbeck.models.trials import probe_ids
from limbeck.students.pruning.cut import cut_model, require_same_outputs
from limbeck.students.pruning.importance import Kept
from limbeck.students.pruning.shape import Widths, target_shape
from limbeck.students.pruning.units import units_of

Make = Callable[..., Any]
EACH = pytest.mark.parametrize("kind", FAMILIES)


def some_units(model: Any, widths: Widths, *, seed: int = 0, ordered: bool = True) -> tuple[Any, Kept]:
    """Return a shape and random units for it; those of layers differ."""
    units, shape = units_of(model), target_shape(model, widths)
    generator = torch.Generator().manual_seed(seed)

    def pick(there: int, count: int) -> Tensor:
        places = torch.randperm(there, generator=generator)[:count]
        return places.sort().values if ordered else places

    layers, before = range(len(units.layers)), units.shape
    groups = tuple(pick(before.groups, shape.groups) for _ in layers)
    if units.shared_heads:
        groups = groups[:1] * len(layers)
    neurons = tuple(pick(before.feed_forward, shape.feed_forward) for _ in layers)
    return shape, Kept(pick(before.hidden, shape.hidden), groups, neurons)


def logits_of(model: Any) -> Tensor:
    ids = probe_ids(model, 3, 11)
    mask = torch.ones_like(ids)
    mask[1, 6:] = 0
    with torch.no_grad():
        logits: Tensor = model(input_ids=ids, attention_mask=mask).logits
    return logits[mask.bool()] if logits.dim() > 2 else logits


@EACH
def test_masked_outputs_are_those_of_the_cut_model(make_family: Make, kind: str) -> None:
    model = make_family(kind)
    shape, kept = some_units(model, Widths(hidden=16, heads=2, feed_forward=40))
    student = cut_model(model, shape, kept)
    assert (shape.hidden, shape.heads, shape.feed_forward) == (16, 2, 40)
    assert units_of(student).shape == shape
    require_same_outputs(model, student, kept)
    # Not because nothing was cut: other units give other outputs.
    with pytest.raises(ModelError, match="differ by"):
        require_same_outputs(model, cut_model(model, shape, some_units(model, Widths(16, 2, 40), seed=1)[1]), kept)


@pytest.mark.fast_cases(6)
@EACH
@pytest.mark.parametrize("widths", [Widths(hidden=16), Widths(heads=2), Widths(feed_forward="half")], ids=repr)
def test_each_axis_can_be_cut_alone(make_family: Make, kind: str, widths: Widths) -> None:
    model = make_family(kind)
    shape, kept = some_units(model, widths, seed=2)
    require_same_outputs(model, cut_model(model, shape, kept), kept)


@EACH
def test_keeping_everything_changes_nothing(make_family: Make, kind: str) -> None:
    model = make_family(kind)
    units = units_of(model)
    student = cut_model(model, units.shape, Kept.first(units, units.shape)).eval()
    assert torch.equal(logits_of(student), logits_of(model))
    assert type(student) is type(model)


@EACH
def test_the_order_of_units_makes_no_difference(make_family: Make, kind: str) -> None:
    model = make_family(kind)
    before = units_of(model).shape
    shape, kept = some_units(model, Widths(), ordered=False)
    if units_of(model).shared_heads:
        kept = replace(kept, groups=(torch.arange(before.groups),) * 2)
    assert shape == before
    assert not torch.equal(kept.hidden, torch.arange(before.hidden))
    student = cut_model(model, shape, kept).eval()
    expected = logits_of(model)
    torch.testing.assert_close(logits_of(student), expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
    assert not torch.equal(student.get_input_embeddings().weight, model.get_input_embeddings().weight)


@pytest.mark.parametrize("kind", ["gpt2", "gemma3_text", "llama"])
@pytest.mark.parametrize("tied", [True, False])
def test_tied_matrices_stay_tied(make_family: Make, kind: str, tied: bool) -> None:
    model = make_family(kind, tie_word_embeddings=tied)
    shape, kept = some_units(model, Widths(hidden=16, heads=2, feed_forward=40))
    student = cut_model(model, shape, kept)
    assert (student.get_output_embeddings().weight is student.get_input_embeddings().weight) is tied
    require_same_outputs(model, student, kept)


@pytest.mark.parametrize("kind", ["bert", "gpt2", "gemma3_text", "qwen2"])
def test_a_saved_student_is_an_ordinary_folder(make_family: Make, tmp_path: Path, kind: str) -> None:
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    model = make_family(kind)
    shape, kept = some_units(model, Widths(hidden=16, heads=2, feed_forward=40))
    student = cut_model(model, shape, kept).eval()
    student.save_pretrained(tmp_path)
    auto = AutoModelForSequenceClassification if kind in CLASSIFIERS else AutoModelForCausalLM
    assert torch.equal(logits_of(auto.from_pretrained(tmp_path).eval()), logits_of(student))


def test_heads_that_share_keys_and_values_are_cut_together(make_family: Make) -> None:
    """With one of two groups, the queries left are the two heads of that group, and their columns of the output."""
    model = make_family("llama")
    shape, _ = some_units(model, Widths(heads=2))
    every = torch.arange(32), (torch.tensor([1]), torch.tensor([0])), (torch.arange(72),) * 2
    student = cut_model(model, shape, Kept(*every))
    attention, whole = student.model.layers[0].self_attn, model.model.layers[0].self_attn
    assert torch.equal(attention.q_proj.weight, whole.q_proj.weight[16:])
    assert torch.equal(attention.k_proj.weight, whole.k_proj.weight[8:])
    assert torch.equal(attention.v_proj.weight, whole.v_proj.weight[8:])
    assert torch.equal(attention.o_proj.weight, whole.o_proj.weight[:, 16:])
    second, whole = student.model.layers[1].self_attn, model.model.layers[1].self_attn
    assert torch.equal(second.q_proj.weight, whole.q_proj.weight[:16])


def prune_somehow(model: Any) -> None:
    shape, kept = some_units(model, Widths(heads=2, hidden=16))
    require_same_outputs(model, cut_model(model, shape, kept), kept)


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("gpt_neox", "its outputs differ by"),  # one matrix, with queries, keys and values head by head
        ("phi3", "projections into attention of layer 1 have other widths"),  # the output is defined first
        ("albert", "share weights between layers"),
    ],
)
def test_other_layouts_are_refused(make_family: Make, kind: str, found: str) -> None:
    model = make_family(kind)
    with pytest.raises(ModelError, match=found):
        prune_somehow(model)


def test_a_pooled_classifier_is_cut_with_its_head(make_family: Make) -> None:
    from limbeck.models.pooled_classifier import with_pooling

    model = with_pooling(make_family("bert"), "mean").eval()
    shape, kept = some_units(model, Widths(hidden=16, feed_forward=40))
    student = cut_model(model, shape, kept)
    assert student.head.weight.shape == (3, 16)
    require_same_outputs(model, student, kept)


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert", "mpnet"])
def test_a_masked_language_model_is_cut_with_its_head(make_family: Make, kind: str) -> None:
    """The head has a matrix and a norm of its own, and the word embeddings."""
    model = make_family(kind, auto="AutoModelForMaskedLM")
    shape, kept = some_units(model, Widths(hidden=16, feed_forward=40))
    student = cut_model(model, shape, kept)
    assert student.get_output_embeddings().weight is student.get_input_embeddings().weight
    require_same_outputs(model, student, kept)


def test_minima_3b_has_its_published_number_of_parameters() -> None:
    """2,914,516,992, norms aside, for a vocabulary of 32,000."""
    from transformers import LlamaConfig, LlamaForCausalLM

    from limbeck.numerics.layer_maps import choose_layers
    from limbeck.students.pruning.student import pruned_student

    sizes = {"hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32, "intermediate_size": 11008}
    with torch.device("meta"):
        teacher = LlamaForCausalLM(LlamaConfig(vocab_size=32_000, **sizes))
        layers = choose_layers("middle", teacher_layers=32, keep=24)
        student = pruned_student(teacher, layers=layers, widths=Widths(hidden=3072, heads=24, feed_forward=8192))
    assert layers == tuple(range(5, 29))
    matrices = sum(weight.numel() for weight in student.parameters() if weight.dim() > 1)
    assert matrices == 2_914_516_992
