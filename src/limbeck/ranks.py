"""Which of several processes is this? One process, with no launcher, is rank 0 of 1."""

from __future__ import annotations

import os
from collections.abc import Sequence

__all__ = ["device", "from_main", "is_main", "on_cpus", "rank", "ranks", "sum_over_ranks", "wait_for_all"]


def ranks() -> int:
    """Number of processes (``accelerate launch`` and ``torchrun`` set it)."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Number of this process, from 0."""
    return int(os.environ.get("RANK", "0"))


def is_main() -> bool:
    """Whether this process writes what only one may write."""
    return rank() == 0


def on_cpus() -> bool:
    """Whether several processes train on CPUs, which transformers and accelerate want to be told."""
    import torch

    return ranks() > 1 and not torch.accelerator.is_available()


def device() -> str:
    """Where this process computes: its own accelerator where there is one, else the CPU."""
    import torch

    if not torch.accelerator.is_available():
        return "cpu"
    kind = torch.accelerator.current_accelerator()
    assert kind is not None
    return f"{kind.type}:{os.environ.get('LOCAL_RANK', '0')}" if kind.type != "mps" else "mps"


def wait_for_all() -> None:
    """Return once every process has come here."""
    if ranks() > 1:
        from accelerate import PartialState

        PartialState(cpu=on_cpus()).wait_for_everyone()


def sum_over_ranks(values: Sequence[float]) -> list[float]:
    """Return the sum over all processes of each number; all must come here, with as many."""
    if ranks() == 1:
        return list(values)
    import torch
    from accelerate import PartialState
    from accelerate.utils import reduce

    PartialState(cpu=on_cpus())
    exact = torch.float32 if device() == "mps" else torch.float64
    summed: torch.Tensor = reduce(torch.tensor(values, dtype=exact, device=device()), "sum")
    return [float(value) for value in summed.tolist()]


def from_main(value: float) -> float:
    """Return the number that the main process has; all must come here."""
    (found,) = sum_over_ranks([value if is_main() else 0.0])
    return found
