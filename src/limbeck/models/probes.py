"""Running a model on changed embeddings: mixtures of rows, and points on the way from 0 to a row.

Hooks change embeddings where the model computes them, so it reads its own inputs otherwise: some find padding, the
last token or positions in the token ids, and classifiers of limbeck's own take no embeddings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from limbeck.errors import ModelError
from limbeck.models.adapter_layers import prompt_vectors
from limbeck.models.layers import layer_list, word_embeddings
from limbeck.models.taps import run_model
from limbeck.numerics.attribution import (
    class_margins,
    error_slopes,
    integrated_gradients,
    path_points,
    surprise_slopes,
    token_scores,
)
from limbeck.types import Attribution, Batch, Mixup, Probe, Signal, Tap

__all__ = ["run_probed"]


def run_probed(
    model: nn.Module,
    inputs: Mapping[str, Tensor],
    taps: frozenset[Tap],
    probes: Iterable[Probe],
    batch: Batch,
    *,
    trained: bool,
) -> Signal:
    """Run a model as `run_model` does, and again for each of `probes`.

    Args:
        model: a classifier with one stack of layers.
        inputs: its own encoding of the batch.
        taps: sites of the ordinary run.
        probes: what is read of runs on changed embeddings; without any, this is `run_model`.
        batch: gives ``mixing`` to mixtures, and ``targets_BC`` to attributions of values.
        trained: keep the graph of attributions, which are gradients: those of a student are differentiated again.

    Raises:
        ModelError: the model does not compute its embeddings in a standard way.
    """
    attributed = [probe for probe in probes if isinstance(probe, Attribution)]
    found: dict[Probe, Tensor] = {}
    if not attributed:
        signal = run_model(model, inputs, taps)
    else:
        with torch.enable_grad(), _twice_differentiable() if trained else nullcontext():
            with _first_layer(model) as seen:
                signal = run_model(model, inputs, taps)
            for probe in attributed:
                found[probe] = _attributions(model, inputs, probe, _Point(seen.only(model), signal["logits"]), batch,
                                             trained=trained)  # fmt: skip
    for mixup in probes:
        if isinstance(mixup, Mixup):
            found[mixup] = _mixed_logits(model, inputs, batch["mixing"])
    if found:
        signal["probes"] = found
    return signal


def _mixed_logits(model: nn.Module, inputs: Mapping[str, Tensor], mixing: Mapping[str, Tensor]) -> Tensor:
    """Return the logits of rows ``s e_i + (1 - s) e_j``, e the word embeddings, 0 at padding.

    A mixture has a token where one of the rows that it is made of has one. Token ids, in which some models look for
    padding, and token types are those of row i, and of row j where only that has a token. So a share of 1 is row i.
    """
    partner_B, share_B = mixing["partner_B"], mixing["share_B"]
    read_BT = inputs["attention_mask"].bool()
    some_B1, other_B1 = (share_B > 0)[:, None], (share_B < 1)[:, None]
    of_own_BT, of_partner_BT = read_BT & some_B1, read_BT[partner_B] & other_B1
    embedded_BTD: Tensor = word_embeddings(model)(inputs["input_ids"]) * read_BT[..., None]
    share_B11 = share_B.to(embedded_BTD.dtype)[:, None, None]
    mixed_BTD = share_B11 * embedded_BTD + (1 - share_B11) * embedded_BTD[partner_B]
    own_BT = of_own_BT | (some_B1 & ~of_partner_BT)  # padding stays what it was
    changed = {name: torch.where(own_BT, tensor, tensor[partner_B]) for name, tensor in inputs.items()}
    changed["attention_mask"] = (of_own_BT | of_partner_BT).to(inputs["attention_mask"].dtype)
    times = 0

    def replace(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        nonlocal times
        times += 1
        _require(output.shape == mixed_BTD.shape, model)
        return mixed_BTD

    handle = word_embeddings(model).register_forward_hook(replace)
    try:
        logits: Tensor = run_model(model, changed)["logits"]
    finally:
        handle.remove()
    _require(times == 1, model)
    return logits


@dataclass(frozen=True)
class _Point:
    """Embeddings, and the logits that a model gives for them."""

    embeddings_BTD: Tensor
    logits: Tensor


def _attributions(
    model: nn.Module, inputs: Mapping[str, Tensor], probe: Attribution, end: _Point, batch: Batch, *, trained: bool
) -> Tensor:
    """Return the tokens' shares of the integrated gradients of each output; the path ends in the ordinary run."""
    path = []
    for share in path_points(probe.steps)[:-1]:
        with _first_layer(model, share * end.embeddings_BTD) as seen:
            logits = run_model(model, inputs)["logits"]
        path.append(_Point(seen.only(model), logits))
    path.append(end)
    outputs, slopes = _attributed(probe, [point.logits for point in path], batch)
    read_BT = inputs["attention_mask"].bool()
    before = prompt_vectors(model)
    _require(end.embeddings_BTD.shape[:2] == (len(read_BT), before + read_BT.shape[1]), model)
    scores = []
    for i in range(outputs[0].shape[1]):
        # One by one: points on the path are themselves functions of its end.
        gradients = [
            torch.autograd.grad(output[:, i], point.embeddings_BTD, slope[:, i], create_graph=trained,
                                retain_graph=True)[0]
            for output, slope, point in zip(outputs, slopes, path, strict=True)
        ]  # fmt: skip
        attributed_BTD = integrated_gradients(end.embeddings_BTD, gradients)[:, before:]
        scores.append(token_scores(attributed_BTD, read_BT, probe.top))
    found = torch.stack(scores, dim=1)
    return found if trained else found.detach()


def _attributed(probe: Attribution, logits: list[Tensor], batch: Batch) -> tuple[list[Tensor], list[Tensor]]:
    """Return what is differentiated at each point of the path, and by what its gradient is multiplied."""
    if probe.of == "values":
        return logits, error_slopes(logits, batch["targets_BC"])
    margins = [-z if probe.of == "labels" else class_margins(z) for z in logits]
    return margins, surprise_slopes(margins)


@dataclass
class _Seen:
    """Inputs of the first layer."""

    states: list[Tensor] = field(default_factory=list)

    def only(self, model: nn.Module) -> Tensor:
        _require(len(self.states) == 1, model)
        return self.states[0]


@contextmanager
def _first_layer(model: nn.Module, instead: Tensor | None = None) -> Iterator[_Seen]:
    """Keep the input of the first layer in the block, and make it part of the graph; or replace it by `instead`."""
    seen = _Seen()

    def change(_module: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, Any]:
        given = args[0] if args else named["hidden_states"]
        state = given if instead is None else instead
        if not state.requires_grad:  # frozen embeddings
            state = state.detach().requires_grad_()
        seen.states.append(state)
        return ((state, *args[1:]), named) if args else (args, {**named, "hidden_states": state})

    handle = layer_list(model)[1][0].register_forward_pre_hook(change, with_kwargs=True)
    try:
        yield seen
    finally:
        handle.remove()


def _twice_differentiable() -> AbstractContextManager[Any]:
    """Return a context in which attention has second derivatives: the fast kernels have none."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    context: AbstractContextManager[Any] = sdpa_kernel(SDPBackend.MATH)
    return context


def _require(standard: bool, model: nn.Module) -> None:
    if not standard:
        raise ModelError(
            f"{type(model).__name__} does not compute the embeddings of a text once and in one place, so they cannot "
            "be changed. Use another model, or a recipe without mixtures and attributions (kd)"
        )
