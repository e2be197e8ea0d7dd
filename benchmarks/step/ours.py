"""Arms of limbeck: its trainer, objective, teachers, store and writer, put together as a run does."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from clock import Clock, options, trainer_callback
from numpy.typing import NDArray
from transformers import TrainingArguments
from work import (
    BATCH,
    CLIP,
    LEARNING_RATE,
    LENGTH,
    NEW_TOKENS,
    PAD,
    POLICY_BATCH,
    PROMPT,
    build_models,
    build_rows,
    rows_of_step,
)

from limbeck.data.generation.collate import TokenSequence, collate
from limbeck.data.generation.encoded import EncodedSequences
from limbeck.data.generation.rewritten import written_sequences
from limbeck.losses.objective import Objective
from limbeck.losses.readout import TokenReadout
from limbeck.losses.term import WeightedTerm
from limbeck.losses.tokens import TokenTerm
from limbeck.models.generate import Decoding, write_completions
from limbeck.numerics.sparse import top_k
from limbeck.numerics.token_losses import TokenDivergence
from limbeck.sequences.on_policy import OnPolicy, OnPolicyWriter
from limbeck.stages.callbacks import StageCallback
from limbeck.stages.trainer import DistillTrainer
from limbeck.teachers.language_model import LanguageTeacher
from limbeck.teachers.store.fingerprint import Fingerprint
from limbeck.teachers.store.reader import TokenStore
from limbeck.teachers.store.teacher import StoredTokenTeacher
from limbeck.teachers.store.writer import StoreWriter
from limbeck.types import Batch, CompletionSource, LazyLogits, Needs, Teacher

STEPS = 1000
TOP_K = 64


class InOrder:
    """The rows of `work.rows_of_step`."""

    def __init__(self, encoded: EncodedSequences, batch_size: int) -> None:
        self.lengths, self.batch_size, self.steps = encoded.lengths, batch_size, STEPS

    def micro_batches(self, per_step: int, *, rank: int = 0, ranks: int = 1) -> Iterator[NDArray[np.int64]]:
        """Yield the rows of one step after the other."""
        yield from (rows_of_step(step, self.batch_size) for step in range(STEPS))


def encode(vocabulary: int, batch: int, length: int, supervised: float) -> EncodedSequences:
    """Return the rows; the last `supervised` part of each is its completion, one token at least."""
    rows = build_rows(vocabulary, batch, length)
    # The first token is predicted by nothing, so that a prompt of one token leaves all positions that there are.
    borders = [max(1, len(row) - max(1, round(supervised * (len(row) - 1)))) for row in rows]
    return EncodedSequences(
        ids=np.concatenate(rows),
        targets=np.concatenate([np.arange(len(row)) >= at for row, at in zip(rows, borders, strict=True)]),
        offsets=np.cumsum([0, *map(len, rows)], dtype=np.int64),
        borders=np.asarray(borders, dtype=np.int64),
        ended=np.zeros(len(rows), dtype=np.bool_),
        example=np.arange(len(rows)),
        end_ids=(),
        pad_id=PAD,
        decoder_start=None,
        max_length=LENGTH,
        truncated=0,
        left_out=(),
        findings=(),
    )


def stored(folder: Path, teacher: LanguageTeacher, encoded: EncodedSequences, vocabulary: int) -> StoredTokenTeacher:
    """Return the teacher's likeliest tokens, from a store that is made here."""
    fingerprint = Fingerprint("teacher", "tokenizer", "", vocabulary, TOP_K)
    with StoreWriter(folder, fingerprint) as writer:
        for row, key in enumerate(encoded.keys):
            source = teacher.signal(encoded.batch([row]), Needs(logits=True))["tokens"]
            assert isinstance(source, LazyLogits)
            writer.append(key, top_k(source, TOP_K))
    return StoredTokenTeacher(TokenStore.open(folder), encoded.keys)


def rewrite(student: Any, encoded: EncodedSequences) -> OnPolicyWriter:
    """Return what has the student complete the prompts, in every step, as `limbeck.tasks.generation.writers` does."""

    def write_rows(rows: NDArray[np.int64], decoding: Decoding, seed: int) -> Batch:
        prompts = [encoded.prompt_ids(int(row)).tolist() for row in rows]
        completions = write_completions(
            student, prompts, decoding, end_ids=encoded.end_ids, pad_id=PAD, seed=seed, vocabulary=None
        )
        sequences: list[TokenSequence] = written_sequences(encoded, rows.tolist(), [one.ids for one in completions])
        batch = collate(sequences, PAD)
        batch["rows_B"] = torch.from_numpy(np.asarray(rows))
        batch["source_B"] = torch.full((len(rows),), int(CompletionSource.STUDENT))
        return batch

    return OnPolicyWriter(OnPolicy(1.0, decoding=Decoding(NEW_TOKENS)), write_rows, seed=0)


def serve(encoded: EncodedSequences) -> Callable[[NDArray[np.int64]], Batch]:
    """Return what makes batches of rows."""

    def batch(rows: NDArray[np.int64]) -> Batch:
        made = encoded.batch(rows)
        made["rows_B"] = torch.from_numpy(rows)
        made["source_B"] = torch.full((len(rows),), int(CompletionSource.DATA))
        return made

    return batch


def main() -> None:
    """Run one arm."""
    chosen, clock = options(), Clock()
    arm, _, share = chosen.arm.partition(":")
    vocabulary, on_policy = chosen.vocabulary, arm == "on-policy"
    size = POLICY_BATCH if on_policy else BATCH
    teacher_model, student = build_models(vocabulary, tied=chosen.tied)
    if on_policy:  # one token more than the prompt: the completion that is replaced
        encoded = encode(vocabulary, size, PROMPT + 1, 1 / PROMPT)
    else:
        encoded = encode(vocabulary, size, LENGTH, float(share or 1.0))
    with tempfile.TemporaryDirectory() as folder:
        teacher: Teacher = LanguageTeacher(teacher_model)
        if arm == "store":
            assert isinstance(teacher, LanguageTeacher)
            teacher = stored(Path(folder) / "store", teacher, encoded, vocabulary)
            del teacher_model
        jensen_shannon = arm in ("jsd", "on-policy")
        loss = TokenDivergence("jensen_shannon", beta=0.5) if jensen_shannon else TokenDivergence("forward_kl")
        callback = StageCallback(Path(folder) / "log.jsonl", {}, lambda *_, **__: None)
        trainer = DistillTrainer(
            objective=Objective(student, (WeightedTerm("divergence", TokenTerm(loss)),), TokenReadout()),
            sequences=InOrder(encoded, size),
            make_batch=serve(encoded),
            teacher=teacher,
            args=TrainingArguments(
                output_dir=folder,
                max_steps=STEPS,
                per_device_train_batch_size=size,
                learning_rate=LEARNING_RATE,
                lr_scheduler_type="linear",
                weight_decay=0.0,
                max_grad_norm=CLIP,
                optim="adamw_torch_fused",
                logging_nan_inf_filter=False,
                logging_strategy="no",
                save_strategy="no",
                report_to=[],
                use_cpu=True,
                disable_tqdm=True,
                remove_unused_columns=False,
            ),
            callbacks=[callback],
            writer=rewrite(student, encoded) if on_policy else None,
        )
        callback.trainer = trainer
        trainer.add_callback(trainer_callback(clock, trainer))
        trainer.train()


if __name__ == "__main__":
    main()
