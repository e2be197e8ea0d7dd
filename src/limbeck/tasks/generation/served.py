"""Ask an inference server about the rows of a run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from limbeck.errors import DataError, TeacherError
from limbeck.tasks.generation.config import TextTeacher
from limbeck.teachers.store.fingerprint import Fingerprint
from limbeck.teachers.store.reader import TokenStore
from limbeck.teachers.store.served import from_prompt_logprobs
from limbeck.teachers.store.server import score_sequences
from limbeck.types import SparseLogits

if TYPE_CHECKING:
    from limbeck.tasks.generation.context import Context

__all__ = ["ask_server", "server_name"]

_OTHER_TEACHER = 0.05
"""Mean total variation between two answers about one row, above which they come from different teachers. Servers sum
in a different order each time; in bf16 that gives about 0.01."""


def server_name(teacher: TextTeacher) -> str:
    """Return the identity of a served teacher as far as known: the server's name for it."""
    assert teacher.server is not None
    return f"served: {teacher.server.model}"


def ask_server(
    context: Context, store: TokenStore, fingerprint: Fingerprint, order: NDArray[np.int64]
) -> Iterator[list[tuple[int, SparseLogits]]]:
    """Yield rows with the server's answers, one at a time, as they arrive.

    First, one row of the store is asked again: a server does not tell which weights it holds, and a store must not mix
    two teachers.

    Raises:
        ConfigError: the environment lacks the key.
        TeacherError: the server does not answer or answers in another form, gives fewer tokens than the store keeps,
            or a different answer for the row that the store has.
    """
    endpoint, encoded = context.config.teacher.server, context.train_rows
    assert endpoint is not None

    def answers(rows: NDArray[np.int64]) -> Iterator[tuple[int, SparseLogits]]:
        sequences = (encoded.sequence(int(row)).ids.tolist() for row in rows)
        for number, found in score_sequences(endpoint, sequences, fingerprint.top_k):
            row = int(rows[number])
            yield row, _kept(found, context, row, fingerprint)

    known = np.setdiff1d(np.flatnonzero(encoded.supervised > 0), store.missing(encoded.keys))
    if len(known):
        shortest = known[[np.argmin(encoded.lengths[known])]]
        ((row, now),) = answers(shortest)
        _require_same_teacher(store.read([encoded.keys[row]]), now, store)
    for answer in answers(order):
        yield [answer]


def _kept(answer: list[object], context: Context, row: int, fingerprint: Fingerprint) -> SparseLogits:
    """Return the distributions at a row's supervised positions."""
    labels_T = context.train_rows.batch([row])["labels_BT"][0].tolist()
    fewest = min((len(position) for position in answer[1:] if isinstance(position, dict)), default=0)
    if fewest < fingerprint.top_k:
        raise TeacherError(
            f"the server names {fewest} tokens at a position, and teacher.top_k is {fingerprint.top_k}: it caps them. "
            f"Start it with room for as many (vLLM: --max-logprobs {fingerprint.top_k}), or set teacher.top_k lower"
        )
    try:
        return from_prompt_logprobs(answer, labels_T, top_k=fingerprint.top_k, vocabulary=fingerprint.vocabulary)
    except DataError as error:
        origin = context.rows.train.rows[int(context.train_rows.example[row])].origin
        raise TeacherError(f"about the row {origin} the server's answer cannot be used: {error}") from error


def _require_same_teacher(stored: SparseLogits, now: SparseLogits, store: TokenStore) -> None:
    differences = []
    for ids_K, log_probs_K, ids_now_K, log_probs_now_K in zip(
        stored.ids_SK, stored.log_probs_SK, now.ids_SK, now.log_probs_SK, strict=True
    ):
        then = dict(zip(ids_K.tolist(), log_probs_K.exp().tolist(), strict=True))
        there = dict(zip(ids_now_K.tolist(), log_probs_now_K.exp().tolist(), strict=True))
        differences.append(sum(abs(then.get(t, 0.0) - there.get(t, 0.0)) for t in then | there) / 2)
    if (difference := float(np.mean(differences))) > _OTHER_TEACHER:
        raise TeacherError(
            f"the server's answer about a row that the teacher store {store.folder} has differs from the stored one "
            f"by {difference:.2f} (mean total variation): the name now belongs to another teacher. Serve the "
            "former one, or create another store in an empty folder"
        )
