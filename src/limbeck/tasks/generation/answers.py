"""Outputs of a language model on held-out rows, kept in the run folder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.data.generation.encoded import EncodedSequences
from limbeck.evaluation.generation.outputs import SystemOutputs
from limbeck.evaluation.generation.run_models import answer, reference_sums
from limbeck.models.generate import Decoding
from limbeck.tasks.generation.context import Context
from limbeck.tasks.generation.writing import within_budget
from limbeck.tasks.kept_outputs import kept_outputs
from limbeck.types import Progress

__all__ = ["HeldOutRows", "measure", "measure_dev", "measure_rows", "measuring"]


@dataclass(frozen=True)
class HeldOutRows:
    """The rows that a model is measured on."""

    encoded: EncodedSequences
    answered: NDArray[np.int64]
    """Indices of the rows whose prompts are answered."""
    decoding: Decoding
    """How they are answered."""
    vocabulary: int | None
    """Number of tokens of the model, and of the teacher if there is one."""


def measure_rows(
    model: Any,
    tokenizer: Any,
    rows: HeldOutRows,
    *,
    title: str,
    progress: Progress,
    teacher: Any = None,
    seed: int = 0,
) -> SystemOutputs:
    """Return probabilities of the references, and a model's answers.

    Args:
        model: on its device.
        tokenizer: the model's.
        rows: to measure on.
        title: of the progress bar.
        progress: shows it.
        teacher: a model with the same tokens, for KL and agreement; ``None``: no comparison.
        seed: of sampled answers.
    """
    with progress.track(title, len(rows.encoded) + len(rows.answered)) as update:
        sums = reference_sums(model, rows.encoded, teacher=teacher, vocabulary=rows.vocabulary, update=update)
        if not len(rows.answered):
            return sums
        written = answer(
            model, rows.encoded, rows.answered, rows.decoding, seed=seed, vocabulary=rows.vocabulary, update=update
        )
    texts: list[str | None] = [None] * len(rows.encoded)
    cut_off_N = np.zeros(len(rows.encoded), dtype=np.bool_)
    for row, one in zip(rows.answered.tolist(), written, strict=True):
        texts[row] = tokenizer.decode(one.ids, skip_special_tokens=True).strip()
        cut_off_N[row] = not one.ended
    return replace(sums, texts=texts, cut_off_N=cut_off_N)


def measure(context: Context, system: str, seed: int, model: Any) -> None:
    """Measure a system on the held-out rows, or read the outputs of an earlier start of this run."""
    name = f"predictions/{system}-seed{seed}.json"
    found = kept_outputs(context.folder, name, lambda: _measured(context, system, model, seed), context.progress)
    context.outputs.setdefault(system, {})[seed] = found


def measuring(system: str) -> str:
    """Return the title of the bar of a measured system."""
    return f"measuring: {system.replace('_', ' ')}"


def _measured(context: Context, system: str, model: Any, seed: int) -> SystemOutputs:
    of_teacher = system == "teacher"
    return measure_rows(
        model,
        context.teacher_tokenizer if of_teacher else context.student_tokenizer,
        _rows_of(context, context.test_for_teacher if of_teacher else context.test),
        title=measuring(system),
        progress=context.progress,
        teacher=None if of_teacher or context.vocabulary is None else context.teacher,
        seed=seed,
    )


def measure_dev(context: Context, system: str, seed: int, model: Any) -> SystemOutputs:
    """Return a student's outputs on the development rows, without comparing with the teacher."""
    assert context.dev is not None
    rows, tokenizer = _rows_of(context, context.dev), context.student_tokenizer
    return measure_rows(model, tokenizer, rows, title=measuring(system), progress=context.progress, seed=seed)


def _rows_of(context: Context, encoded: EncodedSequences) -> HeldOutRows:
    asked = Decoding(context.config.answers.max_new_tokens, context.config.answers.temperature)
    return HeldOutRows(
        encoded, context.answered_of(encoded), within_budget(context, encoded, asked), context.vocabulary
    )
