"""Choosing a few records of each language."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from limbeck.data.instructions.make import digest
from limbeck.errors import ConfigError
from limbeck.types import Instruction

__all__ = ["Taken", "take_target"]


class Taken(NamedTuple):
    """The records taken, and how many for each (task, language): fewer than requested if there are no more."""

    records: list[Instruction]
    counts: Mapping[tuple[str, str], int]

    def short(self, n: int) -> dict[tuple[str, str], int]:
        """Return the counts below `n`."""
        return {cell: count for cell, count in self.counts.items() if count < n}


def take_target(records: Sequence[Instruction], n: int, seed: int) -> Taken:
    """Take `n` records of each task and language by a hash of the seed and the id, in their original order.

    Samples are nested: with one seed, the 16 are among the 128.

    Raises:
        ConfigError: `n` is below 0.
    """
    if n < 0:
        raise ConfigError(f"expected 0 or more records for each task and language, got {n}.")
    cells: dict[tuple[str, str], list[Instruction]] = defaultdict(list)
    for record in records:
        cells[record.task, record.lang].append(record)
    chosen: set[str] = set()
    for cell in cells.values():
        chosen.update(sorted((record.id for record in cell), key=lambda name: digest("take", seed, name))[:n])
    counts = {name: min(n, len(cell)) for name, cell in cells.items()}
    return Taken([record for record in records if record.id in chosen], counts)
