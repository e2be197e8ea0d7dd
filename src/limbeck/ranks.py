"""Which of several processes is this? One process, with no launcher, is rank 0 of 1."""

from __future__ import annotations

import os

__all__ = ["device", "is_main", "on_cpus", "rank", "ranks", "wait_for_all"]


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
