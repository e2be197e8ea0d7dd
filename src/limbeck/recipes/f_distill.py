"""Sequence-level f-divergences, step by step, on the teacher's and the student's texts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from limbeck.losses.hints.hidden import HiddenStates
from limbeck.losses.term import WeightedTerm
from limbeck.losses.tokens import TokenTerm
from limbeck.models.generate import Decoding
from limbeck.numerics.token_losses import LabelLoss, TokenDivergence
from limbeck.recipes.recipe import Recipe
from limbeck.sequences.given import TeacherWritten
from limbeck.sequences.on_policy import OnPolicy
from limbeck.sequences.source import Source
from limbeck.stages.stage import Stage
from limbeck.types import CompletionSource

__all__ = ["f_distill"]


def f_distill(
    *,
    variant: Literal["kl", "rkl", "js", "tvd"] = "js",
    pre_distillation_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.5,
    hint_weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0,
    hint_layers: Literal["first", "last", "uniform", "spread", "cka"] = "uniform",
    beta: Annotated[float, Field(gt=0, lt=1)] = 0.5,
    max_new_tokens: Annotated[int, Field(ge=1)] = 128,
) -> Recipe:
    """One of four f-divergences between whole texts, as a sum of per-token divergences; no gold completions.

    Texts are sampled and carry no gradient: the teacher's are generated once, the student's again in every step. KL
    uses the teacher's, RKL the student's, JS and TVD both. KL and RKL decompose exactly; JS with
    ``m = beta p + (1 - beta) q`` of the conditionals is the paper's approximation; TVD is an upper bound.

    Left out by default: the paper's hints of hidden states in the first stage, available with ``hint_weight: 3`` for a
    student of the teacher's width

    Paper: Wen et al. 2023, "f-Divergence Minimization for Sequence-Level Knowledge Distillation", ACL,
    arXiv:2307.15190, sections 3.1 to 3.5

    Args:
        variant: ``kl``, ``rkl``, ``js`` or ``tvd``.
        pre_distillation_fraction: share of the steps for ``0.8 KL + 0.2 CE`` on the rows first.
        hint_weight: weight of hidden-state hints in that stage; the paper has 3, for students of the teacher's width.
        hint_layers: the teacher layers that the student's are compared with, as in ``student.from_teacher.layers``;
            ``cka``: those that are most alike on the rows of the run, which the paper does not have.
        beta: weight of the teacher in JS's mixture.
        max_new_tokens: maximum length of a generated text.
    """
    stages: tuple[Stage, ...] = ()
    if pre_distillation_fraction:
        first = (
            WeightedTerm("divergence", TokenTerm(TokenDivergence("forward_kl")), weight=0.8),
            WeightedTerm("labels", TokenTerm(LabelLoss()), weight=0.2),
            WeightedTerm("hints", HiddenStates(hint_layers, over_layers="sum"), weight=hint_weight),
        )
        stages = (Stage("pre_distillation", first, share=pre_distillation_fraction),)
    teachers, students = (CompletionSource.TEACHER,), (CompletionSource.STUDENT,)
    both = {
        "kl": (("teacher", TokenDivergence("forward_kl"), teachers, 1.0),),
        "rkl": (("student", TokenDivergence("reverse_kl"), students, 1.0),),
        # KL(p || m) on the teacher's texts and KL(q || m) on the student's: the halves of JS are skew divergences.
        "js": (
            ("teacher", TokenDivergence("skew_forward_kl", alpha=beta), teachers, beta),
            ("student", TokenDivergence("skew_reverse_kl", alpha=1 - beta), students, 1 - beta),
        ),
        "tvd": (
            ("teacher", TokenDivergence("total_variation"), teachers, 0.5),
            ("student", TokenDivergence("total_variation"), students, 0.5),
        ),
    }[variant]
    terms = tuple(WeightedTerm(name, TokenTerm(loss, sources=who), weight) for name, loss, who, weight in both)
    decoding = Decoding(max_new_tokens)
    by_teacher = TeacherWritten(decoding)
    by_both = OnPolicy(1.0, beside=True, otherwise=by_teacher, decoding=decoding)
    by_student = OnPolicy(1.0, decoding=decoding)
    sources: dict[str, Source] = {"kl": by_teacher, "rkl": by_student, "js": by_both, "tvd": by_both}
    stage = Stage(f"f_distill_{variant}", terms, share=1 - pre_distillation_fraction, source=sources[variant])
    return Recipe(f"f-DISTILL ({variant.upper()})", (*stages, stage))
