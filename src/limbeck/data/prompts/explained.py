"""The second task of a student that explains its labels: a text after ``explain:``, and the rationale to generate.

Hsieh et al. 2023, "Distilling Step-by-Step! Outperforming Larger Language Models with Less Training Data and Smaller
Model Sizes", arXiv:2305.02301, section 3.2: label and rationale are separate tasks, distinguished by a prefix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from limbeck.data.encode import Encoded
from limbeck.data.prompts.label_prompt import student_prompt
from limbeck.data.prompts.scored import row_fields, tokens_behind
from limbeck.models.label_scorer import Verbaliser
from limbeck.models.verbaliser import LabelTokens
from limbeck.types import Rows

__all__ = ["EncodedRationales", "RationalePrompts", "encode_rationales", "rationale_prompts"]

_PROBE = "Because it says so."


@dataclass(frozen=True)
class EncodedRationales:
    """Prompts with their rationales in tokens; rows without a rationale have none."""

    encoded: Encoded
    starts_N: NDArray[np.int64]
    """Index of each rationale's first token; 0 if a row has no rationale."""

    def __len__(self) -> int:
        return int((self.starts_N > 0).sum())

    def batch(self, rows: NDArray[np.int64]) -> dict[str, Tensor]:
        """Return `Batch.rationales` of `rows`."""
        explained_B = self.starts_N[rows] > 0
        none = torch.zeros(0, 0, dtype=torch.int64)
        inputs = {"input_ids": none, "attention_mask": none}
        if explained_B.any():
            inputs = self.encoded.batch(rows[explained_B])
        starts = torch.from_numpy(self.starts_N[rows][explained_B])
        return {**inputs, "starts": starts, "explained_B": torch.from_numpy(explained_B)}


def encode_rationales(
    verbaliser: Verbaliser, rows: Rows, rationales: Sequence[str | None], tokenizer: Any, max_length: int
) -> EncodedRationales:
    """Tokenise each row's text after ``explain:`` with its rationale; those too long for the student are left out.

    Args:
        verbaliser: the student's verbaliser, whose prompt gives the layout of texts.
        rows: the texts.
        rationales: each row's rationale; ``None``: it has none.
        tokenizer: the student's tokenizer.
        max_length: maximum tokens that the student reads.
    """
    found = [
        None if rationale is None else _tokens(verbaliser, rows, i, rationale, tokenizer)
        for i, rationale in enumerate(rationales)
    ]
    kept = [one if one is not None and len(one.ids) <= max_length else LabelTokens([], 0) for one in found]
    encoded = Encoded(
        ids=np.array([token for one in kept for token in one.ids], dtype=np.int32),
        token_types=None,
        offsets=np.concatenate([[0], np.cumsum([len(one.ids) for one in kept])]).astype(np.int64),
        pad_id=0,  # never read: a label scorer uses the mask
        pad_left=False,
        rows_at_limit=0,
    )
    return EncodedRationales(encoded, np.array([one.start for one in kept], dtype=np.int64))


class RationalePrompts(NamedTuple):
    """A student's prompts for rationales, and the end of a rationale."""

    ids: list[list[int]]
    end_id: int


def rationale_prompts(verbaliser: Verbaliser, rows: Rows, tokenizer: Any) -> RationalePrompts:
    """Return the prompts after which a student that explains generates its rationales. Needs at least one row."""
    found = [_tokens(verbaliser, rows, i, _PROBE, tokenizer) for i in range(len(rows))]
    return RationalePrompts([one.ids[: one.start] for one in found], found[0].ids[-1])


def _tokens(verbaliser: Verbaliser, rows: Rows, i: int, rationale: str, tokenizer: Any) -> LabelTokens:
    prompt = student_prompt(verbaliser.prompt)
    asks: dict[str, Any] = {"system": None, "instruction": "explain:", "format": "none", "answer": prompt.rationale}
    asks |= {"demonstrations": (), "descriptions": {}}
    prompt = prompt.model_copy(update=asks)
    return tokens_behind(prompt, verbaliser.labels, row_fields(verbaliser, rows, i), tokenizer, [rationale])[0][0]
