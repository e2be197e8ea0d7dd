"""The teacher's most likely tokens on disk, for the rows of a run file: `limbeck store`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from limbeck.atomic import try_folder
from limbeck.data.generation.encoded import EncodedSequences
from limbeck.errors import ConfigError
from limbeck.models.load import weights_fingerprint
from limbeck.numerics.sparse import captured_mass, top_k
from limbeck.ranks import device
from limbeck.tasks.baselines import loss_temperatures
from limbeck.tasks.generation.config import TextRunConfig
from limbeck.tasks.generation.dates import with_text_date
from limbeck.tasks.generation.rows import read_texts
from limbeck.tasks.generation.served import ask_server, server_name
from limbeck.teachers.language_model import LanguageTeacher
from limbeck.teachers.store.fingerprint import Fingerprint
from limbeck.teachers.store.reader import TokenStore
from limbeck.teachers.store.teacher import StoredTokenTeacher
from limbeck.teachers.store.writer import StoreWriter
from limbeck.types import UNLABELLED, Batch, Needs, Progress, SparseLogits

if TYPE_CHECKING:
    from limbeck.tasks.generation.context import Context

__all__ = ["fill_store", "fill_store_of", "stored_teacher"]

_ROWS = 8
_SYNC_EVERY = 16


def stored_teacher(context: Context) -> StoredTokenTeacher:
    """Return the teacher of the run's store.

    Raises:
        ConfigError: the store was made by another teacher, tokenizer or template, or at another temperature.
        DataError: there is no store, it is damaged, or it lacks rows of this run.
    """
    assert context.config.teacher.store is not None
    store = TokenStore.open(Path(context.config.teacher.store))
    store.require(_fingerprint(context))
    return StoredTokenTeacher(store, context.train_rows.keys)


def fill_store(context: Context) -> tuple[int, float]:
    """Ask the teacher about every training row that the store lacks, and keep its answers.

    Returns:
        The number of rows asked about, and the mean probability of the kept tokens at their positions.

    Raises:
        ConfigError: no store is given, its folder holds another one, or the server's key is not in the environment.
        StorageError: the disk is full; earlier answers are kept.
        TeacherError: the teacher's server does not answer, or a teacher other than the store's does; earlier answers
            are kept.
    """
    if context.config.teacher.store is None:
        raise ConfigError("teacher.store is missing: give the folder for the teacher's signals")
    folder, fingerprint = Path(context.config.teacher.store), _fingerprint(context)
    encoded = context.train_rows
    with StoreWriter(folder, fingerprint) as writer:
        store = TokenStore.open(folder)
        batches = _to_ask(encoded, store)
        if not batches:
            return 0, 0.0
        order = np.concatenate(batches)
        served = context.config.teacher.server is not None
        answers = (
            ask_server(context, store, fingerprint, order) if served else _computed(context, fingerprint, batches)
        )
        # Answers of a server are paid for one by one: each is saved before it counts.
        sync_every = 1 if served else _SYNC_EVERY
        mass, positions = 0.0, 0
        with context.progress.track("teacher signals", len(order)) as update:
            for number, answer in enumerate(answers, start=1):
                writer.extend([(encoded.keys[row], kept) for row, kept in answer])
                mass += sum(float(captured_mass(kept).sum()) for _, kept in answer)
                positions += sum(kept.rows for _, kept in answer)
                if number % sync_every == 0:
                    writer.sync()
                update(len(answer))
    return len(order), mass / max(1, positions)


def _to_ask(encoded: EncodedSequences, store: TokenStore) -> list[NDArray[np.int64]]:
    """Return the rows that the store lacks, in batches: rows with the same text once, longest first.

    Results of batches of 8 and of 7 rows differ in the last bits. Batches are therefore those of all rows, and as they
    are written whole, a killed store resumes with the same batches. Only rows of partly stored batches, which occur if
    rows were added, are regrouped.
    """
    first = {encoded.keys[row]: row for row in np.flatnonzero(encoded.supervised > 0)[::-1].tolist()}
    rows = np.sort(np.fromiter(first.values(), dtype=np.int64, count=len(first)))
    rows = rows[np.argsort(-encoded.lengths[rows], kind="stable")]
    missing = np.zeros(len(rows), dtype=bool)
    missing[store.missing([encoded.keys[row] for row in rows.tolist()])] = True
    indices = [np.arange(start, min(start + _ROWS, len(rows))) for start in range(0, len(rows), _ROWS)]
    whole = [rows[index] for index in indices if missing[index].all()]
    rest = np.concatenate([np.empty(0, np.int64), *(rows[p][missing[p]] for p in indices if not missing[p].all())])
    return whole + [rest[start : start + _ROWS] for start in range(0, len(rest), _ROWS)]


def _computed(
    context: Context, fingerprint: Fingerprint, batches: Sequence[NDArray[np.int64]]
) -> Iterator[list[tuple[int, SparseLogits]]]:
    """Yield rows with the local teacher's outputs, batch by batch."""
    teacher = LanguageTeacher(context.teacher.to(device()), context.vocabulary)
    for rows in batches:
        batch: Batch = context.train_rows.batch(rows)
        source = teacher.signal(batch, Needs(logits=True))["tokens"]
        assert not isinstance(source, SparseLogits)
        kept = top_k(source, fingerprint.top_k, fingerprint.temperature)
        lengths = (batch["labels_BT"] != UNLABELLED).sum(dim=1).tolist()
        yield list(zip(rows.tolist(), _split(kept, lengths), strict=True))


def fill_store_of(config: TextRunConfig, progress: Progress) -> tuple[int, float]:
    """Fill the store of a checked run; see `fill_store`. A teacher that is fine-tuned first is refused.

    Raises:
        ConfigError: no store is given, its folder holds another one, or the teacher is still to be fine-tuned.
    """
    from limbeck.tasks.generation.context import set_up

    if config.teacher.fine_tune is not None:
        raise ConfigError(
            "teacher.fine_tune: a store is filled before the run, by a finished teacher. Run with the recipe "
            "fine_tune first, and give its student folder as teacher.model"
        )
    if config.teacher.store is not None:
        try_folder(Path(config.teacher.store))
    folder = Path(config.output)
    config = with_text_date(config, folder)
    return fill_store(set_up(config, folder, read_texts(config), progress))


def _split(kept: SparseLogits, lengths: list[int]) -> list[SparseLogits]:
    ends = np.cumsum(lengths).tolist()
    spans = [slice(end - length, end) for end, length in zip(ends, lengths, strict=True)]
    return [
        SparseLogits(kept.ids_SK[s], kept.log_probs_SK[s], kept.tail_S[s], kept.vocabulary, kept.temperature)
        for s in spans
    ]


def _fingerprint(context: Context) -> Fingerprint:
    tokenizer = context.student_tokenizer
    words = repr(sorted(tokenizer.get_vocab().items()))
    assert context.vocabulary is not None
    teacher = context.config.teacher
    return Fingerprint(
        teacher=server_name(teacher) if context.teacher is None else weights_fingerprint(context.teacher),
        tokenizer=hashlib.sha256(words.encode()).hexdigest(),
        template=hashlib.sha256(f"{tokenizer.chat_template}".encode()).hexdigest(),
        vocabulary=context.vocabulary,
        top_k=min(teacher.top_k, context.vocabulary),
        temperature=_temperature(context),
        date=str(context.config.task.date or ""),
    )


def _temperature(context: Context) -> float:
    """Return the temperature of the recipes' divergences, at which probabilities are kept."""
    found = loss_temperatures(context.config.recipes())
    if len(found) > 1:
        raise ConfigError(
            f"a store (teacher.store) keeps one temperature, but recipe and baselines have several: {sorted(found)}. "
            "Set the same recipe.loss_temperature for all"
        )
    return found.pop() if found else 1.0
