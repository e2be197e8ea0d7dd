"""A saved generative student: answers to new prompts, and its evaluation on held-out rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from limbeck.data.encode import token_limit
from limbeck.data.generation.encode import encode_examples
from limbeck.data.generation.encoded import EncodedSequences
from limbeck.data.generation.load import load_examples
from limbeck.data.generation.records import Example, Examples
from limbeck.data.generation.task import Generation
from limbeck.errors import ConfigError, ModelError
from limbeck.evaluation.generation.outputs import HeldOutTexts
from limbeck.evaluation.generation.speed import writing_speed
from limbeck.evaluation.writing import Writer, measure_writing
from limbeck.formatting import layers_text, parameters_text
from limbeck.models.checked_folder import reading
from limbeck.models.generate import Completion, Decoding, write_completions
from limbeck.models.language_model import is_encoder_decoder
from limbeck.models.layers import depth
from limbeck.models.load import load_language_model, load_tokenizer
from limbeck.models.vocabulary import align_vocabularies
from limbeck.ranks import device
from limbeck.results.record import Results, Role, System
from limbeck.results.sections import Speeds
from limbeck.tasks.batches import batches
from limbeck.tasks.generation.answers import HeldOutRows, measure_rows
from limbeck.tasks.generation.rows import decoder_start
from limbeck.tasks.record import Facts, assemble
from limbeck.tasks.task_file import read_task, student_max_length
from limbeck.types import Progress

__all__ = ["WritingStudent", "evaluate_texts"]

_ANSWER_TOKENS = 128
_ANSWERED_ROWS = 200
"""The default of a run, so that the figures of a student are those of its report."""


class WritingStudent:
    """Answers prompts as it was trained to.

    Args:
        folder: the student folder that `limbeck distill` wrote.
        task: the layout of rows; ``None``: as in the folder's ``task.json``, which must then exist.

    Raises:
        ModelError: cannot be loaded, or its ``task.json`` is missing, damaged or of another kind.
    """

    def __init__(self, folder: str | Path, task: Generation | None = None) -> None:
        self.task = task or read_task(folder, Generation, without="max_length")
        wanted = student_max_length(folder)
        self.tokenizer = load_tokenizer(str(folder))
        self.model = load_language_model(str(folder))
        self.max_length = token_limit(self.tokenizer, self.model, wanted)
        self.tokens = 1 + max(self.tokenizer.get_vocab().values())
        self._causal = not is_encoder_decoder(self.model)
        self.model.to(device())

    def answer_tokens(self, wanted: int | None = None) -> int:
        """Return the longest answer in tokens; default: 128, or half the student's context if that is less.

        Raises:
            ConfigError: `wanted` leaves no room for a prompt.
        """
        if wanted is None:
            return min(_ANSWER_TOKENS, self.max_length // 2 if self._causal else self.max_length)
        most = self.max_length - 2 if self._causal else self.max_length
        if wanted > most:
            together = ", prompt and answer together" if self._causal else ""
            raise ConfigError(
                f"--max-new-tokens {wanted}: this student reads at most {self.max_length} tokens{together}. "
                f"Give at most {most}"
            )
        return wanted

    def encode(self, rows: Examples, answer_tokens: int) -> EncodedSequences:
        """Tokenise rows with room for answers of `answer_tokens`. Raises `DataError` for a row that does not fit."""
        return encode_examples(
            rows,
            self.tokenizer,
            self.max_length,
            decoder_start=decoder_start(self.model),
            max_prompt=self.max_length - answer_tokens if self._causal and rows.task.text is None else None,
        )

    @property
    def prompts(self) -> Generation:
        """The layout of rows to answer: completions are ignored, and plain text is continued."""
        if self.task.text is not None:
            return Generation(prompt=self.task.text, template="plain", separator="")
        return self.task.model_copy(update={"completion": None})

    def write(self, prompts: Sequence[Example], decoding: Decoding, seed: int = 0) -> list[Completion]:
        """Return the student's completion of each prompt; a completion in a row is ignored."""
        encoded = self._encoded(prompts, decoding.max_new_tokens)
        with reading("write with", self.model.config.name_or_path):
            return write_completions(
                self.model,
                [encoded.prompt_ids(row).tolist() for row in range(len(encoded))],
                decoding,
                end_ids=encoded.end_ids,
                pad_id=encoded.pad_id,
                seed=seed,
                vocabulary=self.tokens,
            )

    def _encoded(self, prompts: Sequence[Example], answer_tokens: int) -> EncodedSequences:
        rows = [replace(row, messages=row.prompt) for row in prompts]
        return self.encode(Examples(self.prompts, rows, 0, 0, "", ()), answer_tokens)

    def _fitting(self, prompts: Iterator[Example], answer_tokens: int) -> Iterator[Example]:
        """Yield prompts that fit the layout. Raises `DataError` at the first that does not."""
        for row in prompts:
            self._encoded([row], answer_tokens)
            yield row

    def write_stream(
        self,
        prompts: Iterator[Example],
        *,
        max_new_tokens: int | None = None,
        temperature: float = 0.0,
        batch_rows: int = 16,
    ) -> Iterator[dict[str, Any]]:
        """Yield prompt, answer and whether the limit cut it off, for each row as they come, a batch at a time.

        Args:
            prompts: rows; anything after a prompt is ignored.
            max_new_tokens: longest answer; see `answer_tokens`.
            temperature: of sampling; 0: always the most likely token.
            batch_rows: rows that are answered together.

        Raises:
            ConfigError: answers of that length leave no room for a prompt.
            DataError: a prompt does not fit the layout.
        """
        decoding = Decoding(self.answer_tokens(max_new_tokens), temperature)
        for number, batch in enumerate(batches(self._fitting(prompts, decoding.max_new_tokens), batch_rows)):
            written = self.write(batch, decoding, seed=number)
            for row, one in zip(batch, written, strict=True):
                text = self.tokenizer.decode(one.ids, skip_special_tokens=True).strip()
                prompt = "\n\n".join(turn.content for turn in row.prompt)
                yield {"prompt": prompt, "answer": text, "cut_off": not one.ended}


def evaluate_texts(student: str, data: str, *, against: str | None, progress: Progress) -> Results:
    """Return the figures of a student on held-out rows, and of an optional second model.

    Args:
        student: the folder that `limbeck distill` wrote.
        data: rows with completions, in the layout of the student's training.
        against: a language model to compare with, such as the teacher. If it has the same tokens, KL to it and
            agreement are measured too.
        progress: shows the progress.

    Raises:
        ModelError: a model cannot be loaded.
        DataError: the rows cannot be used.
    """
    models = {"distilled": WritingStudent(student)}
    task = models["distilled"].task
    if against is not None:
        models["teacher"] = WritingStudent(against, task)
    rows = load_examples(data, task, require_completion=task.text is None, split="test")
    shared = _shared_tokens(models)
    encoded = {name: model.encode(rows, model.answer_tokens()) for name, model in models.items()}
    held_out = encoded["distilled"]
    answered = np.random.default_rng(0).permutation(len(held_out))[:_ANSWERED_ROWS]
    answered = np.sort(answered) if task.text is None else answered[:0]
    systems, speeds = [], {}
    for name, model in models.items():
        teacher = models["teacher"].model if name == "distilled" and shared is not None else None
        title = student if name == "distilled" else str(against)
        decoding = Decoding(model.answer_tokens(), 0.0)
        outputs = measure_rows(
            model.model,
            model.tokenizer,
            HeldOutRows(encoded[name], answered, decoding, shared or model.tokens),
            title=f"measuring: {title}",
            progress=progress,
            teacher=teacher,
        )
        speeds[name] = writing_speed(model.model, encoded[name], answered)
        detail = f"{layers_text(depth(model.model))}, {parameters_text(speeds[name].parameters)} parameters"
        role: Role = "main" if name == "distilled" else "teacher"
        systems.append(Writer(System(name=name, title=title, role=role, detail=detail), {0: outputs}))
    facts = Facts(kind="generation", name=student, recipe="", seeds=[0], rows={"test": len(held_out)})
    measured = measure_writing(systems, _texts(models["distilled"], held_out))
    return assemble(facts, measured, sections=[Speeds(systems=speeds)])


def _shared_tokens(models: dict[str, WritingStudent]) -> int | None:
    """Tokens that both know by the same ids; ``None`` with one model, or with two tokenizers."""
    if "teacher" not in models:
        return None
    rows = {name: int(one.model.get_output_embeddings().weight.shape[0]) for name, one in models.items()}
    try:
        return align_vocabularies(
            models["teacher"].tokenizer,
            models["distilled"].tokenizer,
            teacher_rows=rows["teacher"],
            student_rows=rows["distilled"],
        )
    except ModelError:
        return None


def _texts(model: WritingStudent, encoded: EncodedSequences) -> HeldOutTexts:
    if model.task.text is not None:
        return HeldOutTexts([], [])
    decode, rows = model.tokenizer.decode, range(len(encoded))
    return HeldOutTexts(
        [decode(encoded.prompt_ids(row).tolist(), skip_special_tokens=True).strip() for row in rows],
        [decode(encoded.completion_ids(row).tolist(), skip_special_tokens=True).strip() for row in rows],
    )
