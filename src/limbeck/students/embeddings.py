"""Embeddings of a new student that are the teacher's, or its word embeddings reduced to the student's width."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import nn

from limbeck.errors import ConfigError
from limbeck.models.layers import word_embeddings
from limbeck.numerics.principal_components import reduced

__all__ = ["copy_embeddings", "reduce_word_embeddings", "start_embeddings"]


def start_embeddings(student: Any, teacher: Any, wanted: Literal["random", "pca", "teacher"]) -> None:
    """Fill the embeddings of a student of a configuration as a run file says, in place.

    Raises:
        ConfigError: those of the teacher do not fit.
    """
    if wanted == "pca":
        reduce_word_embeddings(teacher, student)
    elif wanted == "teacher":
        copy_embeddings(teacher, student)


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


@torch.no_grad()
def copy_embeddings(teacher: Any, student: Any) -> None:
    """Copy the teacher's table of words, and what else both models have of the same kind and shape beside it.

    That is what is in the same module as the table: tables of positions and types, maps and norms. A norm is copied
    only onto one of its kind. Where the layers are in that module too, as in many decoders, only the table is copied.

    Raises:
        ConfigError: the student's table of words has another shape.
    """
    of_teacher, of_student = (model.get_input_embeddings().weight for model in (teacher, student))
    shapes = [tuple(table.shape) for table in (of_teacher, of_student)]
    if shapes[0] != shapes[1]:
        raise ConfigError(
            f"student.word_embeddings: teacher copies a table of words that has {shapes[0][0]:,} rows of width "
            f"{shapes[0][1]}, and the student's {shapes[1][0]:,} of width {shapes[1][1]}. Give the student the "
            "teacher's width of embeddings (student.config), or use word_embeddings: pca"
        )
    of_student.copy_(of_teacher)
    copies = dict(_beside_words(teacher).named_modules())
    for name, module in _beside_words(student).named_modules():
        if name not in copies or type(copies[name]) is not type(module):
            continue
        values = dict(copies[name].named_parameters(recurse=False))
        for part, parameter in module.named_parameters(recurse=False):
            if part in values and values[part].shape == parameter.shape:
                parameter.copy_(values[part])


def _beside_words(model: Any) -> nn.Module:
    """Return the module that holds the table of words; the table alone if the layers are in there too."""
    table = word_embeddings(model)
    holder = next(module for module in model.modules() if any(child is table for child in module.children()))
    with_layers = any(isinstance(module, nn.ModuleList) for module in holder.modules())
    return table if with_layers else holder
