"""Distillation on the rows' own completions: one divergence between next-token distributions, and the labels."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from limbeck.losses.term import WeightedTerm
from limbeck.losses.tokens import TokenTerm
from limbeck.numerics.token_losses import LabelLoss, TokenDivergence
from limbeck.recipes.recipe import Recipe
from limbeck.stages.stage import Stage

__all__ = ["adaptive_kl", "jensen_shannon", "reverse_kl", "total_variation"]

Share = Annotated[float, Field(ge=0, le=1)]
Temperature = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def reverse_kl(*, loss_temperature: Temperature = 1.0, label_weight: Share = 0.0) -> Recipe:
    """``KL(student || teacher)`` at every token: the student need not cover everything the teacher might say.

    Paper: Gu et al. 2024, "MiniLLM: Knowledge Distillation of Large Language Models", arXiv:2306.08543, section 2.1
    (there on the student's own texts; here on the rows' completions)

    Args:
        loss_temperature: divides both models' logits.
        label_weight: weight of the tokens in the rows, 0 to 1.
    """
    loss = TokenDivergence("reverse_kl", loss_temperature=loss_temperature)
    return _on_rows("Reverse KL", "reverse_kl", loss, label_weight)


def jensen_shannon(
    *,
    beta: Annotated[float, Field(ge=0, le=1)] = 0.5,
    loss_temperature: Temperature = 1.0,
    normalise: bool = False,
    label_weight: Share = 0.0,
) -> Recipe:
    """``beta KL(p || m) + (1 - beta) KL(q || m)``, ``m = beta p + (1 - beta) q``, at every token.

    Paper: Agarwal et al. 2024, "On-Policy Distillation of Language Models", arXiv:2306.13649, section 2

    Args:
        beta: weight of the teacher p in m; 0 is the forward and 1 the reverse KL.
        loss_temperature: divides both models' logits.
        normalise: divide by ``beta (1 - beta)``, without which the loss vanishes near both ends.
        label_weight: weight of the tokens in the rows, 0 to 1.
    """
    loss = TokenDivergence("jensen_shannon", beta=beta, loss_temperature=loss_temperature, normalise=normalise)
    return _on_rows("Jensen-Shannon", "jensen_shannon", loss, label_weight)


def total_variation(*, loss_temperature: Temperature = 1.0, label_weight: Share = 0.0) -> Recipe:
    """``1/2 sum |p - q|`` at every token. Weak far from the teacher: a student already near it gains most.

    Paper: Wen et al. 2023, "f-Divergence Minimization for Sequence-Level Knowledge Distillation", arXiv:2307.15190

    Args:
        loss_temperature: divides both models' logits.
        label_weight: weight of the tokens in the rows, 0 to 1.
    """
    loss = TokenDivergence("total_variation", loss_temperature=loss_temperature)
    return _on_rows("Total variation", "total_variation", loss, label_weight)


def adaptive_kl(
    *,
    head_mass: Annotated[float, Field(gt=0, lt=1)] = 0.5,
    loss_temperature: Temperature = 1.0,
    label_weight: Share = 0.0,
) -> Recipe:
    """``w KL(p || q) + (1 - w) KL(q || p)`` at every token, w the share of the gap on the teacher's top tokens.

    Paper: Wu et al. 2025, "Rethinking Kullback-Leibler Divergence in Knowledge Distillation for Large Language
    Models", arXiv:2404.02657, section 4

    Args:
        head_mass: the share of its probability that the teacher's top tokens hold together.
        loss_temperature: divides both models' logits.
        label_weight: weight of the tokens in the rows, 0 to 1.
    """
    loss = TokenDivergence("adaptive_kl", head_mass=head_mass, loss_temperature=loss_temperature)
    return _on_rows("Adaptive KL", "adaptive_kl", loss, label_weight)


def _on_rows(title: str, name: str, loss: TokenDivergence, label_weight: float) -> Recipe:
    terms = (
        WeightedTerm("divergence", TokenTerm(loss), weight=1 - label_weight),
        WeightedTerm("labels", TokenTerm(LabelLoss()), weight=label_weight),
    )
    return Recipe(title, (Stage(name, terms),))
