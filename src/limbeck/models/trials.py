"""Trying a model before anything is trained: what it can read, without changing it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from limbeck.errors import ModelError
from limbeck.models.adapter_layers import positions_taken
from limbeck.models.label_scorer import language_model_of
from limbeck.models.layers import accepted_inputs, text_config
from limbeck.models.probes import run_probed
from limbeck.models.taps import capture
from limbeck.types import Batch, Probe, Tap

__all__ = [
    "probe_ids",
    "readable_tokens",
    "require_finite",
    "require_probes",
    "require_second_derivatives",
    "require_taps",
    "short_row",
    "undisturbed",
]

_TRIED_TOKENS = 4096
"""Longer rows are not tried: masks of so many positions may take gigabytes."""
_SHORT_ROW = 4


@contextmanager
def undisturbed(*models: nn.Module) -> Iterator[None]:
    """Put `models` into evaluation mode without gradients for the block; then restore their modes."""
    modes = [(module, module.training) for model in models for module in model.modules()]
    try:
        for module, _ in modes:
            module.training = False
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def probe_ids(model: Any, rows: int, tokens: int) -> Tensor:
    """Return token ids ``[rows, tokens]``, always the same, without padding or other special tokens."""
    config = text_config(model)
    special: set[Any] = {
        value for name, value in vars(config).items() if name.endswith("_token_id") and isinstance(value, int)
    }
    special |= {  # MPNet's is 1, whatever its configuration says
        module.padding_idx for module in model.modules() if isinstance(module, nn.Embedding)
    }
    words = min(int(getattr(config, "vocab_size", 1000)), 1000)  # models of characters have no such number
    plain = [token for token in range(words) if token not in special] or [0]
    picked = torch.randint(len(plain), (rows, tokens), generator=torch.Generator().manual_seed(0))
    return torch.tensor(plain)[picked]


def readable_tokens(model: Any, most: int) -> int:
    """Return the length of the longest row, at most `most` tokens, that the model can read.

    Found by reading one: no configuration tells how many positions are left besides those that padding takes (RoBERTa,
    LUKE, I-BERT, ...). The pass stops where the first layer begins. A model that cannot be run like this (it has no
    weights, needs other inputs, or is on an accelerator, where an index out of range ends the process) is judged by
    its table of positions.
    """
    model = language_model_of(model)
    claimed = getattr(text_config(model), "max_position_embeddings", None)
    if isinstance(claimed, int) and claimed > 0:
        most = min(most, claimed - positions_taken(model))
    if most > _TRIED_TOKENS or any(parameter.device.type != "cpu" for parameter in model.parameters()):
        return min(most, _places(model))
    ids = probe_ids(model, 1, max(most, 1))
    with undisturbed(model):
        if _reads(model, ids):
            return most
        if not _reads(model, ids[:, :1]):
            return min(most, _places(model))
        fits, fails = 1, most
        while fails - fits > 1:
            middle = (fits + fails) // 2
            fits, fails = (middle, fails) if _reads(model, ids[:, :middle]) else (fits, middle)
    return fits


def require_taps(model: Any, taps: frozenset[Tap]) -> None:
    """Check that a model gives the tensors at `taps`, by reading a short row.

    Raises:
        ModelError: it has no such layer or site, or computes attention in a way that cannot be read.
    """
    if not taps:
        return
    inputs = short_row(model)
    with undisturbed(model):
        try:
            with capture(model, taps, inputs.get("attention_mask")):
                model(**inputs)
        except ModelError:
            raise
        except Exception:  # a model that needs more than text; the first step of training tells
            return


def require_second_derivatives(model: Any, name: str) -> None:
    """Check that the gradient of a classifier can be differentiated, by trying it on a short row.

    Raises:
        ModelError: an operation, a kernel of attention, or recomputed activations rule it out.
    """
    advice = "Use another student, or a recipe that does not train the teacher (pkd)"
    if any(getattr(module, "gradient_checkpointing", False) for module in model.modules()):
        raise ModelError(f"{name} recomputes its activations, which has no second derivative. {advice}")
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with undisturbed(model), torch.enable_grad():
        try:
            with sdpa_kernel(SDPBackend.MATH):  # as in training: fused kernels have none
                loss = model(**short_row(model)).logits.square().sum()
            first = torch.autograd.grad(loss, trained, create_graph=True, materialize_grads=True)
            norm = torch.stack([gradient.square().sum() for gradient in first]).sum()
            # Not `torch.autograd.grad`, which skips what leads to no weight, and so operations that only say that they
            # have no second derivative.
            norm.backward()  # type: ignore[no-untyped-call]
        except (RuntimeError, NotImplementedError) as error:
            reason = str(error).strip().splitlines()[0]
            raise ModelError(
                f"{name} ({type(model).__name__}) has no second derivative: {reason}. {advice}"
            ) from error
        finally:
            model.zero_grad()


def short_row(model: Any) -> dict[str, Tensor]:
    """Return the inputs of a model for one short row without padding, where its weights are."""
    ids = probe_ids(model, 1, _SHORT_ROW).to(next(model.parameters()).device)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    return {name: tensor for name, tensor in inputs.items() if name in accepted_inputs(type(model).forward)}


def require_finite(model: nn.Module, name: str) -> None:
    """Refuse weights that are not finite, before anything is computed with them. Raises `ModelError`."""
    for parameter, weight in model.named_parameters():
        if not torch.isfinite(weight).all():
            raise ModelError(
                f"the weights of {name} are damaged: {parameter} holds values that are not finite. Get the model "
                "again; a training that ended like this cannot be used"
            )


def require_probes(model: Any, probes: frozenset[Probe], *, trained: bool) -> None:
    """Check that a model can run on changed embeddings, by reading two short rows; a student's gradients included.

    Raises:
        ModelError: it computes embeddings in a non-standard way, or has no second derivatives.
    """
    if not probes:
        return
    ids = probe_ids(model, 2, _SHORT_ROW)
    there = next(model.parameters()).device
    inputs = {"input_ids": ids.to(there), "attention_mask": torch.ones_like(ids).to(there)}
    mixing = {"partner_B": torch.tensor([1, 0], device=there), "share_B": torch.tensor([0.5, 0.5], device=there)}
    targets_BC = torch.zeros(2, int(model.config.num_labels), device=there)
    batch: Batch = {"mixing": mixing, "targets_BC": targets_BC}
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        with undisturbed(model), torch.set_grad_enabled(trained):
            found = run_probed(model, inputs, frozenset(), probes, batch, trained=trained)["probes"]
            if trained:
                total = torch.stack([tensor.float().square().sum() for tensor in found.values()]).sum()
                torch.autograd.grad(total, trainable, allow_unused=True)
    except ModelError:
        raise
    except Exception as error:  # what a model of unknown code raises if it lacks a derivative or wants other inputs
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"{type(model).__name__} cannot be trained on changed embeddings: {reason}. Use another model, or a "
            "recipe without mixtures and attributions (kd)"
        ) from error


def _places(model: nn.Module) -> int:
    """Return the positions in the model's tables, minus those up to a padding position and those of a soft prompt."""
    found = [sys.maxsize]
    for name, module in model.named_modules():
        rows = getattr(module, "weight", None)
        if name.rsplit(".", 1)[-1] in ("position_embeddings", "embed_positions", "wpe") and isinstance(rows, Tensor):
            padding: Any = getattr(module, "padding_idx", None)
            found.append(rows.shape[0] - (0 if padding is None else padding + 1) - positions_taken(model))
    return min(found)


class _Enough(Exception):
    """Raised once embeddings were read: the layers need not run."""


def _reads(model: Any, ids_BT: Tensor) -> bool:
    """Return whether the model takes rows of this length, running it only to its first layer."""

    def stop(*_: object) -> None:
        raise _Enough

    layers = [module for stack in model.modules() if isinstance(stack, nn.ModuleList) for module in stack]
    handles = [layer.register_forward_pre_hook(stop) for layer in layers if not isinstance(layer, nn.Embedding)]
    inputs = {"input_ids": ids_BT, "attention_mask": torch.ones_like(ids_BT)}
    known = {name: tensor for name, tensor in inputs.items() if name in accepted_inputs(type(model).forward)}
    try:
        model(**known)
    except _Enough:
        return True
    except Exception:  # a row that is too long fails with many kinds of error
        return False
    finally:
        for handle in handles:
            handle.remove()
    return True
