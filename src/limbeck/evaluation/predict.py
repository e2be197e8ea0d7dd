"""Predictions of models: class logits, tag logits and candidate scores, and the vectors of frozen encoders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from limbeck.data.candidates import EncodedRecords, Side
from limbeck.data.encode import Encoded
from limbeck.data.tagging.encode import EncodedUnits
from limbeck.errors import ModelError
from limbeck.evaluation.ranking import margin_scores
from limbeck.models.frozen_encoder import FrozenEncoder
from limbeck.models.layers import depth, width
from limbeck.models.retrieval_memory import answers
from limbeck.models.taps import run_model
from limbeck.types import Instruction, Tap, Update

__all__ = [
    "length_sorted_batches",
    "predict_answers",
    "predict_logits",
    "predict_scores",
    "predict_tags",
    "predict_vectors",
    "sigmoid",
    "softmax",
    "translation_margins",
]


def length_sorted_batches(lengths: NDArray[np.int64], batch_size: int) -> Iterator[NDArray[np.int64]]:
    """Yield row indices in batches of similar length, longest first, so that lack of memory shows at once."""
    order = np.argsort(-lengths, kind="stable")
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


@torch.no_grad()
def predict_logits(
    model: Any,
    encoded: Encoded,
    rows: NDArray[np.int64] | None = None,
    *,
    batch_size: int = 64,
    update: Update | None = None,
) -> NDArray[np.float32]:
    """Return class logits ``[N, C]`` of `rows` in order, or of all; leaves the model in evaluation mode.

    For a model with a memory, they are the logarithms of its mixed probabilities.

    Raises:
        ModelError: logits that are no numbers.
    """
    model.eval()
    device = next(model.parameters()).device
    picked = np.arange(len(encoded.lengths)) if rows is None else rows
    logits = np.empty((len(picked), model.config.num_labels), dtype=np.float32)
    for places in length_sorted_batches(encoded.lengths[picked], batch_size):
        inputs = {name: tensor.to(device) for name, tensor in encoded.batch(picked[places]).items()}
        logits[places] = answers(model, inputs).float().cpu().numpy()
        if update is not None:
            update(len(places))
    _require_numbers(logits, model)
    return logits


@torch.no_grad()
def predict_answers(
    model: Any, encoded: Encoded, rows: NDArray[np.int64], *, batch_size: int = 64
) -> tuple[Tensor, Tensor]:
    """Return the classifier's own logits ``[N, C]`` of rows, in order, and its last [CLS] states ``[N, D]``."""
    model.eval()
    device, first = next(model.parameters()).device, Tap("first", depth(model))
    logits_NC, states_ND = torch.empty(len(rows), model.config.num_labels), torch.empty(len(rows), width(model))
    for places in length_sorted_batches(encoded.lengths[rows], batch_size):
        inputs = {name: tensor.to(device) for name, tensor in encoded.batch(rows[places]).items()}
        signal = run_model(model, inputs, frozenset([first]))
        logits_NC[places], states_ND[places] = signal["logits"].float().cpu(), signal["states"][first].float().cpu()
    return logits_NC, states_ND


def predict_vectors(
    encoder: FrozenEncoder,
    encoded: Encoded,
    rows: NDArray[np.int64] | None = None,
    *,
    batch_size: int = 64,
    update: Update | None = None,
) -> NDArray[np.float32]:
    """Return the vectors ``[N, D]`` of `rows` in order, or of all.

    Raises:
        ModelError: vectors that are no numbers.
    """
    picked = np.arange(len(encoded.lengths)) if rows is None else rows
    found: NDArray[np.float32] | None = None
    for places in length_sorted_batches(encoded.lengths[picked], batch_size):
        vectors_BD = encoder.vectors(encoded.batch(picked[places])).float().cpu().numpy()
        if found is None:
            found = np.empty((len(picked), vectors_BD.shape[1]), dtype=np.float32)
        found[places] = vectors_BD
        if update is not None:
            update(len(places))
    assert found is not None, "no text to read"
    _require_numbers(found, encoder.model)
    return found


@torch.no_grad()
def predict_tags(
    model: Any,
    encoded: EncodedUnits,
    windows: NDArray[np.int64] | None = None,
    *,
    batch_size: int = 64,
    update: Update | None = None,
) -> NDArray[np.float32]:
    """Return the tag logits ``[U, C]`` of the units in `windows`, in that order, or of all; 0 for units not read.

    Leaves the model in evaluation mode.

    Raises:
        ModelError: logits that are no numbers.
    """
    model.eval()
    device = next(model.parameters()).device
    picked = np.arange(len(encoded.row_of_W)) if windows is None else windows
    sizes = np.diff(encoded.window_offsets)[picked]
    shift_W = np.cumsum(sizes) - sizes - encoded.window_offsets[picked]
    logits = np.zeros((int(sizes.sum()), model.config.num_labels), dtype=np.float32)
    for places in length_sorted_batches(encoded.windows.lengths[picked], batch_size):
        inputs = {name: tensor.to(device) for name, tensor in encoded.windows.batch(picked[places]).items()}
        found_BTC = run_model(model, inputs)["logits"].float().cpu().numpy()
        row_S, token_S, unit_S = encoded.places(picked[places])
        logits[unit_S + shift_W[places][row_S]] = found_BTC[row_S, token_S]
        if update is not None:
            update(len(places))
    _require_numbers(logits, model)
    return logits


@torch.no_grad()
def predict_scores(
    scorer: Any,
    encoded: EncodedRecords,
    *,
    batch_size: int = 32,
    margin: bool = True,
    update: Update | None = None,
) -> NDArray[np.float32]:
    """Return the scores ``[N, K]`` of all records' candidates, ``-inf`` for missing candidates.

    A dual encoder reads each distinct candidate once. Leaves the scorer in evaluation mode.

    Args:
        scorer: with the weights to predict with.
        encoded: the records.
        batch_size: records, or sequences of a dual encoder, at a time.
        margin: rank the translations of a dual encoder by the ratio margin instead of its scores
            (`translation_margins`). Not for training signals: margins are not logits.
        update: called with the number of records done.
    """
    scorer.eval()
    if encoded.encoder.kind == "dual_encoder":
        return _dual_scores(scorer, encoded, batch_size, margin, update)
    device = next(scorer.parameters()).device
    scores = np.empty((len(encoded.records), encoded.candidates), dtype=np.float32)
    for rows in length_sorted_batches(encoded.lengths, batch_size):
        inputs = {name: tensor.to(device) for name, tensor in encoded.batch(rows).items()}
        scores[rows] = run_model(scorer, inputs)["logits"].float().cpu().numpy()
        if update is not None:
            update(len(rows))
    _require_numbers(scores, scorer)
    return scores


def _require_numbers(logits: NDArray[np.float32], model: Any) -> None:
    if (rows := int(np.isnan(logits).any(axis=-1).sum())) > 0:
        raise ModelError(
            f"{type(model).__name__} of '{model.config.name_or_path}' gives NaN for {rows} of {len(logits)} rows: its "
            "weights are damaged, or its training diverged. Copy or train it again"
        )


def _dual_scores(
    scorer: Any, encoded: EncodedRecords, batch_size: int, margin: bool, update: Update | None
) -> NDArray[np.float32]:
    queries, candidates, index_NK = encoded.two_sides(range(len(encoded.records)))
    candidate_RD = _vectors(scorer, candidates, batch_size)
    query_ND = _vectors(scorer, queries, batch_size, update)
    scores = np.empty((len(encoded.records), encoded.candidates), dtype=np.float32)
    for start in range(0, len(scores), batch_size):
        rows = slice(start, start + batch_size)
        batch_BK = scorer.scores(query_ND[rows], candidate_RD, index_NK[rows].to(candidate_RD.device))
        scores[rows] = batch_BK.float().cpu().numpy()
    _require_numbers(scores, scorer)
    if margin:
        found = translation_margins(
            encoded.records, query_ND.cpu().numpy(), candidate_RD.cpu().numpy(), index_NK.numpy()
        )
        for rows_M, margins_MK in found:
            scores[rows_M] = margins_MK
    return scores


def _vectors(scorer: Any, side: Side, batch_size: int, update: Update | None = None) -> Tensor:
    """Return a unit vector for each sequence, ``[R, D]``; each is read once, in batches of similar length."""
    device = next(scorer.parameters()).device
    vectors_RD: Tensor | None = None
    for places in length_sorted_batches(side.lengths, batch_size):
        inputs = {name: tensor.to(device) for name, tensor in side.batch(places).items()}
        vectors_BD = scorer.vectors(**inputs)
        if vectors_RD is None:
            vectors_RD = vectors_BD.new_empty(len(side.sequences), vectors_BD.shape[1])
        vectors_RD[torch.from_numpy(places).to(device)] = vectors_BD
        if update is not None:
            update(len(places))
    assert vectors_RD is not None, "no record to score"
    return vectors_RD


def translation_margins(
    records: Sequence[Instruction],
    query_ND: NDArray[np.float32],
    candidate_RD: NDArray[np.float32],
    index_NK: NDArray[np.int64],
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Yield the translation records of each set, split and language, with their candidates' margins ``[M, K]``.

    The ratio margin (`limbeck.evaluation.ranking.ratio_margin`, 4 neighbours) corrects for candidates that are near
    to every question (hubs). Neighbours are searched among all questions and candidates of the group, without
    reading labels. With one question in the group the ranking is that of the cosine.

    Args:
        records: all records.
        query_ND: vectors of their questions, of length 1.
        candidate_RD: vectors of the distinct candidates, of length 1.
        index_NK: index in `candidate_RD` of each record's candidates, -1 for missing ones.
    """
    groups: dict[tuple[str, str, str], list[int]] = {}
    for row, record in enumerate(records):
        if record.task == "translation":
            groups.setdefault((record.source, record.split, record.lang), []).append(row)
    for rows in groups.values():
        index_MK = index_NK[rows]
        pool = np.unique(index_MK[index_MK >= 0])
        margins = margin_scores(query_ND[rows], candidate_RD[pool]).astype(np.float32)
        # A missing candidate gets some index in the pool here, and -inf afterwards.
        own_MK = np.take_along_axis(margins, np.searchsorted(pool, np.maximum(index_MK, pool[0])), axis=1)
        yield np.asarray(rows), np.where(index_MK >= 0, own_MK, -np.inf).astype(np.float32)


def softmax(logits: NDArray[np.float32], temperature: float = 1.0) -> NDArray[np.float64]:
    """Return the probabilities of logits divided by a temperature, ``[N, C]`` in float64."""
    from scipy.special import softmax as scipy_softmax

    probs: NDArray[np.float64] = scipy_softmax(logits.astype(np.float64) / temperature, axis=-1)
    return probs


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the independent probability of each label, in float64."""
    from scipy.special import expit

    probs: NDArray[np.float64] = expit(logits.astype(np.float64))
    return probs
