"""False alarms at each sensitivity for risk."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from limbeck.results import Interval
from limbeck.results.alerts import SweepPoint

__all__ = ["SENSITIVITIES", "sweep", "sweep_curve"]

SENSITIVITIES = (0.8, 0.9, 0.95)

_RESAMPLES = 2000
_CURVE_POINTS = 200
_ROUNDING = 1e-9


def sweep(
    risk_probs_N: NDArray[np.float64], risk_N: NDArray[np.bool_], *, seed: int = 0, resamples: int = _RESAMPLES
) -> list[SweepPoint]:
    """Return the false alarms per 1,000 articles at 80, 90 and 95 % sensitivity for risk.

    The threshold is the highest at which the sensitivity is reached; articles with equal probabilities are alarms
    together. A false alarm is an alarm on an article that is not a risk. Intervals are the 2.5 and 97.5 percentiles
    over resampled rows, with the threshold recomputed in each sample (Efron & Tibshirani, 1993, chapter 13).

    Args:
        risk_probs_N: probability of risk of every article.
        risk_N: whether the gold label is a risk; at least one is.
        seed: of the resampling.
        resamples: number of samples.
    """
    order = np.argsort(-risk_probs_N, kind="stable")
    probs, risk = risk_probs_N[order], risk_N[order]
    ends = np.append(np.flatnonzero(np.diff(probs)), len(probs) - 1)
    """Last index of every run of equal probabilities, where a threshold can be."""
    rng = np.random.default_rng(seed)
    once = np.ones(len(probs))
    drawn = [false for _ in range(resamples) if (false := _false_alarms(_drawn(rng, risk), risk, ends)) is not None]
    low, high = np.quantile(np.array(drawn), [0.025, 0.975], axis=0)
    values = _false_alarms(once, risk, ends)
    assert values is not None
    points = []
    for n, wanted in enumerate(SENSITIVITIES):
        end = ends[_reached(once, risk, ends, wanted)]
        points.append(
            SweepPoint(
                sensitivity=wanted,
                reached_sensitivity=float(risk[: end + 1].sum() / risk.sum()),
                threshold=float(probs[end]),
                false_alarms_per_1000=Interval(value=values[n], low=float(low[n]), high=float(high[n])),
                alarms_per_1000=1000 * (int(end) + 1) / len(probs),
            )
        )
    return points


def sweep_curve(risk_probs_N: NDArray[np.float64], risk_N: NDArray[np.bool_]) -> tuple[list[float], list[float]]:
    """Return false alarms per 1,000 articles and sensitivity at falling thresholds, at most 200 of them."""
    order = np.argsort(-risk_probs_N, kind="stable")
    probs, risk = risk_probs_N[order], risk_N[order]
    ends = np.append(np.flatnonzero(np.diff(probs)), len(probs) - 1)
    false = np.append(0, 1000 * np.cumsum(~risk)[ends] / len(risk))
    found = np.append(0, np.cumsum(risk)[ends] / risk.sum())
    kept = np.unique(np.linspace(0, len(false) - 1, min(len(false), _CURVE_POINTS)).round().astype(int))
    return false[kept].tolist(), found[kept].tolist()


def _drawn(rng: np.random.Generator, risk: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return how often each row is in one bootstrap sample."""
    return np.bincount(rng.integers(0, len(risk), len(risk)), minlength=len(risk)).astype(np.float64)


def _false_alarms(times: NDArray[np.float64], risk: NDArray[np.bool_], ends: NDArray[np.int64]) -> list[float] | None:
    """Return false alarms per 1,000 at each of `SENSITIVITIES`; ``None`` for a sample without risk."""
    if not (times * risk).any():
        return None
    false = np.cumsum(times * ~risk)[ends]
    return [float(1000 * false[_reached(times, risk, ends, wanted)] / times.sum()) for wanted in SENSITIVITIES]


def _reached(times: NDArray[np.float64], risk: NDArray[np.bool_], ends: NDArray[np.int64], wanted: float) -> int:
    """Return the index in `ends` of the highest threshold that finds the share `wanted` of the risk."""
    found = np.cumsum(times * risk)[ends]
    return int(np.argmax(found >= wanted * found[-1] - _ROUNDING))
