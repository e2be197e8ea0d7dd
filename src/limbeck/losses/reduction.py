"""The one division of a training step.

Terms give one value per row or token. A step may be split into micro-batches and over ranks, so a mean of
micro-batch means would weigh them unequally. Instead what each term counts is counted over the
*whole* optimiser step before the first forward pass, and every micro-batch contributes
``sum / count``. The gradient is then the same for every split (docs/conventions.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from limbeck.types import UNLABELLED, Batch, Term

__all__ = ["count_rows", "masked_sum"]


def count_rows(terms: Mapping[str, Term], micro_batches: Sequence[Batch]) -> dict[str, Tensor]:
    """Return the number of rows or tokens that each term counts over all `micro_batches`, as float32 scalars.

    The keys are the terms' names, and ``rows`` and ``labelled`` for all rows and all labelled rows.
    """
    counts = {
        name: torch.stack([term.counted(batch).sum() for batch in micro_batches]).sum().float()
        for name, term in terms.items()
    }
    labels = torch.cat([batch["labels_B"] for batch in micro_batches])
    return counts | {"rows": labels.new_tensor(len(labels)).float(), "labelled": (labels != UNLABELLED).sum().float()}


def masked_sum(values: Tensor, counted: Tensor) -> Tensor:
    """Return the sum of the counted values: 0 with a zero gradient where nothing counts, never NaN."""
    return values.masked_fill(~counted, 0.0).sum()
