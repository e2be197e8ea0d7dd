"""Check that the labels are in the order of the teacher's outputs, if the teacher does not name them."""

from __future__ import annotations

from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from limbeck.data.prompts.scored import encode_for
from limbeck.errors import ModelError
from limbeck.evaluation.label_order import best_order
from limbeck.evaluation.predict import predict_logits
from limbeck.formatting import share_text
from limbeck.models.load import has_named_labels, load_config
from limbeck.tasks.classification.config import RunConfig
from limbeck.tasks.classification.rows import RunRows

__all__ = ["check_label_order", "labelled_by_teacher", "order_is_open"]

_ROWS, _SHOWN = 256, 5


def order_is_open(config: RunConfig) -> bool:
    """Whether the order of the teacher's outputs is only given by the run file, or a guess."""
    teacher = config.teacher
    if not teacher.is_classifier or teacher.fine_tune is not None:
        return False
    assert teacher.model is not None
    return not has_named_labels(load_config(teacher.model, trust_remote_code=teacher.trust_remote_code))


def labelled_by_teacher(
    model: Any, tokenizer: Any, rows: RunRows, max_length: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the index of the teacher's largest output for labelled rows, up to 256 of each split, and their gold."""
    given, gold = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    for part, labels_N in ((rows.test, rows.test_labels), (rows.train, rows.train_labels)):
        chosen = np.random.default_rng(0).permutation(np.flatnonzero(labels_N >= 0))[:_ROWS]
        if len(chosen):
            logits = predict_logits(model, encode_for(model, part.take(chosen.tolist()), tokenizer, max_length))
            given.append(logits.argmax(axis=-1))
            gold.append(labels_N[chosen])
    return np.concatenate(given), np.concatenate(gold)


def check_label_order(
    config: RunConfig, labels: list[str], given_N: NDArray[np.int64], gold_N: NDArray[np.int64]
) -> list[str]:
    """Return warnings on the order of the teacher's outputs (see `order_is_open`).

    Args:
        config: the run.
        labels: in the order that the run assumes.
        given_N: the index of the teacher's largest output for labelled rows.
        gold_N: their gold labels, by their index in `labels`.

    Raises:
        ModelError: another order fits the labelled rows significantly better; it gives that order.
    """
    found = best_order(given_N, gold_N, labels)
    model, guess = config.teacher.model, config.task.labels is None
    whose = "a guess (sorted)" if guess else "that of task.labels"
    if found.is_wrong:
        exchanged = [name for name, index in zip(labels, found.order, strict=True) if name != index]
        raise ModelError(
            f"teacher {model} has no label names, and the order of its outputs is {whose}: it is right on "
            f"{share_text(found.right / found.rows)} of {found.rows} labelled rows, and on "
            f"{share_text(found.right_in_best / found.rows)} in another order, which moves {len(exchanged)} labels "
            f"({', '.join(exchanged[:_SHOWN])}{', ...' if len(exchanged) > _SHOWN else ''}). Write that "
            f"order into the run file, under task:\n  labels: {_in_yaml(found.order)}"
        )
    if not guess or not found.unseen:
        return []
    unseen = ", ".join(f"'{name}'" for name in found.unseen[:_SHOWN]) + (", ..." if len(found.unseen) > _SHOWN else "")
    return [
        f"The teacher has no label names, so the order of its outputs is {whose}, and {found.rows} labelled rows do "
        f"not confirm it for {unseen}. Give task.labels in the order of its outputs."
    ]


def _in_yaml(labels: list[str]) -> str:
    return yaml.safe_dump(labels, default_flow_style=True, allow_unicode=True, width=10**6).strip()
