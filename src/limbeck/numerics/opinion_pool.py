"""A linear opinion pool: the weighted mean of the probabilities that several members give."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["pool_weights", "pooled"]

Array = NDArray[np.float64]

_LEAST_PROBABILITY = 1e-6
"""So that a row which all members rule out has finite weights."""
_TOLERANCE = 1e-9
_MOST_STEPS = 10_000


def pool_weights(gold_probs_NM: Array, *, prior_rows: float = 1.0) -> Array:
    """Return the members' weights ``[M]``, at least 0 and summing to 1, with the smallest log-loss of their mean.

    They maximise ``sum_n log(sum_m w_m p_nm) + prior_rows * sum_m log w_m``, which is concave, by expectation
    maximisation: each row is divided among the members by their share of its probability, and a weight is the mean of
    its shares. The prior acts like `prior_rows` rows that each member alone got right; it keeps a few rows from
    giving one member everything.

    Reference: Stone 1961, "The Opinion Pool", Annals of Mathematical Statistics 32(4) (the pool); Dempster, Laird,
    Rubin 1977, "Maximum Likelihood from Incomplete Data via the EM Algorithm", section 4.3 (mixing proportions).

    Args:
        gold_probs_NM: probability that each member gives to the right label of each row. They have to come from
            models that did not learn the row.
        prior_rows: strength of the prior, in rows for each member; above 0.

    >>> pool_weights(np.array([[0.9, 0.1], [0.8, 0.2], [0.9, 0.3]])).round(2).tolist()
    [0.76, 0.24]
    """
    probs_NM = np.maximum(gold_probs_NM, _LEAST_PROBABILITY)
    rows, members = probs_NM.shape
    weights_M = np.full(members, 1 / members)
    for _ in range(_MOST_STEPS):
        shares_NM = probs_NM * weights_M
        shares_NM /= shares_NM.sum(axis=1, keepdims=True)
        new_M = (shares_NM.sum(axis=0) + prior_rows) / (rows + members * prior_rows)
        moved = float(np.abs(new_M - weights_M).max())
        weights_M = new_M
        if moved < _TOLERANCE:
            break
    return weights_M


def pooled(probs_MNC: Array, answered_MN: NDArray[np.bool_], weights_M: Array) -> Array:
    """Return the weighted mean ``[N, C]`` over the members that answered each row; 0 where none did.

    Args:
        probs_MNC: probabilities from each member; anything finite where it did not answer.
        answered_MN: which rows each member answered.
        weights_M: of the members; not all zero among those that answered a row.
    """
    weights_MN = weights_M[:, None] * answered_MN
    total_N = weights_MN.sum(axis=0)
    mean_NC: Array = np.einsum("mn,mnc->nc", weights_MN, probs_MNC) / np.where(total_N > 0, total_N, 1.0)[:, None]
    return mean_NC
