"""The start of a classifier's head: logistic regression on the frozen features of a stage's rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.errors import ConfigError
from limbeck.losses.term import needs_of
from limbeck.models.classifier_head import features, head_layer
from limbeck.models.label_spreading import spread_head
from limbeck.numerics.logistic_regression import fit_logistic_regression, one_hot
from limbeck.ranks import device
from limbeck.stages.on_device import on_device
from limbeck.stages.stage import Stage
from limbeck.types import UNLABELLED, Needs

if TYPE_CHECKING:
    from limbeck.stages.pipeline import StageRun

__all__ = ["fit_head", "spread_rows"]

_MOST_ROWS, _MOST_SPREAD = 5_000, 20_000
"""More hardly change the head, and each costs a forward pass; spread labels profit from more."""
_BATCH_ROWS = 32


def fit_head(stage: Stage, run: StageRun, student: Any) -> None:
    """Replace the last linear layer of `student` by a logistic regression on its features of ``run.head_rows``.

    Targets are the gold labels, or the teacher's probabilities if a term of the stage reads its logits; with
    `Stage.spreads`, unlabelled rows take part (`spread_head`). Everything else stays as it is: linear probing first
    keeps the features of a pretrained model while its head is still bad.

    Reference: Kumar et al. 2022, "Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution",
    arXiv:2202.10054, section 3.

    Raises:
        ConfigError: no row has a target.
        ModelError: the student has no linear head.
    """
    head = head_layer(student)
    features_ND, probs_NC = _of_rows(stage, run, student, run.head_rows)
    has_bias = head.bias is not None
    known_N = probs_NC.sum(axis=1) > 0
    if not known_N.any():
        raise ConfigError(f"stage '{stage.name}' fits the head on labelled rows, and there are none")
    if stage.spreads:
        class_N = np.where(known_N, probs_NC.argmax(axis=1), UNLABELLED)
        fitted = spread_head(features_ND, class_N, probs_NC.shape[1], stage.head_strength, bias=has_bias)
    else:
        fitted = fit_logistic_regression(features_ND[known_N], probs_NC[known_N], stage.head_strength, bias=has_bias)
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(fitted.weight_CD))
        if head.bias is not None:
            head.bias.copy_(torch.from_numpy(fitted.bias_C))


def spread_rows(labelled: NDArray[np.int64], unlabelled: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rows that a head is fitted on with spread labels: all labelled ones, and others up to a bound."""
    most = max(0, _MOST_SPREAD - len(labelled))
    if len(unlabelled) > most:
        unlabelled = np.random.default_rng(0).permutation(unlabelled)[:most]
    return np.sort(np.concatenate([labelled, unlabelled]))


def _of_rows(
    stage: Stage, run: StageRun, student: Any, rows: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return the features of rows, and their target probabilities: all zero for a row without a target."""
    if len(rows) > _MOST_ROWS and not stage.spreads:
        rows = np.sort(np.random.default_rng(0).permutation(rows)[:_MOST_ROWS])
    found = list(_features_and_targets(stage, run, student, rows))
    if not found:
        return np.zeros((0, 0), dtype=np.float32), np.zeros((0, 0))
    features_ND, probs_NC = (np.concatenate(part) for part in zip(*found, strict=True))
    return features_ND, probs_NC


def _features_and_targets(
    stage: Stage, run: StageRun, student: Any, rows: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float64]]]:
    """Yield the features and targets of a batch of rows at a time."""
    student.to(device()).eval()
    by_teacher = needs_of(stage.terms).logits
    order = rows[np.argsort(-run.sequences.lengths[rows], kind="stable")]
    with run.progress.track(f"{run.title}, head", len(order)) as update:
        for start in range(0, len(order), _BATCH_ROWS):
            batch = run.make_batch(order[start : start + _BATCH_ROWS])
            labels_B = batch["labels_B"].numpy()
            known_B = labels_B != UNLABELLED
            inputs = {name: tensor.to(device()) for name, tensor in batch["student"].items()}
            with torch.no_grad():
                features_BD = features(student, inputs).float().cpu().numpy()
            if by_teacher:
                assert run.teacher is not None
                logits_BC = run.teacher.signal(on_device(batch), Needs(logits=True))["logits"]
                yield features_BD, logits_BC.double().softmax(dim=-1).cpu().numpy()
            else:
                targets_BC = one_hot(np.where(known_B, labels_B, 0), student.config.num_labels)
                yield features_BD, targets_BC * known_B[:, None]
            update(len(features_BD))
