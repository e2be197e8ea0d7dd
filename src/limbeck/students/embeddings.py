"""Word embeddings of a new student that are the teacher's, reduced to the student's width."""

from __future__ import annotations

from typing import Any

import torch

from limbeck.errors import ConfigError
from limbeck.models.layers import word_embeddings
from limbeck.numerics.principal_components import reduced

__all__ = ["reduce_word_embeddings"]


def reduce_word_embeddings(teacher: Any, student: Any) -> None:
    """Fill a student's table of word embeddings with the principal components of its teacher's, in place.

    Tables of the same width are copied. Rows beyond the teacher's table stay random.

    Reference: Mukherjee, Awadallah and Gao 2021, "XtremeDistilTransformers", arXiv:2106.04563, as released.

    Args:
        teacher: with the student's tokenizer.
        student: of a configuration.

    Raises:
        ConfigError: the student's embeddings are wider.
    """
    table_VD, of_teacher_VD = word_embeddings(student).weight, word_embeddings(teacher).weight
    assert isinstance(table_VD, torch.Tensor)
    assert isinstance(of_teacher_VD, torch.Tensor)
    width, widest = table_VD.shape[1], of_teacher_VD.shape[1]
    if width > widest:
        raise ConfigError(
            f"student.word_embeddings: pca reduces the teacher's word embeddings, which have {widest} components, and "
            f"those of student.config have {width}. Use a narrower student, or leave word_embeddings out"
        )
    rows = min(len(table_VD), len(of_teacher_VD))
    with torch.no_grad():
        found_VD = of_teacher_VD[:rows] if width == widest else reduced(of_teacher_VD, width)[:rows]
        table_VD[:rows].copy_(found_VD)
