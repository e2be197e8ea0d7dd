"""Ranks of a run's processes, and checks of how they share the work. Without a launcher: rank 0 of 1."""

from __future__ import annotations

import atexit
import os
from collections.abc import Sequence
from functools import cache
from typing import Any

from limbeck.errors import ConfigError

__all__ = [
    "device",
    "from_main",
    "is_main",
    "on_cpus",
    "rank",
    "ranks",
    "require_data_parallel",
    "require_precision",
    "sum_over_ranks",
    "wait_for_all",
]

_BACK_ENDS = {
    "FSDP": ("ACCELERATE_USE_FSDP",),
    "DeepSpeed": ("ACCELERATE_USE_DEEPSPEED",),
    "Megatron-LM": ("ACCELERATE_USE_MEGATRON_LM",),
    "tensor, context or sequence parallelism": ("ACCELERATE_USE_PARALLELISM_CONFIG",),
    "SageMaker's own parallelism": ("ACCELERATE_SAGEMAKER_DISTRIBUTED_TYPE",),
}
"""Variables that `accelerate launch` sets for ways of splitting a model that runs do not support."""
_OFF = {"", "0", "n", "no", "f", "false", "off"}
_ADVICE = (
    "limbeck trains whole copies of a model (DDP). Start it with torchrun, or with accelerate's plain multi-GPU or "
    "multi-CPU settings (accelerate config). If a model does not fit on one device, try a smaller "
    "training.micro_batch_size, precision: bf16, student.adapter, or `limbeck plan RUN.yaml` for what to change"
)


def ranks() -> int:
    """Return the number of processes (set by ``accelerate launch`` and ``torchrun``)."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Return the number of this process, from 0."""
    return int(os.environ.get("RANK", "0"))


def is_main() -> bool:
    """Return whether this process writes what only one may write."""
    return rank() == 0


def on_cpus() -> bool:
    """Return whether several processes train on CPUs, which transformers and accelerate need to be told."""
    import torch

    return ranks() > 1 and not torch.accelerator.is_available()


def device() -> str:
    """Return this process's device: its own accelerator if there is one, else the CPU."""
    import torch

    if not torch.accelerator.is_available():
        return "cpu"
    kind = torch.accelerator.current_accelerator()
    assert kind is not None
    return f"{kind.type}:{os.environ.get('LOCAL_RANK', '0')}" if kind.type != "mps" else "mps"


def wait_for_all() -> None:
    """Wait until every process has reached this call."""
    if ranks() > 1:
        _processes().wait_for_everyone()


@cache
def _processes() -> Any:
    """Join the other processes, once."""
    from accelerate import PartialState

    state = PartialState(cpu=on_cpus())
    if on_cpus():
        atexit.register(_leave)
    return state


def _leave() -> None:
    """End gloo's threads: one still running when Python exits may abort a process whose work is done."""
    import torch.distributed

    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def sum_over_ranks(values: Sequence[float]) -> list[float]:
    """Return the sum over all processes of each number; all must call it, with equally many."""
    if ranks() == 1:
        return list(values)
    import torch
    from accelerate.utils import reduce

    _processes()
    exact = torch.float32 if device() == "mps" else torch.float64
    summed: torch.Tensor = reduce(torch.tensor(values, dtype=exact, device=device()), "sum")
    return [float(value) for value in summed.tolist()]


def from_main(value: float) -> float:
    """Return the main process's number; all processes must call it."""
    (found,) = sum_over_ranks([value if is_main() else 0.0])
    return found


def require_data_parallel() -> None:
    """Refuse launchers that split the model itself: weights, checkpoints and losses would be partial.

    Raises:
        ConfigError: names the backend, and what to do.
    """
    for name, variables in _BACK_ENDS.items():
        for variable in variables:
            if os.environ.get(variable, "").strip().lower() not in _OFF:
                raise ConfigError(
                    f"the launcher asks for {name} ({variable}), which limbeck does not support. {_ADVICE}"
                )


def require_precision(wanted: str) -> None:
    """Refuse a precision that this machine lacks, and a launcher's setting that would override it.

    Args:
        wanted: the run's ``training.precision``.

    Raises:
        ConfigError: says what to set.
    """
    import torch

    if wanted == "fp16" or (wanted == "bf16" and not on_cpus()):
        if not torch.accelerator.is_available():
            raise ConfigError(f"training.precision: {wanted} needs a GPU, and there is none. Use float32")
        if wanted == "bf16" and torch.cuda.is_available() and not torch.cuda.is_bf16_supported():
            raise ConfigError("training.precision: this GPU does not support bf16. Use fp16 or float32")
    asked = os.environ.get("ACCELERATE_MIXED_PRECISION", "").strip().lower()
    if asked not in _OFF and asked != wanted:
        raise ConfigError(
            f"accelerate's settings ask for mixed precision {asked}, but training.precision is {wanted}. Launch with "
            f"--mixed_precision no, or set training.precision: {asked if asked in ('bf16', 'fp16') else 'bf16'}"
        )
