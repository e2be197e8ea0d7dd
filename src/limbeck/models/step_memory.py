"""The memory of a classifier's training step, counted on tensors with shapes but no memory.

The real operations of the forward and backward pass run on torch's fake tensors while every storage is counted as it
comes and goes. Activations, attention implementation, dropout masks, adapters and temporaries are thus those of the
model itself, and no formula is needed.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from limbeck.errors import ModelError
from limbeck.models.probes import run_probed
from limbeck.types import Batch, Probe

__all__ = ["StepMemory", "run_step", "trace_step", "without_memory"]


@dataclass(frozen=True)
class StepMemory:
    """Bytes of one model in training, apart from optimiser states."""

    weights_bytes: int
    """Parameters and buffers."""
    trainable: int
    """Number of trained parameters."""
    gradients_bytes: int
    """Gradients of all trained parameters."""
    activations_bytes: int
    """Everything else at the peak: activations kept for the backward pass, and temporaries."""

    @property
    def step_bytes(self) -> int:
        """Memory of a step besides weights and optimiser states.

        The last gradient is created when the first activations are already freed, but allocators seldom reuse freed
        memory of one size for another: both count in full.
        """
        return self.gradients_bytes + self.activations_bytes


def without_memory() -> AbstractContextManager[Any]:
    """Return a context in which new models have shapes but no memory."""
    context: AbstractContextManager[Any] = torch.device("meta")
    return context


def trace_step(
    make_model: Callable[[], Any],
    *,
    rows: int,
    tokens: int,
    bf16: bool = False,
    train: bool = True,
    probes: frozenset[Probe] = frozenset(),
) -> StepMemory:
    """Run forward and backward pass on fake tensors and return their memory.

    Args:
        make_model: returns a new Hugging Face classifier; it is also created without memory.
        rows: B, rows of a micro-batch.
        tokens: T, tokens of each row.
        bf16: compute under bfloat16 autocast.
        train: with dropout and backward pass; otherwise only a forward pass.
        probes: what terms read of runs on changed embeddings.

    Raises:
        ModelError: the model's computation depends on values, which fake tensors lack.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode  # brings a computer algebra system along

    with without_memory():
        model = make_model().train(train)
    try:
        with FakeTensorMode():
            return run_step(_on_cpu(model), rows=rows, tokens=tokens, bf16=bf16, train=train, probes=probes)
    except (RuntimeError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(f"cannot estimate the memory of this model in advance: {reason}") from error


def run_step(
    model: Any,
    *,
    rows: int,
    tokens: int,
    bf16: bool = False,
    train: bool = True,
    probes: frozenset[Probe] = frozenset(),
) -> StepMemory:
    """Run `model` as it is and count its storages; see `trace_step`."""
    live = _LiveBytes()
    live.hold([*model.parameters(), *model.buffers()])
    weights = live.now
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    ids = torch.ones(rows, tokens, dtype=torch.int64)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}

    with live, torch.set_grad_enabled(train):
        with torch.autocast("cpu", torch.bfloat16) if bf16 else nullcontext():
            found = [model(**inputs).logits] if not probes else _probed(model, inputs, probes, train=train)
        loss = torch.stack([tensor.float().logsumexp(dim=-1).sum() for tensor in found]).sum()
        del found
        activations = live.peak - weights
        if train:
            live.watch(trained)
            loss.backward()  # type: ignore[no-untyped-call]
            activations = max(activations, live.peak - weights - live.gradients_at_peak)
    return StepMemory(
        weights_bytes=weights,
        trainable=sum(parameter.numel() for parameter in trained),
        gradients_bytes=sum(p.numel() * p.element_size() for p in trained) if train else 0,
        activations_bytes=activations,
    )


def _probed(model: Any, inputs: dict[str, Tensor], probes: frozenset[Probe], *, train: bool) -> list[Tensor]:
    """Return the logits of a model and what `probes` read of it."""
    rows = len(inputs["input_ids"])
    mixing = {"partner_B": torch.arange(rows).flip(0), "share_B": torch.full((rows,), 0.5)}
    batch: Batch = {"mixing": mixing, "targets_BC": torch.zeros(rows, int(model.config.num_labels))}
    signal = run_probed(model, inputs, frozenset(), probes, batch, trained=train)
    return [signal["logits"], *signal["probes"].values()]


def _on_cpu(model: Any) -> Any:
    """Replace tensors on the meta device with fake CPU tensors, whose operations are those of a real run."""
    made: dict[int, Tensor] = {}

    def fake(tensor: Tensor) -> Tensor:
        if id(tensor) not in made:
            empty = torch.empty(tensor.shape, dtype=tensor.dtype)
            is_parameter = isinstance(tensor, nn.Parameter)
            made[id(tensor)] = nn.Parameter(empty, tensor.requires_grad) if is_parameter else empty
        return made[id(tensor)]

    for module in model.modules():
        for name, tensor in [*module._parameters.items(), *module._buffers.items()]:
            if tensor is not None:
                setattr(module, name, fake(tensor))  # an LSTM has a list of its weights, which follows
    return model


class _LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A counter of the bytes of all live storages, and of their peak."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = 0
        self.peak = 0
        self.gradients_at_peak = 0
        self._sizes: dict[int, int] = {}
        self._trained: list[nn.Parameter] = []

    def watch(self, trained: list[nn.Parameter]) -> None:
        """Count gradients of these separately."""
        self._trained = trained

    def hold(self, tensors: Iterable[Tensor]) -> None:
        """Count storages that are not counted yet, until they are freed."""
        for tensor in tensors:
            storage = tensor.untyped_storage()
            key = storage._cdata
            if key not in self._sizes and storage.nbytes():
                self._sizes[key] = storage.nbytes()
                self.now += storage.nbytes()
                weakref.finalize(storage, self._free, key)
        if self.now > self.peak:
            self.peak = self.now
            gradients = (parameter.grad for parameter in self._trained)
            self.gradients_at_peak = sum(g.numel() * g.element_size() for g in gradients if g is not None)

    def _free(self, key: int) -> None:
        self.now -= self._sizes.pop(key)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        self.hold(leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor))
        return output
