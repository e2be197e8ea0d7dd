"""A black-box teacher: we only see its labels (or label probabilities) for each row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from limbeck.data.prompts.label_prompt import check_prompt
from limbeck.errors import DataError, TeacherError
from limbeck.models.load import load_language_model, load_tokenizer
from limbeck.ranks import device, is_main, wait_for_all
from limbeck.results.record import StageCost
from limbeck.results.sections import Ensemble
from limbeck.tasks.classification.config import RunConfig
from limbeck.tasks.classification.pilot import MOST_UNREADABLE, ONE_ANSWER, Worth, given_by, try_first, worth_of
from limbeck.tasks.classification.prompted_teacher import chat_label_probs, local_label_probs
from limbeck.tasks.classification.rows import RunRows
from limbeck.teachers.chat.client import ChatTeacher
from limbeck.teachers.labels.asked import CACHED_SAMPLES
from limbeck.teachers.labels.calibration import fit_temperature, temperature
from limbeck.teachers.labels.label_probs import LabelProbs, from_columns
from limbeck.teachers.language_model import TeacherStates
from limbeck.teachers.stored import StoredTeacher
from limbeck.types import Progress, Rows, Update

if TYPE_CHECKING:
    from limbeck.teachers.chat.answer import Outcome
    from limbeck.teachers.chat.journal import Journal
    from limbeck.teachers.chat.request import ChatRequest

__all__ = [
    "LabelTeacher",
    "PromptedModel",
    "is_readable",
    "label_teacher_warnings",
    "labels_in_column",
    "load_prompted_model",
    "make_label_teacher",
    "open_journal",
    "pilot_without_cost",
    "prompt_rows",
    "unasked_teacher",
    "worth_of_labels",
]

_LEAST_PROBABILITY = 1e-30
"""Probability of a label that the teacher rules out, so that its logarithm is a finite float32."""


@dataclass(frozen=True)
class LabelTeacher:
    """The answers of a teacher without weights for the rows."""

    title: str
    """A description of the teacher in a few words."""
    train: LabelProbs
    test: LabelProbs
    states: TeacherStates | None = None
    """Its hidden states, if a recipe reads them."""
    ensemble: Ensemble | None = None
    """Its members, if it is an ensemble."""
    costs: Mapping[str, StageCost] = field(default_factory=dict)
    """What they cost, by their places in the run folder."""

    def signals(self) -> StoredTeacher:
        """Return the log-probabilities of the training rows as a teacher's logits, and its hidden states if any."""
        return StoredTeacher({"logits": _log_probs(self.train)}, seconds=0.0, states=self.states)

    def test_logits(self) -> NDArray[np.float32] | None:
        """Return the log-probabilities of the held-out rows; ``None`` unless the teacher labelled all of them."""
        return _log_probs(self.test) if self.test.kept_N.all() else None


class PromptedModel(NamedTuple):
    """A prompted causal language model and its tokenizer."""

    model: Any
    tokenizer: Any


def load_prompted_model(config: RunConfig) -> PromptedModel:
    """Load a causal teacher. Raises `ModelError`."""
    teacher = config.teacher
    assert teacher.model is not None
    options = {"trust_remote_code": teacher.trust_remote_code}
    model = load_language_model(teacher.model, **options).to(device())
    return PromptedModel(model, load_tokenizer(teacher.model, **options))


def make_label_teacher(
    config: RunConfig, rows: RunRows, folder: Path, progress: Progress, loaded: PromptedModel | None = None
) -> LabelTeacher:
    """Read or ask for the teacher's labels of all rows; labels in `folder` are not asked for again.

    Args:
        config: the run.
        rows: the rows to label.
        folder: the run folder.
        progress: shows the progress.
        loaded: the causal teacher, if it is already loaded.

    Raises:
        LimbeckError: the labels cannot be read, or the teacher cannot be asked or gives too few.
    """
    teacher = config.teacher
    if teacher.labels_from is not None:
        return labels_in_column(teacher.labels_from, rows)
    assert teacher.prompt is not None
    asked = f"asked with the prompt {teacher.prompt.hash[:12]}"
    if teacher.api is not None:
        title = f"{teacher.api.model} via an API, {asked}"
        ask = _api(config, rows, folder, progress, ChatTeacher)
    else:
        title = f"the causal model {Path(str(teacher.model)).name}, {asked}"
        ask = _local(config, rows, progress, loaded)
    if is_main() and not (folder / "teacher_labels").exists():
        try_first(config, rows, lambda part, what: ask(prompt_rows(config, part), what, MOST_UNREADABLE), progress)
    train, test = (
        _kept(folder / "teacher_labels" / split, config, rows, split, ask, progress) for split in ("train", "test")
    )
    if teacher.orders_must_agree:
        train = train.without("orders_disagree")
    if "temperature" in teacher.calibration:
        by = fit_temperature(train, rows.train_labels)
        train, test = temperature(train, by), temperature(test, by)
    return LabelTeacher(title, train, test)


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
        TeacherError: the teacher is no better than always giving the most frequent label.
        LimbeckError: it cannot be asked.
    """
    if config.teacher.api is None:
        ask = _local(config, rows, progress, None)
    elif (Path(config.teacher.journal or folder / "journal.sqlite")).exists():
        ask = _api(config, rows, folder, progress, _FromTheJournal)
    else:
        return None

    def ask_if_known(part: Rows, what: str) -> LabelProbs:
        return ask(prompt_rows(config, part), what, MOST_UNREADABLE)

    try:
        return try_first(config, rows, ask_if_known, progress)
    except _NotAsked:
        return None


def worth_of_labels(teacher: LabelTeacher, rows: RunRows) -> Worth | None:
    """Compare the teacher's labels of all labelled rows with the most frequent one; ``None``: too few are labelled."""
    given_N = np.concatenate([given_by(teacher.train), given_by(teacher.test)])
    return worth_of(given_N, np.concatenate([rows.train_labels, rows.test_labels]), rows.labels)


def unasked_teacher(config: RunConfig, rows: RunRows) -> LabelTeacher:
    """Return a teacher that has no answers yet: all labels equally likely. For checks before a run.

    Raises:
        ConfigError: its prompt does not fit the rows.
    """
    prompt = config.teacher.prompt
    if prompt is not None:
        check_prompt(prompt, rows.labels, _fields(config))
    train, test = (
        LabelProbs(even, even, np.ones(len(part), dtype=np.bool_), (frozenset(),) * len(part), "local")
        for part in (rows.train, rows.test)
        for even in [np.full((len(part), len(rows.labels)), 1 / len(rows.labels))]
    )
    return LabelTeacher("not asked yet", train, test)


def label_teacher_warnings(teacher: LabelTeacher, labels: Sequence[str]) -> list[str]:
    """Return warnings about the teacher's labels for readers of the figures; `labels` are the task's."""
    found = []
    given = np.bincount(teacher.train.probs_NC[teacher.train.kept_N].argmax(axis=-1), minlength=len(labels))
    if never := [f"'{labels[c]}'" for c in np.flatnonzero(given == 0).tolist()]:
        found.append(
            f"The teacher gives none of {given.sum()} training rows the label {' or '.join(never)}, so the student "
            "hardly learns to give it."
        )
    if (missing := int((~teacher.train.kept_N).sum())) > 0:
        found.append(f"{missing} training rows have no label from the teacher; nothing was distilled from them.")
    if (missing := int((~teacher.test.kept_N).sum())) > 0:
        found.append(
            f"{missing} of {len(teacher.test)} held-out rows have no label from the teacher, so it has no figures; "
            "agreement with it and the KL to it are unknown."
        )
    if any(CACHED_SAMPLES in flags for flags in (*teacher.train.flags, *teacher.test.flags)):
        found.append(ONE_ANSWER)
    return found


_Ask = Callable[[list[dict[str, str]], str, float | None], LabelProbs]
"""Asks about rows. The second argument describes them for people; the third is the share of an API's answers that
may have no label, if not the usual one."""


def labels_in_column(column: str, rows: RunRows) -> LabelTeacher:
    """Return the labels that a model left in the rows. Raises `DataError` if no training row has one."""
    train, test = (_from_rows(part, rows.labels) for part in (rows.train, rows.test))
    if not train.kept_N.any():
        raise DataError(
            f"none of the {len(rows.train)} training rows has a label from the teacher in field '{column}'. "
            "Check teacher.labels_from, or give a teacher with a model"
        )
    return LabelTeacher(f"labels in the field '{column}'", train, test)


def is_readable(folder: Path, progress: Progress) -> bool:
    """Whether a folder of a teacher's labels is intact; logs any damage."""
    try:
        LabelProbs.load(folder)
    except DataError as error:
        progress.log(f"{error}. The teacher is asked again; answers in a journal are kept")
        return False
    return True


def _kept(folder: Path, config: RunConfig, rows: RunRows, split: str, ask: _Ask, progress: Progress) -> LabelProbs:
    """Ask about a split once, and keep the answers. The run folder only holds this run and these rows."""
    if is_main() and not (folder.exists() and is_readable(folder, progress)):
        part = rows.train if split == "train" else rows.test
        folder.parent.mkdir(parents=True, exist_ok=True)
        ask(prompt_rows(config, part), f"{split} rows", None).save(folder)
    wait_for_all()
    return LabelProbs.load(folder)


def _local(config: RunConfig, rows: RunRows, progress: Progress, loaded: PromptedModel | None) -> _Ask:
    teacher = config.teacher

    @cache
    def at_hand() -> PromptedModel:
        return loaded or load_prompted_model(config)

    def ask(texts: list[dict[str, str]], what: str, most_unreadable: float | None) -> LabelProbs:
        model, tokenizer = at_hand()
        assert teacher.prompt is not None
        with progress.track(f"teacher labels: {what}", len(texts)) as update:
            return local_label_probs(
                model, tokenizer, teacher.prompt, texts, rows.labels, contextual="contextual" in teacher.calibration,
                update=update,
            )  # fmt: skip

    assert teacher.prompt is not None
    check_prompt(teacher.prompt, rows.labels, _fields(config))
    return ask


def _api(config: RunConfig, rows: RunRows, folder: Path, progress: Progress, made: type[ChatTeacher]) -> _Ask:
    teacher = config.teacher
    assert teacher.api is not None
    assert teacher.prompt is not None
    check_prompt(teacher.prompt, rows.labels, _fields(config))
    endpoint, prompt = teacher.api, teacher.prompt

    def ask(texts: list[dict[str, str]], what: str, most_unreadable: float | None) -> LabelProbs:
        with open_journal(config, folder) as journal:
            requests = len(texts) * (len(rows.labels) if endpoint.log_probs else teacher.samples)
            with progress.track(f"teacher labels: {what}", requests) as update:
                return chat_label_probs(
                    made(endpoint, journal), prompt, texts, rows.labels, samples=teacher.samples,
                    contextual="contextual" in teacher.calibration, most_unreadable=most_unreadable, update=update,
                )  # fmt: skip

    return ask


def open_journal(config: RunConfig, folder: Path) -> Journal:
    """Open the journal of an API's answers, in the run folder unless the run file names one."""
    from limbeck.teachers.chat.journal import Journal

    return Journal(Path(config.teacher.journal or folder / "journal.sqlite"))


def prompt_rows(config: RunConfig, rows: Rows) -> list[dict[str, str]]:
    """Return each row's texts by their names in the prompt."""
    texts = zip(rows.text, rows.text_pair or rows.text, strict=True)
    return [dict(zip(_fields(config), pair, strict=False)) for pair in texts]


def _fields(config: RunConfig) -> list[str]:
    """Return the names of the texts in the prompt: those of the rows."""
    return [field for field in (config.task.text, config.task.text_pair) if field is not None]


def _from_rows(rows: Rows, labels: list[str]) -> LabelProbs:
    assert rows.teacher_label is not None
    return from_columns(rows.teacher_label, rows.teacher_confidence, labels)


def _log_probs(teacher: LabelProbs) -> NDArray[np.float32]:
    logs: NDArray[np.float32] = np.log(np.maximum(teacher.probs_NC, _LEAST_PROBABILITY)).astype(np.float32)
    return logs
