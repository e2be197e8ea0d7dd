"""Relations among the embeddings of a step's rows, and answers looked up among those of other rows."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["batch_relations_kl", "retrieved", "unit"]


def unit(x: Tensor) -> Tensor:
    """Return vectors divided by their length, in float32 at least."""
    return torch.nn.functional.normalize(x.to(torch.promote_types(x.dtype, torch.float32)), dim=-1)


def batch_relations_kl(*, teacher_BD: Tensor, student_BD: Tensor, temperature: float) -> Tensor:
    """Return ``KL(u_i || v_i)`` of each row i, ``u_ij = softmax_j(z_i z_j / t)``, ``v_ij = softmax_j(z_i s_j / t)``.

    z and s are the embeddings divided by their length; rows are compared with themselves, too.

    Reference: Zhang et al. 2023, "ReAugKD: Retrieval-Augmented Knowledge Distillation For Pre-trained Language
    Models", ACL, section 2.2. It does not say whether j = i is among the rows.

    Args:
        teacher_BD: embeddings of all rows of a step by the teacher, without gradient.
        student_BD: those of the student.
        temperature: t.

    Example:
        >>> z = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> batch_relations_kl(teacher_BD=z, student_BD=2 * z, temperature=1.0)
        tensor([0., 0.])
    """
    teacher_BD, student_BD = unit(teacher_BD.detach()), unit(student_BD)
    with torch.autocast(teacher_BD.device.type, enabled=False):  # in half precision, products are off by 1 %
        log_u_BB = (teacher_BD @ teacher_BD.T / temperature).log_softmax(dim=-1)
        log_v_BB = (teacher_BD @ student_BD.T / temperature).log_softmax(dim=-1)
    return (log_u_BB.exp() * (log_u_BB - log_v_BB)).sum(dim=-1)


def retrieved(
    query_BD: Tensor, keys_ND: Tensor, probs_NC: Tensor, *, neighbours: int, temperature: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the mean answer of each query's nearest entries ``[B, C]``, their weights and numbers ``[B, k]``.

    Weights are ``softmax(s z_k / t)`` over the k entries with the largest products.

    Args:
        query_BD: embeddings s.
        keys_ND: those of the entries, z, divided by their length.
        probs_NC: their answers.
        neighbours: k; all entries if there are fewer.
        temperature: t.
    """
    nearest = (unit(query_BD) @ keys_ND.T).topk(min(neighbours, len(keys_ND)), dim=-1)
    weights_BK = (nearest.values / temperature).softmax(dim=-1)
    return (weights_BK[..., None] * probs_NC[nearest.indices]).sum(dim=1), weights_BK, nearest.indices
