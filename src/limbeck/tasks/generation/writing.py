"""Generation by the models of a run: completions of prompts, and the teacher's texts before training."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.data.generation.encoded import EncodedSequences
from limbeck.data.generation.records import Message
from limbeck.data.generation.rewritten import with_completions
from limbeck.intact import checksum
from limbeck.models.generate import Completion, Decoding, write_completions
from limbeck.models.load import weights_fingerprint
from limbeck.models.vllm_engine import VllmEngine
from limbeck.ranks import device, is_main, wait_for_all
from limbeck.sequences.given import TeacherWritten
from limbeck.sequences.teacher_written import generate_once
from limbeck.tasks.generation.context import Context
from limbeck.tasks.generation.rows import completion_budget, encode_texts

__all__ = ["teacher_texts", "within_budget", "write"]

WriteRows = Callable[[NDArray[np.int64], Decoding, int], list[Completion]]

_WRITE_ROWS = 16
_ENGINE_ROWS = 512
"""An engine forms its own batches, and works better with more rows to choose from."""


def write(
    context: Context,
    model: Any,
    encoded: EncodedSequences,
    rows: NDArray[np.int64],
    decoding: Decoding,
    seed: int,
    *,
    teacher_fraction: float = 0.0,
) -> list[Completion]:
    """Complete the prompts of `rows` with `model`."""
    return write_completions(
        model,
        [encoded.prompt_ids(int(row)).tolist() for row in rows],
        within_budget(context, encoded, decoding),
        end_ids=encoded.end_ids,
        pad_id=encoded.pad_id,
        seed=seed,
        vocabulary=context.vocabulary,
        teacher=context.teacher if teacher_fraction else None,
        teacher_fraction=teacher_fraction,
    )


def within_budget(context: Context, encoded: EncodedSequences, decoding: Decoding) -> Decoding:
    """Cut the limit of new tokens to what models can read after every prompt."""
    causal = encoded.decoder_start is None
    budget = completion_budget(context.config, encoded.max_length) if causal else encoded.max_length
    return replace(decoding, max_new_tokens=min(decoding.max_new_tokens, budget))


def teacher_texts(context: Context, decoding: Decoding) -> EncodedSequences:
    """Return the training prompts with the teacher's completions, encoded for the student.

    They are generated once per decoding, for all seeds. If the student has another tokenizer, the text is tokenised
    again.
    """
    path = context.folder / "written" / _file_of(context, decoding)
    prompts = context.train_for_teacher
    lengths = np.asarray([len(prompts.prompt_ids(row)) for row in range(len(prompts))])
    order = np.argsort(-lengths, kind="stable")
    if is_main():
        with _teacher_writing(context, prompts) as (write_rows, together):
            generate_once(
                path,
                fingerprint=f"{weights_fingerprint(context.teacher)} {prompts.fingerprint()}",
                decoding=decoding,
                batches=[order[start : start + together] for start in range(0, len(order), together)],
                write=write_rows,
                seed=0,
                progress=context.progress,
            )
    wait_for_all()
    lines = path.read_text(encoding="utf-8").splitlines()[1:]
    completions = {entry["row"]: entry["ids"] for entry in map(json.loads, lines)}
    if context.vocabulary is not None:
        return with_completions(context.train_rows, completions)
    return _tokenised_again(context, completions)


def _file_of(context: Context, decoding: Decoding) -> str:
    """Return the file's name, with the decoding if it differs from the main recipe's."""
    of_main = context.config.recipe.build().part(TeacherWritten)
    if of_main is not None and of_main.decoding == decoding:
        return "teacher.jsonl"
    return f"teacher-{checksum(repr(decoding).encode()):08x}.jsonl"


@contextmanager
def _teacher_writing(context: Context, prompts: EncodedSequences) -> Iterator[tuple[WriteRows, int]]:
    """Yield a function that completes the teacher's prompts, and the number of prompts at a time."""
    teacher = context.config.teacher
    if teacher.engine == "transformers":
        context.teacher.to(device())
        yield partial(write, context, context.teacher, prompts), _WRITE_ROWS
        return
    fine_tuned = context.folder / "stages" / f"teacher-fine_tune-seed{context.config.seeds[0]}" / "model"
    engine = VllmEngine(
        teacher.model if teacher.fine_tune is None else str(fine_tuned),
        max_length=prompts.max_length,
        bf16=teacher.precision == "bf16",
        trust_remote_code=teacher.trust_remote_code,
    )
    context.teacher.to("cpu")  # the engine has the weights on the GPU
    try:
        yield partial(_write_by_engine, context, engine, prompts), _ENGINE_ROWS
    finally:
        engine.close()
        context.teacher.to(device())


def _write_by_engine(
    context: Context,
    engine: VllmEngine,
    encoded: EncodedSequences,
    rows: NDArray[np.int64],
    decoding: Decoding,
    seed: int,
) -> list[Completion]:
    rows_of_logits = len(context.teacher.get_output_embeddings().weight)
    return engine.write(
        [encoded.prompt_ids(int(row)).tolist() for row in rows],
        within_budget(context, encoded, decoding),
        end_ids=encoded.end_ids,
        seed=seed,
        padding=range(context.vocabulary or rows_of_logits, rows_of_logits),
    )


def _tokenised_again(context: Context, completions: dict[int, list[int]]) -> EncodedSequences:
    rows = []
    for row, ids in sorted(completions.items()):
        example = context.rows.train.rows[int(context.train_for_teacher.example[row])]
        text = context.teacher_tokenizer.decode(ids, skip_special_tokens=True).strip()
        if text:  # an empty text teaches nothing
            rows.append(replace(example, messages=(*example.prompt, Message("assistant", text))))
    examples = replace(context.rows.train, rows=rows)
    return encode_texts(
        context.config, examples, context.student_tokenizer, context.new_student(0), context.max_length
    )
