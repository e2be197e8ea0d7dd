"""Local and API teachers of a prompt search, behind one interface."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from limbeck.data.prompts.label_prompt import LabelPrompt
from limbeck.data.prompts.label_render import is_chat, render_plain
from limbeck.errors import ModelError
from limbeck.prompt_search.config import AskedTeacher
from limbeck.tasks.classification.prompted_teacher import Row, chat_label_probs, local_label_probs, rendered_prompts
from limbeck.types import BYTES_A_TOKEN

if TYPE_CHECKING:
    from pathlib import Path

    from limbeck.teachers.chat.client import ChatTeacher
    from limbeck.teachers.labels.label_probs import LabelProbs
    from limbeck.types import Update

__all__ = ["Scorer", "make_scorer", "rows_hash"]

_WRITTEN_TOKENS = 160
_WRITING_TEMPERATURE = 0.9


class Scorer(Protocol):
    """A teacher that answers under any prompt."""

    @property
    def identity(self) -> str:
        """What answers depend on apart from prompt, labels and rows: weights or model name, and settings."""

    def dated(self, prompt: LabelPrompt, folder: Path) -> LabelPrompt:
        """Return the prompt with the date of the teacher's chat template, which `folder` keeps."""

    def answers(
        self, prompt: LabelPrompt, rows: Sequence[Row], labels: Sequence[str], update: Update | None
    ) -> LabelProbs:
        """Return the teacher's probabilities. Raises `ConfigError` if it cannot read the prompt."""

    def tokens(self, prompt: LabelPrompt, rows: Sequence[Row], labels: Sequence[str]) -> list[int]:
        """Return the length of each row's prompt."""

    def write(self, request: str, count: int, seed: int) -> list[str]:
        """Return `count` sampled answers to a request."""


def make_scorer(teacher: AskedTeacher, folder: Path) -> Scorer:
    """Load a local teacher, or open the journal of an API teacher.

    Args:
        teacher: the section of the file.
        folder: output folder of the search; the journal is there unless the section gives another path.

    Raises:
        ModelError: the model cannot be loaded, or is not a causal language model.
        DataError: the journal cannot be read.
    """
    if teacher.api is not None:
        from pathlib import Path

        from limbeck.teachers.chat.client import ChatTeacher
        from limbeck.teachers.chat.journal import Journal

        journal = Path(teacher.journal) if teacher.journal else folder / "journal.sqlite"
        return _ApiScorer(ChatTeacher(teacher.api, Journal(journal)), teacher.samples)
    from limbeck.models.load import load_language_model, load_tokenizer, weights_fingerprint

    assert teacher.model is not None
    model = load_language_model(teacher.model, bf16=teacher.bf16, trust_remote_code=teacher.trust_remote_code)
    if model.config.is_encoder_decoder:
        raise ModelError(f"{teacher.model} is an encoder model; labelling with prompts needs a causal language model")
    import torch

    if torch.cuda.is_available():
        model = model.to("cuda")
    tokenizer = load_tokenizer(teacher.model, trust_remote_code=teacher.trust_remote_code)
    return _LocalScorer(model, tokenizer, teacher.length_power, weights_fingerprint(model))


class _LocalScorer:
    def __init__(self, model: Any, tokenizer: Any, length_power: float, fingerprint: str) -> None:
        self._model, self._tokenizer, self._power = model, tokenizer, length_power
        self.identity = f"local {fingerprint} b={length_power}"

    def dated(self, prompt: LabelPrompt, folder: Path) -> LabelPrompt:
        from limbeck.models.chat_template import at_date
        from limbeck.tasks.template_dates import dated_prompt

        found = dated_prompt(prompt, self._tokenizer, folder)
        self._tokenizer = at_date(self._tokenizer, found.date)  # requests for wordings have no prompt of their own
        return found

    def answers(
        self, prompt: LabelPrompt, rows: Sequence[Row], labels: Sequence[str], update: Update | None
    ) -> LabelProbs:
        return local_label_probs(
            self._model, self._tokenizer, prompt, rows, labels, length_power=self._power, update=update
        )

    def tokens(self, prompt: LabelPrompt, rows: Sequence[Row], labels: Sequence[str]) -> list[int]:
        texts = [one.text for one in rendered_prompts(prompt, rows, labels, self._tokenizer)]
        encoded = self._tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"] if texts else []
        return [len(ids) for ids in encoded]

    def write(self, request: str, count: int, seed: int) -> list[str]:
        from limbeck.data.generation.templates import end_tokens, padding_token
        from limbeck.models.generate import Decoding, write_completions

        chat = is_chat(LabelPrompt(), self._tokenizer)
        if chat:
            messages = [{"role": "user", "content": request}]
            ids = self._tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)[
                "input_ids"
            ]
        else:
            ids = self._tokenizer(request + "\nRewritten:")["input_ids"]
        written = write_completions(
            self._model,
            [ids] * count,
            Decoding(max_new_tokens=_WRITTEN_TOKENS, temperature=_WRITING_TEMPERATURE, top_p=0.95),
            end_ids=end_tokens(self._tokenizer, chat=chat),
            pad_id=padding_token(self._tokenizer),
            seed=seed,
        )
        return [str(self._tokenizer.decode(one.ids, skip_special_tokens=True)) for one in written]


class _ApiScorer:
    def __init__(self, teacher: ChatTeacher, samples: int) -> None:
        self._teacher, self._samples = teacher, samples
        endpoint = teacher.endpoint
        how = f"log_probs={endpoint.log_probs}" if endpoint.log_probs else f"samples={samples}"
        self.identity = f"api {endpoint.kind} {endpoint.base_url} {endpoint.model} {how}{endpoint.settings}"

    def dated(self, prompt: LabelPrompt, folder: Path) -> LabelPrompt:
        return prompt

    def answers(
        self, prompt: LabelPrompt, rows: Sequence[Row], labels: Sequence[str], update: Update | None
    ) -> LabelProbs:
        # A prompt with unreadable answers is a bad prompt, not a reason to end the search.
        return chat_label_probs(
            self._teacher, prompt, rows, labels, samples=self._samples, most_unreadable=1.0, update=update
        )

    def tokens(self, prompt: LabelPrompt, rows: Sequence[Row], labels: Sequence[str]) -> list[int]:
        return [len(render_plain(prompt, labels, row)[0].encode()) // BYTES_A_TOKEN for row in rows]

    def write(self, request: str, count: int, seed: int) -> list[str]:
        from limbeck.teachers.chat.answer import Answer
        from limbeck.teachers.labels.asked import request_of

        chat = self._teacher.endpoint.kind == "chat"
        asked = [{"role": "user", "content": request}] if chat else request + "\nRewritten:"
        requests = [
            request_of(asked, max_tokens=_WRITTEN_TOKENS, sampling_temperature=_WRITING_TEMPERATURE, sample=sample)
            for sample in range(count)
        ]
        return [one.text for one in self._teacher.complete(requests) if isinstance(one, Answer)]


def rows_hash(rows: Sequence[Row]) -> str:
    """Return the SHA-256 of rows, in order."""
    return hashlib.sha256(json.dumps([dict(row) for row in rows], sort_keys=True).encode()).hexdigest()
