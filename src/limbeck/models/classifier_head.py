"""The last linear map of a classifier, and what it reads: one vector for each text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from limbeck.errors import ModelError
from limbeck.models.taps import run_model

__all__ = ["features", "head_layer", "reading_features"]


def head_layer(model: Any) -> nn.Linear:
    """Return the linear map to a model's outputs: the last one with as many outputs as the model has labels.

    Args:
        model: a classifier of any architecture of transformers, or a `PooledClassifier`.

    Raises:
        ModelError: there is none.
    """
    outputs = int(model.config.num_labels)
    maps = [module for module in model.modules() if isinstance(module, nn.Linear)]
    found = next((module for module in reversed(maps) if module.out_features == outputs), None)
    if found is None:
        raise ModelError(f"{type(model).__name__} has no linear map to its {outputs} outputs. Use another model")
    return found


def features(model: Any, inputs: Mapping[str, Tensor]) -> Tensor:
    """Return the vectors ``[B, D]`` that a classifier of texts maps to its logits.

    With gradients, and with dropout in training mode. A causal model maps the states of all positions; taken are those
    at the position whose logits it answers with.

    Args:
        model: the classifier.
        inputs: a batch of encoded texts, as `limbeck.models.taps.run_model` takes it.

    Raises:
        ModelError: as `head_layer`; or the logits are computed in another way than by this map.
    """
    with reading_features(model) as read:
        logits_BC = run_model(model, inputs)["logits"]
    return read(logits_BC)


@contextmanager
def reading_features(model: Any) -> Iterator[Callable[[Tensor], Tensor]]:
    """Watch one forward pass in the block; what is yielded then returns its `features`, given its logits."""
    read: list[tuple[Tensor, Tensor]] = []
    hook = head_layer(model).register_forward_hook(lambda _module, args, output: read.append((args[0], output)))

    def found(logits_BC: Tensor) -> Tensor:
        if len(read) == 1 and len(read[0][0]) == len(logits_BC):
            vectors, outputs = read[0]
            if vectors.dim() == 2:
                return vectors
            if logits_BC.dim() == 2:
                return _answering(vectors, outputs, logits_BC)
        raise ModelError(
            f"{type(model).__name__} does not compute its logits by one linear map of one vector for each text. "
            "Use another model"
        )

    try:
        yield found
    finally:
        hook.remove()


def _answering(states_BTD: Tensor, outputs_BTC: Tensor, logits_BC: Tensor) -> Tensor:
    """Return the state at the last position that gave the logits."""
    same_BT = (outputs_BTC == logits_BC[:, None]).all(dim=-1)
    if not bool(same_BT.any(dim=1).all()):
        raise ModelError("the model's logits are those of no position. Use another model")
    last_B = same_BT.shape[1] - 1 - same_BT.flip(1).to(torch.uint8).argmax(dim=1)
    return states_BTD[torch.arange(len(last_B), device=last_B.device), last_B]
