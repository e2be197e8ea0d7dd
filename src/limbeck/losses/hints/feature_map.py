"""A term on the states of one layer: their direction, mean and variance, each for itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from torch import Tensor

from limbeck.errors import ConfigError
from limbeck.losses.hints.hidden import Hint, require_equal_width
from limbeck.numerics.distances import (
    difference_of_variances,
    layer_normalised,
    mean_squared_distance,
    squared_difference_of_means,
)
from limbeck.numerics.masking import read_positions
from limbeck.types import Batch, Shapes, Signal

__all__ = ["FeatureMap"]


@dataclass(frozen=True)
class FeatureMap(Hint):
    """A distance between the outputs of layer l of both models at each token, which have equally many layers.

    ``states``: the mean squared difference after a layer norm without gain and bias, which takes out mean and
    variance; ``means``: ``(mean_T - mean_S)^2``, and ``variances``: ``|var_T - var_S|``, of a state's components.

    Reference: Sun et al. 2020, "MobileBERT", arXiv:2004.02984, section 3.2. The released code has these three, but
    takes mean and variance over the outputs of all teacher layers together, so that each student layer is pulled
    towards their average, and averages over padding. Here they are those of layer l, at tokens alone.
    """

    compared: Literal["states", "means", "variances"] = "states"
    layer: int = 1
    """l, counted from 1."""
    layers: int = 1
    """How many both models have."""

    @property
    def by_row(self) -> bool:
        return False

    def bind(self, shapes: Shapes) -> FeatureMap:
        depths = shapes.teacher_layers, shapes.student_layers
        if depths[0] != depths[1]:
            raise ConfigError(
                f"each layer of the student learns from the teacher's layer of the same number, but the teacher has "
                f"{depths[0]} and the student {depths[1]}. Use a student with {depths[0]} narrower ones, or tinybert"
            )
        if depths[0] != self.layers:
            raise ConfigError(
                f"there is a stage for each of {self.layers} layers, and both models have {depths[0]}: set "
                f"recipe.layers: {depths[0]}"
            )
        require_equal_width("feature-map transfer", shapes)
        return replace(self, pairs=((self.layer, self.layer),))

    def mask(self, batch: Batch) -> Tensor:
        return read_positions(batch)

    def values(self, student: Signal, teacher: Signal, batch: Batch) -> Tensor:
        ((own, other),) = self.states(student, teacher)
        if self.compared == "means":
            return squared_difference_of_means(teacher=other, student=own)
        if self.compared == "variances":
            return difference_of_variances(teacher=other, student=own)
        return mean_squared_distance(teacher=layer_normalised(other), student=layer_normalised(own))
