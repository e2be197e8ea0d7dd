"""The file of `limbeck filter`: sets of articles, the two stages, and the handling of kept articles."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from limbeck.data.articles.article import ArticleFields
from limbeck.data.prompts.label_prompt import LabelPrompt
from limbeck.tasks.checked_yaml import load_checked
from limbeck.tasks.run_config import OutputFolder, Sources
from limbeck.teachers.chat.endpoint import ChatEndpoint

__all__ = ["ArticleSet", "FilterConfig", "Judge", "Screen", "load_filter_file"]

Threshold = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""0 keeps all; above 1 keeps none."""

_QUESTION = LabelPrompt(
    instruction="Answer the question about the article with one of these words: {{ labels }}.",
    input=(
        "Article: {{ text }}\nQuestion: Does this article report or warn about {{ crisis }}, beyond a passing mention?"
    ),
    answer="Answer:",
    format="none",
)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ArticleSet(_Section):
    """Articles that were collected about one crisis."""

    files: Sources
    crisis: Annotated[str, Field(min_length=1)]
    """The crisis in words, for example ``an energy crisis``; fills the questions."""
    keywords: list[str] = []
    """Words or phrases in any language; a trailing ``*`` matches any ending."""


class Screen(_Section):
    """Stage A, cheap: keep scores from `threshold`, or from `threshold_with_keyword` if a keyword occurs."""

    model: str | None = None
    """A classifier of text pairs with an entailment label (folder or hub name), ideally multilingual; the score is its
    probability that title and lead entail `hypothesis`. Without a model, keywords give the score."""
    hypothesis: str = "This article is about {crisis}."
    threshold: Threshold = 0.5
    threshold_with_keyword: Threshold = 0.3

    @model_validator(mode="after")
    def _names_the_crisis(self) -> Screen:
        if "{crisis}" not in self.hypothesis:
            raise ValueError("hypothesis must contain {crisis}")
        return self


class Judge(_Section):
    """Stage B: a teacher answers yes or no; articles with P(yes) of at least `threshold` are kept."""

    model: str | None = None
    """A causal language model (folder or hub name)."""
    api: ChatEndpoint | None = None
    """Or an OpenAI-compatible API."""
    prompt: LabelPrompt = _QUESTION
    """The question; the input has the slots ``text``, ``title`` and ``crisis``."""
    samples: Annotated[int, Field(ge=1, le=100)] = 5
    """Answers per article, for an API without log-probabilities."""
    threshold: Threshold = 0.5

    @model_validator(mode="after")
    def _one_kind(self) -> Judge:
        given = [name for name in ("model", "api") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of model, api (given: {', '.join(given) or 'none'})")
        return self


class FilterConfig(_Section):
    """A filter file."""

    sets: Annotated[dict[str, ArticleSet], Field(min_length=1)]
    text: str = "text"
    """Field with the article's text."""
    fields: ArticleFields = ArticleFields()
    screen: Screen = Screen()
    judge: Judge | None = None
    """Without it, everything that passes stage A is kept."""
    near_duplicate: Annotated[float, Field(gt=0, le=1)] = 0.6
    """Jaccard index from which two articles are one story; the earliest is kept."""
    test: Sources | None = None
    """Articles of a test set; articles that repeat them are not kept."""
    test_from: date | None = None
    """Articles from this day on become a separate test set; those without a date are then left out."""
    on_bad_row: Literal["stop", "leave_out"] = "stop"
    audit: Annotated[int, Field(ge=0, le=10**9)] = 100
    """Number of dropped and of kept articles sampled for manual review."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of that sample."""
    output: OutputFolder
    """Folder for kept articles, scores, audit and counts."""

    @model_validator(mode="after")
    def _keywords_where_they_alone_decide(self) -> FilterConfig:
        without = [name for name, one in self.sets.items() if not one.keywords]
        if self.screen.model is None and without and self.screen.threshold > 0:
            raise ValueError(
                f"sets.{without[0]} has no keywords, which alone decide without screen.model; "
                "give keywords, a model, or screen.threshold: 0"
            )
        return self


def load_filter_file(path: Path) -> FilterConfig:
    """Read the file. Raises `ConfigError` with all faults and their lines."""
    return load_checked(path, FilterConfig, "filter file")
