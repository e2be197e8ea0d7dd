"""Run a model on held-out rows: probabilities of the references, and its own answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from limbeck.evaluation.generation.outputs import SystemOutputs
from limbeck.evaluation.predict import length_sorted_batches
from limbeck.models.generate import Completion, Decoding, write_completions
from limbeck.models.language_model import head_of, token_logits
from limbeck.numerics.chunked import token_statistics
from limbeck.types import UNLABELLED, SparseLogits, Update

__all__ = ["answer", "reference_sums"]

_ROWS = 16


@torch.no_grad()
def reference_sums(
    model: Any, encoded: Any, *, teacher: Any = None, vocabulary: int | None = None, update: Update
) -> SystemOutputs:
    """Return sums over each row's supervised tokens, without answers.

    Args:
        model: a language model, on its device.
        encoded: `EncodedSequences` or `MaskedTexts` of the held-out rows.
        teacher: a model with the same tokens; ``None``: no comparison.
        vocabulary: tokens that both know.
        update: called with the number of rows done.
    """
    rows = len(encoded)
    nll_N, kl_N, agreed_N, right_N = np.zeros(rows), np.zeros(rows), *np.zeros((2, rows), dtype=np.int64)
    modes = {one: one.training for one in (model, teacher) if one is not None}
    for one in modes:
        one.eval()  # a fine-tuned teacher is still in training mode
    heads = {id(one): head_of(one) for one in modes}
    for picked in length_sorted_batches(encoded.lengths, _ROWS):
        batch = encoded.batch(picked)
        inputs = {name: tensor.to(model.device) for name, tensor in batch["student"].items()}
        supervised_BT = (batch["labels_BT"] != UNLABELLED).to(model.device)
        labels_S = batch["labels_BT"].to(model.device)[supervised_BT]
        sources = [
            None if m is None else token_logits(m, inputs, supervised_BT, heads[id(m)], vocabulary)
            for m in (model, teacher)
        ]
        assert sources[0] is not None
        assert not isinstance(sources[0], SparseLogits)
        found = token_statistics(sources[0], sources[1], labels_S)
        row_S = torch.repeat_interleave(torch.arange(len(picked)), supervised_BT.sum(dim=1).cpu()).numpy()
        np.add.at(nll_N, picked[row_S], found.student_nll_S.double().cpu().numpy())
        np.add.at(right_N, picked[row_S], found.right_S.cpu().numpy().astype(np.int64))
        if found.forward_kl_S is not None and found.agreement_S is not None:
            np.add.at(kl_N, picked[row_S], found.forward_kl_S.double().cpu().numpy())
            np.add.at(agreed_N, picked[row_S], found.agreement_S.cpu().numpy().astype(np.int64))
        update(len(picked))
    for one, was_training in modes.items():
        one.train(was_training)
    compared = teacher is not None
    return SystemOutputs(
        tokens_N=encoded.supervised,
        nll_sum_N=nll_N,
        kl_sum_N=kl_N if compared else None,
        agreed_N=agreed_N if compared else None,
        right_N=right_N,
    )


def answer(
    model: Any,
    encoded: Any,
    rows: Sequence[int] | NDArray[np.int64],
    decoding: Decoding,
    *,
    seed: int,
    vocabulary: int | None,
    update: Update,
) -> list[Completion]:
    """Generate a model's answers to the prompts of `rows`, in order."""
    picked = np.asarray(rows)
    lengths = np.asarray([len(encoded.prompt_ids(int(row))) for row in picked])
    answers: dict[int, Completion] = {}
    for indices in length_sorted_batches(lengths, _ROWS):
        prompts = [encoded.prompt_ids(int(picked[index])).tolist() for index in indices]
        written = write_completions(
            model,
            prompts,
            decoding,
            end_ids=encoded.end_ids,
            pad_id=encoded.pad_id,
            seed=seed + int(indices[0]),
            vocabulary=vocabulary,
        )
        answers.update(zip(indices.tolist(), written, strict=True))
        update(len(indices))
    return [answers[index] for index in range(len(picked))]
