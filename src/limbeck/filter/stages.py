"""The two stages of the filter: a cheap score for all articles, a teacher's yes or no for those that pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from limbeck.data.articles.article import Article
from limbeck.data.articles.keywords import keyword_score, lead
from limbeck.data.prompts.label_prompt import LabelPrompt, check_prompt
from limbeck.errors import ConfigError, TeacherError
from limbeck.filter.config import ArticleSet, Judge, Screen
from limbeck.tasks.classification.predict import Predictor
from limbeck.tasks.template_dates import dated_prompt
from limbeck.types import Origin, Rows, Update

__all__ = ["Asker", "Question", "judge_of", "screen_of"]

YES_NO = ("yes", "no")
_SLOTS = ("text", "title", "crisis")


@dataclass(frozen=True)
class Question:
    """One article and the crisis in question."""

    article: Article
    about: ArticleSet

    @property
    def parts(self) -> tuple[str, ...]:
        """Return all texts that a score depends on."""
        return (self.about.crisis, *self.about.keywords, "", self.article.title or "", self.article.text)


@dataclass(frozen=True)
class Asker:
    """A scorer of questions: P(yes), or a score between 0 and 1; ``None`` without an answer."""

    name: str
    """Changes with everything that changes a score."""
    ask: Callable[[Sequence[Question], Update], Sequence[float | None]]
    batch: int
    """Questions that are asked at a time."""


def screen_of(screen: Screen) -> Asker:
    """Return the scorer of stage A; the model is loaded for the first score."""
    if screen.model is None:
        return Asker("keywords 1", lambda questions, _: [keyword_hit(q) for q in questions], 1000)
    entailment = _Entailment(screen.model, screen.hypothesis)
    return Asker(f"entailment 1 {screen.hypothesis} {_identity(screen.model)}", entailment.scores, 64)


def keyword_hit(question: Question) -> float:
    """Return the keyword score of an article for its crisis."""
    return keyword_score(question.article, question.about.keywords)


def judge_of(judge: Judge, journal: Path) -> Asker:
    """Return the scorer of stage B.

    Args:
        judge: the section of the file.
        journal: where answers of an API are kept.

    Raises:
        ConfigError: the prompt asks for a field that articles lack.
    """
    check_prompt(judge.prompt, YES_NO, _SLOTS)
    if judge.api is not None:
        api = judge.api
        samples = 0 if api.log_probs else judge.samples
        name = f"api 1 {api.base_url} {api.kind} {api.model} {samples} {judge.prompt.hash}{api.settings}"
        return Asker(name, lambda questions, update: _ask_api(judge, journal, questions, update), 256)
    assert judge.model is not None
    local = _LocalJudge(judge, journal.parent)
    return Asker(f"local 1 {judge.prompt.hash} {_identity(judge.model)}", local.scores, 32)


class _Entailment:
    def __init__(self, model: str, hypothesis: str) -> None:
        self._model, self._hypothesis = model, hypothesis

    @cached_property
    def _loaded(self) -> tuple[Predictor, int]:
        predictor = Predictor(self._model)
        named = [i for i, label in enumerate(predictor.labels) if label.casefold().startswith("entail")]
        if len(named) != 1:
            raise ConfigError(
                f"screen.model: {self._model} has the labels {', '.join(predictor.labels)}; expected a classifier of "
                "text pairs with one entailment label"
            )
        return predictor, named[0]

    def scores(self, questions: Sequence[Question], update: Update) -> list[float | None]:
        predictor, entailment = self._loaded
        rows = Rows(
            text=[lead(q.article) for q in questions],
            text_pair=[self._hypothesis.replace("{crisis}", q.about.crisis) for q in questions],
            label=[None] * len(questions),
            origin=[Origin(q.article.id, 0) for q in questions],
        )
        logits = predictor.logits(rows, update).astype(np.float64)
        odds = np.exp(logits - logits.max(-1, keepdims=True))
        return [float(p) for p in odds[:, entailment] / odds.sum(-1)]


class _LocalJudge:
    def __init__(self, judge: Judge, folder: Path) -> None:
        self._judge, self._folder = judge, folder

    @cached_property
    def _loaded(self) -> tuple[object, object, LabelPrompt]:
        from limbeck.models.load import load_language_model, load_tokenizer

        assert self._judge.model is not None
        model = load_language_model(self._judge.model)
        import torch

        model.to("cuda" if torch.cuda.is_available() else "cpu")
        tokenizer = load_tokenizer(self._judge.model)
        return model, tokenizer, dated_prompt(self._judge.prompt, tokenizer, self._folder)

    def scores(self, questions: Sequence[Question], update: Update) -> list[float | None]:
        from limbeck.tasks.classification.prompted_teacher import local_label_probs

        model, tokenizer, prompt = self._loaded
        found = local_label_probs(model, tokenizer, prompt, [_row(q) for q in questions], YES_NO, update=update)
        return [float(p) for p in found.probs_NC[:, 0]]


def _ask_api(judge: Judge, journal: Path, questions: Sequence[Question], update: Update) -> list[float | None]:
    from limbeck.tasks.classification.prompted_teacher import chat_label_probs
    from limbeck.teachers.chat.client import ChatTeacher
    from limbeck.teachers.chat.journal import Journal

    assert judge.api is not None
    with Journal(journal) as kept:
        teacher = ChatTeacher(judge.api, kept)
        rows = [_row(q) for q in questions]
        try:
            found = chat_label_probs(teacher, judge.prompt, rows, YES_NO, samples=judge.samples, update=update)
        except TeacherError as error:  # its advice uses the keys of run files
            raise TeacherError(str(error).replace("teacher.api.", "judge.api.")) from error
    return [float(p) if read else None for p, read in zip(found.probs_NC[:, 0], found.kept_N, strict=True)]


def _row(question: Question) -> dict[str, str]:
    article = question.article
    return {"text": article.whole_text, "title": article.title or "", "crisis": question.about.crisis}


def _identity(model: str) -> str:
    """Return the model's name, and for a folder the sizes and times of its weights, which may be replaced."""
    files = sorted(Path(model).rglob("*.safetensors")) if Path(model).is_dir() else []
    return " ".join([model, *(f"{f.name} {f.stat().st_size} {f.stat().st_mtime_ns}" for f in files)])
