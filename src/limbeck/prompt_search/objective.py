"""The objective of a prompt on labelled rows, and whether an improvement is more than noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from limbeck.evaluation.accuracy import macro_f1
from limbeck.evaluation.calibration import expected_calibration_error, reliability_bins
from limbeck.evaluation.significance import resample
from limbeck.teachers.labels.label_probs import LabelProbs

__all__ = ["FEW_ROWS", "Score", "beats", "score_prompt"]

FEW_ROWS = 50
"""With fewer rows the best of many prompts is often just lucky, so it must win by more than one standard error."""

_RESAMPLES = 200


@dataclass(frozen=True)
class Score:
    """``J = macro F1 - 0.5 ECE - 0.1 (share of unreadable answers) - 0.05 (tokens of a prompt / 1000)``."""

    objective: float
    standard_error: float
    """Standard error of the objective, by bootstrap over rows."""
    macro_f1: float
    calibration_error: float
    """ECE of the rows with a readable answer, 15 bins."""
    unreadable: float
    prompt_tokens: float
    """Mean over rows."""
    rows: int


def score_prompt(answers: LabelProbs, gold_N: NDArray[np.int64], tokens_N: NDArray[np.int64]) -> Score:
    """Return the figures of a prompt; a row whose answer cannot be read counts as wrong.

    Args:
        answers: the teacher's answers under the prompt.
        gold_N: label ids.
        tokens_N: tokens of each row's prompt.
    """
    classes = answers.probs_NC.shape[1]
    predicted_N = np.where(answers.kept_N, answers.probs_NC.argmax(axis=1), classes)

    def figures(rows: NDArray[np.int64]) -> tuple[float, float, float, float]:
        kept = rows[answers.kept_N[rows]]
        f1 = float(macro_f1(gold_N[rows], predicted_N[rows], classes + 1))
        error = (
            expected_calibration_error(reliability_bins(answers.probs_NC[kept], gold_N[kept])) if len(kept) else 1.0
        )
        return f1, error, 1 - len(kept) / len(rows), float(tokens_N[rows].mean())

    def objectives(rows: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.array([_objective(*figures(sample)) for sample in rows])

    whole = figures(np.arange(len(gold_N)))
    spread = resample(objectives, len(gold_N), resamples=_RESAMPLES)
    return Score(_objective(*whole), float(spread.std(ddof=1)), *whole, rows=len(gold_N))


def beats(winner: Score, default: Score) -> bool:
    """Whether a winner of the search replaces the default.

    On fewer than 50 rows it must be better by more than one standard error, the larger of the two.
    """
    lead = winner.objective - default.objective
    if winner.rows >= FEW_ROWS:
        return lead > 0
    return lead > max(winner.standard_error, default.standard_error)


def _objective(f1: float, calibration_error: float, unreadable: float, tokens: float) -> float:
    return f1 - 0.5 * calibration_error - 0.1 * unreadable - 0.05 * tokens / 1000
