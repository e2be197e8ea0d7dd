"""The kind of answer that a classifier is trained for: one label, several labels, or numbers."""

from __future__ import annotations

from typing import Any, Literal

from limbeck.errors import ModelError
from limbeck.models.pooled_classifier import pooling_named

__all__ = ["Problem", "call_single_label", "require_problem", "require_single_label"]

Problem = Literal["multi_label_classification", "regression"]

_GIVES: dict[Problem, str] = {"regression": "numbers", "multi_label_classification": "probability for each label"}


def require_single_label(config: Any, name: str, advice: str) -> None:
    """Refuse a model whose outputs are not logits of mutually exclusive labels.

    Args:
        config: the model's.
        name: the model's name in the message.
        advice: what to do instead.

    Raises:
        ModelError: its configuration says multi-label or regression, or it has one output.
    """
    problem = getattr(config, "problem_type", None)
    plain = any("SequenceClassification" in architecture for architecture in config.architectures or ())
    has_head = plain or pooling_named(config) is not None
    if problem == "multi_label_classification":
        raise ModelError(
            f"{name} gives each label its own probability (problem_type: {problem}), but this task's labels exclude "
            f"each other; for labels that do not, use task.kind: multi_label. {advice}"
        )
    if problem == "regression" or (has_head and config.num_labels == 1):
        raise ModelError(
            f"{name} gives {'numbers' if config.num_labels > 1 else 'one number'} (a regression or ranking head), "
            f"not probabilities of labels. {advice}"
        )


def require_problem(config: Any, problem: Problem, name: str, advice: str) -> None:
    """Refuse a trained model with another kind of output.

    Args:
        config: the model's.
        problem: the required ``problem_type``. One output without a type is a regression.
        name: the model's name in the message.
        advice: what to do instead.

    Raises:
        ModelError: it has another type, or none.
    """
    found = config.problem_type or ("regression" if config.num_labels == 1 else None)
    if found != problem:
        raise ModelError(f"{name} gives no {_GIVES[problem]} (problem_type: {found}, not {problem}). {advice}")


def call_single_label(config: Any) -> None:
    """Set in a configuration that labels exclude each other: pipelines and others rely on it."""
    if getattr(config, "problem_type", None) is not None:
        config.problem_type = "single_label_classification"
