"""Losses that pull rows of one class together and push others apart, in the space of a classifier's features."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["has_partner", "pair_cosine_error", "supervised_contrastive"]


def pair_cosine_error(*, features_BD: Tensor, labels_B: Tensor) -> Tensor:
    """Return ``(cos(u, v) - [same class])^2`` of each pair of rows, once for each of its two rows, ``[B]``.

    Rows 1 and 2 are a pair, rows 3 and 4 the next one, and so on: the loss of SetFit, with the mean over rows equal to
    that over pairs.

    Reference: Tunstall et al. 2022, arXiv:2209.11055, section 3; the loss is ``CosineSimilarityLoss`` of
    sentence-transformers (Reimers and Gurevych 2019, arXiv:1908.10084, section 3.1).

    Args:
        features_BD: an even number of rows.
        labels_B: their classes.

    Example:
        >>> features_BD = torch.tensor([[1.0, 0.0], [3.0, 4.0]])
        >>> pair_cosine_error(features_BD=features_BD, labels_B=torch.tensor([1, 1]))  # (0.6 - 1)^2
        tensor([0.1600, 0.1600])
    """
    assert len(features_BD) % 2 == 0, "rows come in pairs"
    features_BD = _at_least_float32(features_BD)
    cosine_P = torch.nn.functional.cosine_similarity(features_BD[::2], features_BD[1::2], dim=-1)
    same_P = (labels_B[::2] == labels_B[1::2]).to(cosine_P)
    return (cosine_P - same_P).square().repeat_interleave(2)


def supervised_contrastive(*, features_BD: Tensor, labels_B: Tensor, temperature: float) -> Tensor:
    """Return ``-mean_{p in P(i)} log(exp(z_i z_p / t) / sum_{a != i} exp(z_i z_a / t))`` of each row i, ``[B]``.

    z are the features divided by their length, P(i) the other rows of i's class in the batch; 0 for a row without any.

    Reference: Khosla et al. 2020, "Supervised Contrastive Learning", arXiv:2004.11362, equation 2. Their code
    multiplies it by ``t / 0.07``, the temperature over the one it was tuned with.

    Args:
        features_BD: all rows of a step.
        labels_B: their classes.
        temperature: t.

    Example:
        >>> labels_B = torch.tensor([0, 0, 0])
        >>> supervised_contrastive(features_BD=torch.eye(3), labels_B=labels_B, temperature=1.0)  # ln 2
        tensor([0.6931, 0.6931, 0.6931])
    """
    unit_BD = torch.nn.functional.normalize(_at_least_float32(features_BD), dim=-1)
    itself_BB = torch.eye(len(unit_BD), dtype=torch.bool, device=unit_BD.device)
    with torch.autocast(unit_BD.device.type, enabled=False):  # in half precision, products are off by 1 %
        cosine_BB = unit_BD @ unit_BD.T
    log_probs_BB = (cosine_BB / temperature).masked_fill(itself_BB, -torch.inf).log_softmax(dim=-1)
    partners_BB = (labels_B[:, None] == labels_B) & ~itself_BB
    return -log_probs_BB.masked_fill(~partners_BB, 0.0).sum(dim=-1) / partners_BB.sum(dim=-1).clamp(min=1)


def has_partner(labels_B: Tensor) -> Tensor:
    """Return which rows have another row of their class in the batch, bool ``[B]``."""
    return (labels_B[:, None] == labels_B).sum(dim=-1) > 1


def _at_least_float32(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))
