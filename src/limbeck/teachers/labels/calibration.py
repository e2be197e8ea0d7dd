"""Calibration of a teacher's label probabilities; every step keeps the raw ones and records itself.

Rows that were not kept stay uniform, and do not count in any mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import DataError
from limbeck.teachers.labels.label_probs import LabelProbs

__all__ = ["COLDEST", "CONTENT_FREE", "HOTTEST", "batch", "contextual", "fit_temperature", "temperature"]

CONTENT_FREE = ("N/A", "", "[MASK]")
"""Inputs without content: a teacher's answer to them is its bias (Zhao et al. 2021, section 5)."""

COLDEST, HOTTEST = 0.05, 20.0
"""Bounds of a fitted temperature: if all rows were right it would be 0, if all were wrong infinity."""

_GOLDEN = (5**0.5 - 1) / 2
_TOLERANCE = 1e-7


def contextual(scored: LabelProbs, free: LabelProbs) -> LabelProbs:
    """Divide by the teacher's probabilities for inputs without content: p' proportional to ``p / mean(p_cf)``.

    Reference: Zhao, Wallace, Feng, Klein, Singh 2021, "Calibrate Before Use: Improving Few-Shot Performance of
    Language Models", arXiv:2102.09690, section 5 (a diagonal matrix; here without the additional softmax).

    Args:
        scored: probabilities of the rows.
        free: probabilities of `CONTENT_FREE` inputs with the same prompt and labels.

    Raises:
        DataError: different labels, or no input without content was answered.
    """
    return _divided(scored, _mean(free, scored), "contextual")


def batch(scored: LabelProbs) -> LabelProbs:
    """Divide by the mean of the rows themselves: p' proportional to ``p / mean(p)``; needs no labels.

    It assumes that labels are about equally frequent. If one is naturally rare, this assigns it rows of the others.

    Reference: Zhou et al. 2024, "Batch Calibration: Rethinking Calibration for In-Context Learning and Prompt
    Engineering", arXiv:2309.17249, section 3.

    Raises:
        DataError: no row was kept.
    """
    return _divided(scored, _mean(scored, scored), "batch")


def temperature(scored: LabelProbs, by: float) -> LabelProbs:
    """Return p' proportional to ``p^(1 / by)``: above 1 flatter, below 1 sharper; the order of labels stays the same.

    Reference: Guo et al. 2017, "On Calibration of Modern Neural Networks", arXiv:1706.04599, section 4.2.

    Raises:
        DataError: `by` is not above 0.
    """
    if not by > 0:
        raise DataError(f"a temperature must be above 0, not {by}")
    probs_NC = np.exp(_scaled_logs(_log(scored.probs_NC), 1 / by))
    return replace(scored, probs_NC=_only_kept(scored, probs_NC), steps=(*scored.steps, f"temperature {by:.6g}"))


def fit_temperature(scored: LabelProbs, gold: Sequence[int] | NDArray[np.int64]) -> float:
    """Return the temperature with the lowest negative log-likelihood of gold labels, in [`COLDEST`, `HOTTEST`].

    The likelihood is concave in the inverse temperature, so golden-section search finds the optimum.

    Args:
        scored: development rows, from the same teacher, prompt and calibration steps.
        gold: label ids of all these rows; below 0: unlabelled, not counted.

    Raises:
        DataError: no labelled row was kept.
    """
    gold_N = np.asarray(gold, dtype=np.int64)
    if gold_N.shape != scored.kept_N.shape:
        raise DataError(f"{len(gold_N)} gold labels for {len(scored)} rows")
    used_N = scored.kept_N & (gold_N >= 0)
    if not used_N.any():
        raise DataError("a temperature is fitted on labelled rows, but no labelled row has an answer from the teacher")
    # A label that the teacher rules out would cost the same infinity at every temperature.
    logs_NC = np.log(np.clip(scored.probs_NC[used_N], np.finfo(np.float64).tiny, None))
    gold_N = gold_N[used_N]

    def cost(sharpness: float) -> float:
        return float(-_scaled_logs(logs_NC, sharpness)[np.arange(len(gold_N)), gold_N].mean())

    low, high = 1 / HOTTEST, 1 / COLDEST
    while high - low > _TOLERANCE * high:
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        if cost(left) <= cost(right):
            high = right
        else:
            low = left
    return 2 / (low + high)


def _divided(scored: LabelProbs, mean_C: NDArray[np.float64], step: str) -> LabelProbs:
    logs_NC = _log(scored.probs_NC) - np.log(np.clip(mean_C, np.finfo(np.float64).tiny, None))
    probs_NC = np.exp(_scaled_logs(logs_NC, 1.0))
    return replace(scored, probs_NC=_only_kept(scored, probs_NC), steps=(*scored.steps, step))


def _mean(of: LabelProbs, like: LabelProbs) -> NDArray[np.float64]:
    if of.probs_NC.shape[1] != like.probs_NC.shape[1]:
        raise DataError(f"calibration with {of.probs_NC.shape[1]} labels for rows with {like.probs_NC.shape[1]}")
    if not of.kept_N.any():
        raise DataError("calibration needs the teacher's answers, but none could be read")
    mean_C: NDArray[np.float64] = of.probs_NC[of.kept_N].mean(axis=0)
    return mean_C


def _log(probs_NC: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.log(probs_NC, out=np.full_like(probs_NC, -np.inf), where=probs_NC > 0)


def _scaled_logs(logs_NC: NDArray[np.float64], sharpness: float) -> NDArray[np.float64]:
    """Return ``log softmax(sharpness * logs)``."""
    scaled_NC = sharpness * (logs_NC - logs_NC.max(axis=1, keepdims=True))
    normalised: NDArray[np.float64] = scaled_NC - np.log(np.exp(scaled_NC).sum(axis=1, keepdims=True))
    return normalised


def _only_kept(scored: LabelProbs, probs_NC: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(scored.kept_N[:, None], probs_NC, scored.probs_NC)
