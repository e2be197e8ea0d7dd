"""Predict new rows with a saved cross-lingual student."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, PositiveInt

from limbeck.data.candidates import CandidateEncoder, ScorerKind
from limbeck.data.instructions.checks import check_instruction
from limbeck.data.languages import language_code, language_name
from limbeck.data.prompts.choice import PromptChoice
from limbeck.errors import ConfigError, DataError, near_misses
from limbeck.evaluation.predict import predict_scores, softmax
from limbeck.models.checked_folder import bounded, model_weights, reading
from limbeck.models.load import load_tokenizer, load_weights
from limbeck.ranks import device
from limbeck.students.scorer import make_scorer
from limbeck.tasks.batches import batches
from limbeck.tasks.ranking.rows import prompt_texts
from limbeck.tasks.task_file import read_task
from limbeck.types import Instruction, SoftLayout, Update

__all__ = ["Ranker", "RankingTask"]


class RankingTask(BaseModel):
    """The ``task.json`` of a cross-lingual student: its inputs and its possible answers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["ranking"] = "ranking"
    scorer: ScorerKind
    critic: bool = False
    """Whether the weights hold a critic, which reinforcement learning leaves behind."""
    prompts: PromptChoice
    reads: Literal["run", "hard", "task_name"] = "run"
    """``task_name``: the task's name is all that stands before the input, whatever `prompts` say."""
    soft: SoftLayout | None
    languages: list[str]
    """Our codes, the source language first."""
    tasks: list[str] = []
    """All tasks of the run."""
    labels: dict[str, list[str]]
    """The answers to choose from, for tasks whose rows are all about the same ones. Where two sets have other
    labels for one task, the keys are ``task/set``."""
    pairs: list[str] = []
    """Those of `labels` that read two texts."""
    max_length: PositiveInt


class Ranker:
    """Ranks the answers of a task for texts in any language of a cross-lingual student.

    Args:
        folder: the student folder that `limbeck distill` wrote; the pretrained backbone is not needed.

    Raises:
        ModelError: cannot be loaded, or its ``task.json`` is damaged or of another kind.
    """

    def __init__(self, folder: str | Path) -> None:
        self.task = read_task(folder, RankingTask)
        self.tokenizer = load_tokenizer(str(folder))
        weights = model_weights(str(folder))
        with reading("load the scorer of", folder), bounded(weights):
            self.scorer = make_scorer(self.task.scorer, str(folder), self.task.soft)
            if self.task.critic:
                self.scorer.add_critic()
            load_weights(self.scorer, weights.folder)
        self.scorer.to(device())

    def scores(self, records: Sequence[Instruction], *, update: Update | None = None) -> NDArray[np.float32]:
        """Return the scores of all candidates ``[N, K]``, ``-inf`` where a record has fewer than K.

        Raises:
            ConfigError: the prompts and a candidate leave no tokens for an input.
        """
        # A new encoder each time: it keeps every text it has seen, and a stream has no end.
        encoder = CandidateEncoder(
            self.tokenizer,
            self.task.scorer,
            hard_prompts=prompt_texts(self.task.prompts, self.task.reads),
            soft=self.task.soft,
            max_length=self.task.max_length,
        )
        encoded = encoder.encode(records)
        with reading("score texts with", self.scorer.config.name_or_path):
            return predict_scores(self.scorer, encoded, update=update)

    def predict(
        self,
        texts: Sequence[str],
        lang: str | Sequence[str],
        pairs: Sequence[str] | None = None,
        task: str | None = None,
    ) -> list[dict[str, Any]]:
        """Return label, confidence, all probabilities (likeliest label first) and language of each text.

        Args:
            texts: what to label.
            lang: the language of all texts, or of each of them.
            pairs: the second texts, for tasks that read two.
            task: one of the student's tasks with fixed labels; ``None``: the only one.

        Raises:
            ConfigError: no such task, or none was named and there are several.
            DataError: an unknown language, an empty text, or a second text too many or missing.
        """
        name = self.known_task(task)
        if (pairs is not None) != (name in self.task.pairs):
            raise DataError(f"the task '{name}' reads {'two texts' if pairs is None else 'one text'} for each row")
        langs = [lang] * len(texts) if isinstance(lang, str) else list(lang)
        seconds: Sequence[str | None] = pairs if pairs is not None else [None] * len(texts)
        records = [
            self._record(i, name, text, pair, one)
            for i, (text, pair, one) in enumerate(zip(texts, seconds, langs, strict=True), 1)
        ]
        if not records:
            return []
        answers = []
        for record, probs in zip(records, softmax(self.scores(records)), strict=True):
            ranked = np.argsort(-probs, kind="stable")
            probabilities = {record.candidates[k]: round(float(probs[k]), 6) for k in ranked}
            label = record.candidates[ranked[0]]
            answers.append(
                {"label": label, "confidence": probabilities[label], "probabilities": probabilities,
                 "lang": record.lang}
            )  # fmt: skip
        return answers

    def predict_stream(
        self, rows: Iterator[tuple[str, str | None, str]], task: str | None = None, batch_rows: int = 64
    ) -> Iterator[dict[str, Any]]:
        """Yield an answer, with its texts, for each (text, second text, language), `batch_rows` at a time."""
        paired = self.known_task(task) in self.task.pairs
        known = ((text, pair, self.known_language(lang)) for text, pair, lang in rows)
        for batch in batches(known, batch_rows):
            pairs = [pair or "" for _, pair, _ in batch] if paired else None
            answers = self.predict([text for text, _, _ in batch], [lang for *_, lang in batch], pairs, task)
            for (text, pair, _), answer in zip(batch, answers, strict=True):
                yield {"text": text, **({"text_pair": pair} if paired else {}), **answer}

    def known_task(self, task: str | None) -> str:
        """Return the task of this name, or the only task if no name is given. Raises `ConfigError`."""
        labels = self.task.labels
        if task is None and len(labels) == 1:
            return next(iter(labels))
        if task in labels:
            return str(task)
        known = f"Tasks with fixed labels: {', '.join(labels) or 'none'}"
        if task is None and labels:
            raise ConfigError(f"this student has several tasks: name one of them (--task). {known}")
        if task is None or task in self.task.tasks:
            which = (
                f"the task '{task}' has" if task else f"the tasks of this student ({', '.join(self.task.tasks)}) have"
            )
            raise ConfigError(
                f"{which} no fixed labels: each record brings candidates, or a word that is asked about, of its own. "
                f"Measure the student on a data set instead (limbeck evaluate --layout). {known}"
            )
        raise ConfigError(f"this student has no task '{task}'; {near_misses(task, labels)}")

    def known_language(self, lang: str) -> str:
        """Return our code of one of the student's languages, given by any of its codes. Raises `DataError`."""
        try:
            code = language_code(lang)
        except DataError:
            code = lang
        if code not in self.task.languages:
            known = ", ".join(f"{one} ({language_name(one)})" for one in self.task.languages)
            raise DataError(f"this student was not trained on the language '{lang}'; it knows {known}")
        return code

    def _record(self, number: int, task: str, text: str, pair: str | None, lang: str) -> Instruction:
        record = Instruction(
            id=f"row {number}",
            source="rows",
            split="test",
            task=task.partition("/")[0],
            lang=self.known_language(lang),
            input=text,
            input_pair=pair,
            candidates=tuple(self.task.labels[task]),
            gold=(),
        )
        check_instruction(record)
        return record
