"""A student that is its teacher without the least important layers, hidden units, heads and neurons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from limbeck.models.layers import depth
from limbeck.students.initialise import student_from_layers
from limbeck.students.pruning.cut import cut_model, require_same_outputs
from limbeck.students.pruning.importance import Importance, Kept
from limbeck.students.pruning.shape import Widths, target_shape
from limbeck.students.pruning.units import units_of

__all__ = ["pruned_student"]


def pruned_student(
    teacher: Any, *, layers: Sequence[int], widths: Widths, importance: Importance | None = None
) -> Any:
    """Return a model of the teacher's class with some of its layers, and the most important units in each.

    All layers get the same shape, so that the student is an ordinary model with an ordinary configuration. The
    released code can also rank heads and neurons over all layers at once, which gives layers of different shapes; no
    configuration of these models expresses those, and they are left out.

    Paper: Zhang et al. 2023, "Towards the Law of Capacity Gap in Distilling Language Models" (MiniMA),
    arXiv:2311.07052, section 4

    Args:
        teacher: any model whose layers and units can be told apart; without storage, the student has none.
        layers: the teacher layers to keep, counted from 1. Their importance was measured in the whole teacher.
        widths: how many units are kept.
        importance: of the units of the whole teacher; ``None`` keeps the first units, for a student whose shape alone
            matters.

    Raises:
        ConfigError: widths that this teacher cannot have.
        ModelError: its layers or units cannot be told apart, or its class has no such models.
    """
    whole = teacher if len(layers) == depth(teacher) else student_from_layers(teacher, layers)
    units, shape = units_of(whole), target_shape(whole, widths)
    if shape == units.shape and whole is not teacher:
        return whole
    if importance is None:
        kept = Kept.first(units, shape)
    else:
        kept = importance.of_layers(layers).keep(shape, shared_heads=units.shared_heads)
    student = cut_model(whole, shape, kept)
    if student.device.type != "meta":
        require_same_outputs(whole, student, kept)
    student.copies_unchecked = getattr(whole, "copies_unchecked", None)
    return student
