"""The last linear map of a regression model, which absorbs the scale used in training."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.models.classifier_head import head_layer

__all__ = ["fold_scale"]


def fold_scale(model: Any, mean_C: NDArray[np.float64], deviation_C: NDArray[np.float64]) -> None:
    """Make a model return ``output * deviation + mean`` from now on, in place.

    Args:
        model: a model trained on standardised numbers.
        mean_C: mean of the user's numbers; 0 for a map without a bias.
        deviation_C: standard deviation of the user's numbers.

    Raises:
        ModelError: the model has no linear map to its outputs.
    """
    last = head_layer(model)
    assert last.bias is not None or not mean_C.any(), "a map without a bias adds nothing"
    with torch.no_grad():
        deviation = torch.from_numpy(deviation_C).to(last.weight)
        last.weight.mul_(deviation[:, None])
        if last.bias is not None:
            last.bias.mul_(deviation).add_(torch.from_numpy(mean_C).to(last.bias))
