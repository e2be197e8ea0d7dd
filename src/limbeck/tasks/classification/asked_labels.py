"""The labels of a model that is asked with a prompt, local or behind an API: asked for once, and kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from limbeck.data.prompts.label_prompt import check_prompt
from limbeck.errors import DataError, TeacherError
from limbeck.models.load import load_language_model, load_tokenizer
from limbeck.ranks import device, is_main, wait_for_all
from limbeck.tasks.classification.config import RunConfig
from limbeck.tasks.classification.labeller import Labeller
from limbeck.tasks.classification.pilot import MOST_UNREADABLE, Worth, try_first
from limbeck.tasks.classification.prompted_teacher import chat_label_probs, local_label_probs
from limbeck.tasks.classification.rows import RunRows
from limbeck.teachers.chat.client import ChatTeacher
from limbeck.teachers.labels.calibration import fit_temperature, temperature
from limbeck.teachers.labels.label_probs import LabelProbs
from limbeck.types import Progress, Rows, Update

if TYPE_CHECKING:
    from limbeck.teachers.chat.answer import Outcome
    from limbeck.teachers.chat.journal import Journal
    from limbeck.teachers.chat.request import ChatRequest

__all__ = [
    "FOLDER",
    "AskedLabels",
    "PromptedModel",
    "asked_labels",
    "is_readable",
    "kept_labels",
    "load_prompted_model",
    "open_journal",
    "pilot_without_cost",
    "prompt_fields",
    "prompt_rows",
]

FOLDER = "teacher_labels"
"""In the run folder: the answers to the rows of each split."""


class AskedLabels(NamedTuple):
    """The answers for all rows, as given: without what the labelled rows of the run tell about them."""

    train: LabelProbs
    test: LabelProbs

    def settled(self, labeller: Labeller, gold_N: NDArray[np.int64]) -> AskedLabels:
        """Return the labels to learn: without unsteady rows, and with a temperature, if the section says so.

        Args:
            labeller: the section of what was asked.
            gold_N: gold labels of the training rows; below 0: none.
        """
        train, test = self
        if labeller.orders_must_agree:
            train = train.without("orders_disagree")
        if "temperature" in labeller.calibration:
            by = fit_temperature(train, gold_N)
            train, test = temperature(train, by), temperature(test, by)
        return AskedLabels(train, test)


class PromptedModel(NamedTuple):
    """A prompted causal language model and its tokenizer."""

    model: Any
    tokenizer: Any


def load_prompted_model(config: RunConfig) -> PromptedModel:
    """Load the causal model that is asked. Raises `ModelError`."""
    labeller = _asked(config)
    assert labeller.model is not None
    options = {"trust_remote_code": labeller.trust_remote_code}
    model = load_language_model(labeller.model, **options).to(device())
    return PromptedModel(model, load_tokenizer(labeller.model, **options))


def asked_labels(
    config: RunConfig, rows: RunRows, folder: Path, progress: Progress, loaded: PromptedModel | None = None
) -> AskedLabels:
    """Ask for the labels of all rows; those in `folder` are not asked for again.

    Args:
        config: the run.
        rows: the rows to label.
        folder: the run folder.
        progress: shows the progress.
        loaded: the causal model, if it is already loaded.

    Raises:
        LimbeckError: the model cannot be asked, gives too few labels, or is not worth it in a pilot.
    """
    if _asked(config).api is not None:
        ask = _api(config, rows, folder, progress, ChatTeacher)
    else:
        ask = _local(config, rows, progress, loaded)
    if is_main() and not (folder / FOLDER).exists():
        try_first(config, rows, lambda part, what: ask(prompt_rows(config, part), what, MOST_UNREADABLE), progress)

    def labels_of(split: str, part: Rows) -> LabelProbs:
        def make() -> LabelProbs:
            return ask(prompt_rows(config, part), f"{split} rows", None)

        return kept_labels(folder / FOLDER / split, make, progress)

    return AskedLabels(labels_of("train", rows.train), labels_of("test", rows.test))


class _FromTheJournal(ChatTeacher):
    """A teacher that gives paid answers from the journal, and sends nothing."""

    def complete(self, requests: Sequence[ChatRequest], update: Update | None = None) -> list[Outcome]:
        """Return the outcomes in the journal. Raises `TeacherError` if one is missing."""
        settled = map(self.endpoint.settled, requests)
        if any(self.journal.outcome(self._hash(one), one) is None for one in settled):
            raise _NotAsked("the journal has no answer")
        return super().complete(requests, update)


class _NotAsked(TeacherError):
    """An answer would have to be paid for."""


def pilot_without_cost(config: RunConfig, rows: RunRows, folder: Path, progress: Progress) -> Worth | None:
    """Return the pilot's result for a local model, or an API whose journal has the answers; ``None``: no result.

    Raises:
        TeacherError: the model is no better than always giving the most frequent label.
        LimbeckError: it cannot be asked.
    """
    labeller = _asked(config)
    if labeller.api is None:
        ask = _local(config, rows, progress, None)
    elif Path(labeller.journal or folder / "journal.sqlite").exists():
        ask = _api(config, rows, folder, progress, _FromTheJournal)
    else:
        return None

    def ask_if_known(part: Rows, what: str) -> LabelProbs:
        return ask(prompt_rows(config, part), what, MOST_UNREADABLE)

    try:
        return try_first(config, rows, ask_if_known, progress)
    except _NotAsked:
        return None


_Ask = Callable[[list[dict[str, str]], str, float | None], LabelProbs]
"""Asks about rows. The second argument describes them for people; the third is the share of an API's answers that
may have no label, if not the usual one."""


def is_readable(folder: Path, progress: Progress) -> bool:
    """Whether a folder of a teacher's labels is intact; logs any damage."""
    try:
        LabelProbs.load(folder)
    except DataError as error:
        progress.log(f"{error}. The teacher is asked again; answers in a journal are kept")
        return False
    return True


def kept_labels(folder: Path, ask: Callable[[], LabelProbs], progress: Progress) -> LabelProbs:
    """Ask once, and keep the answers. The run folder only holds this run and these rows."""
    if is_main() and not (folder.exists() and is_readable(folder, progress)):
        folder.parent.mkdir(parents=True, exist_ok=True)
        ask().save(folder)
    wait_for_all()
    return LabelProbs.load(folder)


def _asked(config: RunConfig) -> Labeller:
    labeller = config.teacher.asked
    assert labeller is not None
    return labeller


def _local(config: RunConfig, rows: RunRows, progress: Progress, loaded: PromptedModel | None) -> _Ask:
    labeller = _asked(config)
    prompt = labeller.prompt
    assert prompt is not None
    check_prompt(prompt, rows.labels, prompt_fields(config))

    @cache
    def at_hand() -> PromptedModel:
        return loaded or load_prompted_model(config)

    def ask(texts: list[dict[str, str]], what: str, most_unreadable: float | None) -> LabelProbs:
        model, tokenizer = at_hand()
        with progress.track(f"teacher labels: {what}", len(texts)) as update:
            return local_label_probs(
                model, tokenizer, prompt, texts, rows.labels, contextual="contextual" in labeller.calibration,
                update=update,
            )  # fmt: skip

    return ask


def _api(config: RunConfig, rows: RunRows, folder: Path, progress: Progress, made: type[ChatTeacher]) -> _Ask:
    labeller = _asked(config)
    endpoint, prompt = labeller.api, labeller.prompt
    assert endpoint is not None
    assert prompt is not None
    check_prompt(prompt, rows.labels, prompt_fields(config))

    def ask(texts: list[dict[str, str]], what: str, most_unreadable: float | None) -> LabelProbs:
        with open_journal(config, folder) as journal:
            requests = len(texts) * (len(rows.labels) if endpoint.log_probs else labeller.samples)
            with progress.track(f"teacher labels: {what}", requests) as update:
                return chat_label_probs(
                    made(endpoint, journal), prompt, texts, rows.labels, samples=labeller.samples,
                    contextual="contextual" in labeller.calibration, most_unreadable=most_unreadable, update=update,
                )  # fmt: skip

    return ask


def open_journal(config: RunConfig, folder: Path) -> Journal:
    """Open the journal of an API's answers, in the run folder unless the run file names one."""
    from limbeck.teachers.chat.journal import Journal

    return Journal(Path(_asked(config).journal or folder / "journal.sqlite"))


def prompt_rows(config: RunConfig, rows: Rows) -> list[dict[str, str]]:
    """Return each row's texts by their names in the prompt."""
    texts = zip(rows.text, rows.text_pair or rows.text, strict=True)
    return [dict(zip(prompt_fields(config), pair, strict=False)) for pair in texts]


def prompt_fields(config: RunConfig) -> list[str]:
    """Return the names of the texts in the prompt: those of the rows."""
    return [field for field in (config.task.text, config.task.text_pair) if field is not None]
