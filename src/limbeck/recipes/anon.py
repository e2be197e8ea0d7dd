"""ANON: the student learns a prompted teacher's labels, from rows that the teacher is sure of to those it is not."""

from __future__ import annotations

from typing import Literal

from limbeck.errors import ConfigError
from limbeck.losses.hints.hidden import HiddenStates
from limbeck.losses.logits import TeacherCrossEntropy
from limbeck.losses.rationales import RationaleCrossEntropy
from limbeck.losses.term import WeightedTerm
from limbeck.recipes.checks import require_share
from limbeck.recipes.recipe import Recipe
from limbeck.sequences.curriculum import Curriculum, Measure
from limbeck.sequences.given import GivenRows
from limbeck.stages.stage import Stage

__all__ = ["anon"]


def anon(
    *,
    labels: Literal["soft", "hard"] = "soft",
    order: Literal["progressive", "random"] = "progressive",
    stages: int = 3,
    difficulty: Measure = "entropy",
    class_quota: float = 0.1,
    unsure_weight: float = 1.0,
    hidden_weight: float = 0.0,
    rationale_weight: float = 0.0,
) -> Recipe:
    """``-sum_c p_c log q_c`` with the teacher's probabilities p, easy rows first; no gold labels are read.

    Optional: ``+ hidden_weight |W norm(h_S) - norm(h_T)|^2 / d_T`` (`HiddenStates`), and ``- rationale_weight mean_t
    log q(r_t | x, r_<t)`` with the teacher's rationale r (`RationaleCrossEntropy`).

    Left out by default: the hidden states, which the paper names without a weight (``hidden_weight: 0.1`` is a start),
    and the teacher's rationales as a second task (``rationale_weight: 0.3``)

    Paper: Saxena, Janzen, Maass 2025, "Streamlining LLMs: Adaptive Knowledge Distillation for Tailored Language
    Models", NAACL Student Research Workshop, ACL Anthology 2025.naacl-srw.43, equation 1

    Args:
        labels: ``soft``: the teacher's probabilities; ``hard``: all on its most likely label.
        order: ``progressive``: stage j of S trains on the rows up to the quantile j/S of difficulty; ``random``: all
            rows from the first step on, for the same number of steps.
        stages: S. All stages share one optimiser and one schedule, and pass over their rows equally often.
        difficulty: ``entropy`` of the teacher's probabilities; ``least_sure``: one minus the highest of them;
            ``student_loss``: the untrained student's loss on them.
        class_quota: minimum share of each class in a stage, unless there are no more rows of it.
        unsure_weight: weight of rows whose entropy is above 0.9; the paper has no such weights, so all weigh the same.
        hidden_weight: weight of the hidden states; the paper gives none, 0.1 is a start. Needs a local teacher and a
            student that reads the same tokens (``student.head: verbaliser``).
        rationale_weight: weight of the cross-entropy on the teacher's rationales, a second task of a student with
            ``head: verbaliser``; 0.3 is a start. They are read (``teacher.rationale``), or requested from an API.
    """
    require_share("class_quota", class_quota)
    if stages < 1:
        raise ConfigError(f"recipe.stages must be at least 1, not {stages}")
    terms = (
        WeightedTerm("teacher_labels", TeacherCrossEntropy(labels == "hard", unsure_weight)),
        WeightedTerm("hidden_states", HiddenStates("nearest", layer_norm=True, projected=True), weight=hidden_weight),
        WeightedTerm("rationales", RationaleCrossEntropy(), weight=rationale_weight),
    )
    source = Curriculum(stages, difficulty, class_quota) if order == "progressive" else GivenRows()
    return Recipe("ANON" if order == "progressive" else "ANON in random order", (Stage("anon", terms, source=source),))
