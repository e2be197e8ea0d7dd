"""Predictions of a saved student (or any classifier folder) on new rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.data.encode import token_limit
from limbeck.data.prompts.explained import rationale_prompts
from limbeck.data.prompts.label_answer import usable_rationale
from limbeck.data.prompts.scored import encode_for
from limbeck.data.tasks import Classification
from limbeck.evaluation.predict import predict_logits, softmax
from limbeck.models.checked_folder import model_folder, reading
from limbeck.models.generate import Decoding, write_completions
from limbeck.models.label_scorer import LabelScorer
from limbeck.models.load import load_classifier, load_tokenizer, model_labels
from limbeck.models.padding import padding_of
from limbeck.models.problem_type import require_single_label
from limbeck.models.retrieval_memory import read_memory
from limbeck.tasks.batches import batches
from limbeck.tasks.classification.temperature import read_temperature
from limbeck.tasks.task_file import TASK_FILE, read_task, student_max_length
from limbeck.types import Origin, Rows, Update

__all__ = ["Predictor"]

_RATIONALES_AT_ONCE = 16
_RATIONALE_TOKENS = 320
"""Enough for 120 words with any tokenizer."""


class Predictor:
    """Labels texts with a model folder.

    Args:
        model: a folder that `limbeck distill` wrote (its ``task.json`` says how to read rows), or any
            fine-tuned classifier's folder or hub name.

    Raises:
        ModelError: cannot be loaded, or its ``task.json`` or ``calibration.json`` is damaged.
    """

    def __init__(self, model: str) -> None:
        import torch

        folder = model_folder(model)
        student = (folder / TASK_FILE).exists()
        self.task = read_task(folder, Classification, without="max_length") if student else Classification()
        self.model = load_classifier(model)
        if not student:  # limbeck's students learn single labels, regardless of their origin
            require_single_label(self.model.config, model, "Use transformers' pipeline for it")
        self.tokenizer = load_tokenizer(model)
        self.labels = model_labels(self.model)
        self.model.retrieval_memory = read_memory(folder, self.model)
        self.temperature = read_temperature(folder)
        """What logits are divided by for probabilities; ``None`` without ``calibration.json``."""
        self.max_length = token_limit(self.tokenizer, self.model, student_max_length(folder))
        if not isinstance(self.model, LabelScorer):  # which uses the mask
            with reading("label texts with", model):
                padding_of(self.model, self.tokenizer)
        self.model.to("cuda" if torch.cuda.is_available() else "cpu")

    def logits(self, rows: Rows, update: Update | None = None) -> NDArray[np.float32]:
        """Return class logits ``[N, C]``; `update` is called with the number of rows done."""
        encoded = encode_for(self.model, rows, self.tokenizer, self.max_length)
        with reading("label texts with", self.model.config.name_or_path):
            return predict_logits(self.model, encoded, update=update)

    def probs(self, rows: Rows, update: Update | None = None) -> NDArray[np.float64]:
        """Return the probabilities of all classes ``[N, C]``, calibrated if the student's folder has a temperature."""
        return softmax(self.logits(rows, update), self.temperature or 1.0)

    @property
    def explains(self) -> bool:
        """Whether the student was trained to generate rationales."""
        return isinstance(self.model, LabelScorer) and self.model.verbaliser.explains

    def rationales(self, rows: Rows, update: Update | None = None) -> list[str | None]:
        """Generate a rationale for each row with a student that explains; ``None`` if it cannot be used.

        It must be as in training: English, 8 to 120 words. Whether it is true of the text is not checked here.
        """
        written: list[str | None] = []
        for first in range(0, len(rows), _RATIONALES_AT_ONCE):
            part = rows.take(list(range(first, min(first + _RATIONALES_AT_ONCE, len(rows)))))
            prompts = rationale_prompts(self.model.verbaliser, part, self.tokenizer)
            budget = self.max_length - max(map(len, prompts.ids))
            completions = write_completions(
                self.model.language_model,
                prompts.ids,
                Decoding(max_new_tokens=max(1, min(_RATIONALE_TOKENS, budget)), temperature=0.0),
                end_ids=[prompts.end_id],
                pad_id=prompts.end_id,
                seed=0,
            )
            texts = self.tokenizer.batch_decode([one.ids for one in completions], skip_special_tokens=True)
            written += [usable_rationale(text.strip().partition("\n")[0]) for text in texts]
            if update is not None:
                update(len(part))
        return written

    def predict(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Return label, confidence and all probabilities of each text, most likely label first."""
        rows = Rows(
            text=list(texts),
            text_pair=list(pairs) if pairs is not None else None,
            label=[None] * len(texts),
            origin=[Origin("", i + 1) for i in range(len(texts))],
        )
        if not len(rows):
            return []
        answers = []
        for probs in self.probs(rows):
            order = np.argsort(-probs, kind="stable")
            probabilities = {self.labels[i]: round(float(probs[i]), 6) for i in order}
            answers.append(
                {"label": self.labels[order[0]], "confidence": round(float(probs[order[0]]), 6),
                 "probabilities": probabilities}
            )  # fmt: skip
        return answers

    def predict_stream(self, rows: Iterator[tuple[str, str | None]], batch_rows: int = 64) -> Iterator[dict[str, Any]]:
        """Yield an answer, with its text, for each (text, second text) as they come, `batch_rows` at a time."""
        for batch in batches(rows, batch_rows):
            texts = [text for text, _ in batch]
            pairs = [pair or "" for _, pair in batch] if self.task.text_pair else None
            for (text, pair), answer in zip(batch, self.predict(texts, pairs), strict=True):
                yield {"text": text, **({"text_pair": pair} if pairs else {}), **answer}
