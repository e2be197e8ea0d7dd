"""TED: hints from layers through filters that let pass what matters to the task."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from limbeck.errors import ConfigError
from limbeck.losses.hints.filters import FilteredStates, LayerFilters
from limbeck.losses.labels import LabelCrossEntropy
from limbeck.losses.logits import ForwardKL
from limbeck.losses.term import WeightedTerm
from limbeck.recipes.recipe import Recipe
from limbeck.sequences.given import GivenRows
from limbeck.stages.stage import Stage

__all__ = ["ted"]

_Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def ted(
    *,
    fine_tune_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.25,
    filter_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.25,
    filter_width: Annotated[int, Field(ge=1)] | None = None,
    layer_map: Literal["uniform", "cka"] = "uniform",
    label_weight: _Weight = 1.0,
    soft_target_weight: _Weight = 20.0,
    hint_weight: _Weight = 100.0,
    loss_temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 2.0,
) -> Recipe:
    """``CE(gold) + a1 T^2 KL + a2`` mean over layers of ``MSE(g_S(H_S), g_T(H_T))``, with filters g learned before.

    First the student is fine-tuned on gold labels. Then both models are frozen, and each compared layer gets a filter
    (a linear map with a bias) and a head of its own, trained on gold labels. The heads are dropped; in the last stage
    the teacher's filters stay as they are, and the student's are trained with it. Filters are never exported.

    Filters start as the identity, heads at 0, and heads read the mean over a row's tokens; the paper's start at random
    and have a pooler each. Its non-linear filters are left out. The hints are means over tokens without padding.

    Paper: Liang et al. 2023, "Less is More: Task-aware Layer-wise Distillation for Language Model Compression", ICML,
    arXiv:2210.01351

    Args:
        fine_tune_fraction: share of the steps for fine-tuning the student, our choice; 0: it knows the task already.
        filter_fraction: share of the steps for the filters, our choice.
        filter_width: width of filtered states; default: the teacher's, 768 in the released code.
        layer_map: ``uniform``: every N/M-th teacher layer, as in the released code; ``cka``: those that are most alike
            on the rows of the run, which the paper does not have.
        label_weight: weight of the gold labels in the last stage.
        soft_target_weight: a1; 20 on most tasks of GLUE in the released code, 5 on MNLI, 0 on CoLA, 10 on SQuAD.
        hint_weight: a2; by task from 10 (CoLA) to 7500 (MNLI) in the released code, 100 on QNLI and MRPC; search it.
            With 0 there are no filters, and nothing but the soft targets and labels of `kd`.
        loss_temperature: T of the soft targets, 2 in the released code.
    """
    if fine_tune_fraction + filter_fraction >= 1:
        raise ConfigError(
            f"recipe.fine_tune_fraction {fine_tune_fraction:g} and recipe.filter_fraction {filter_fraction:g} must "
            "add up to less than 1: nothing is left for distillation"
        )
    labels = WeightedTerm("labels", LabelCrossEntropy(), weight=label_weight)
    soft = WeightedTerm("divergence", ForwardKL(loss_temperature), weight=soft_target_weight)
    hints = WeightedTerm("hints", FilteredStates(layer_map, filter_width), weight=hint_weight)
    last = Stage("ted", (soft, labels, hints), share=1 - fine_tune_fraction - filter_fraction)
    if not hint_weight:
        return Recipe("TED", (replace(last, share=1.0),))
    labelled = GivenRows("labelled")
    gold = (WeightedTerm("labels", LabelCrossEntropy()),)
    filters = tuple(
        WeightedTerm(f"{side}_filters", LayerFilters(layer_map, filter_width, side)) for side in ("student", "teacher")
    )
    first = (Stage("fine_tune", gold, fine_tune_fraction, labelled),) if fine_tune_fraction else ()
    return Recipe("TED", (*first, Stage("filters", filters, filter_fraction, labelled, trains="terms"), last))
