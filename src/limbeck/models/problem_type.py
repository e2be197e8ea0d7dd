"""What kind of answer is a classifier trained to give: one label, several at once, or a number?"""

from __future__ import annotations

from typing import Any, Literal

from limbeck.errors import ModelError

__all__ = ["Problem", "call_single_label", "require_problem", "require_single_label"]

Problem = Literal["multi_label_classification", "regression"]

_GIVES: dict[Problem, str] = {"regression": "numbers", "multi_label_classification": "probability for each label"}


def require_single_label(config: Any, name: str, advice: str) -> None:
    """Refuse a model whose outputs are no logits of labels that exclude each other.

    Args:
        config: the model's.
        name: what the model is called in the message.
        advice: what to do instead.

    Raises:
        ModelError: its configuration says that it is multi-label, or a regression, or it has one output.
    """
    problem = getattr(config, "problem_type", None)
    has_head = any("SequenceClassification" in architecture for architecture in config.architectures or ())
    if problem == "multi_label_classification":
        raise ModelError(
            f"{name} gives each label a probability of its own (problem_type: {problem}), and this task's labels "
            f"exclude each other; for labels that do not there is task.kind: multi_label. {advice}"
        )
    if problem == "regression" or (has_head and config.num_labels == 1):
        raise ModelError(
            f"{name} gives {'numbers' if config.num_labels > 1 else 'one number'} (a regression or ranking head), "
            f"and no probabilities of labels. {advice}"
        )


def require_problem(config: Any, problem: Problem, name: str, advice: str) -> None:
    """Refuse a trained model whose outputs are of another kind.

    Args:
        config: the model's.
        problem: what its ``problem_type`` has to be. One output and none named is a regression.
        name: what the model is called in the message.
        advice: what to do instead.

    Raises:
        ModelError: it is something else, or does not say.
    """
    found = config.problem_type or ("regression" if config.num_labels == 1 else None)
    if found != problem:
        raise ModelError(f"{name} gives no {_GIVES[problem]} (problem_type: {found}, not {problem}). {advice}")


def call_single_label(config: Any) -> None:
    """Have a configuration say that labels exclude each other: others (a pipeline) go by it, whatever is trained."""
    if getattr(config, "problem_type", None) is not None:
        config.problem_type = "single_label_classification"
