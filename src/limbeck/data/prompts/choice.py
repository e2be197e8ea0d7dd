"""The prompts of a run: levels, hard texts or soft vectors, and their number."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from limbeck.data.languages import language_code
from limbeck.data.prompts.registry import known_versions
from limbeck.errors import DataError, near_misses

__all__ = ["LONGEST_OWN_TEXT_CHARACTERS", "PromptChoice"]

LONGEST_OWN_TEXT_CHARACTERS = 300
"""About twice our longest text: positions used by a prompt are lost to the input."""

_LEVELS = ("none", "T", "L", "T+L")


class PromptChoice(BaseModel):
    """The ``prompts`` of a run file. A level alone is enough: ``prompts: none``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    levels: Literal["none", "T", "L", "T+L"] = "T+L"
    """T: what the task is; L: what the language is like."""
    form: Literal["hard", "soft", "both"] = "both"
    """Hard: texts; soft: learned vectors before the texts."""
    task_vectors: Annotated[int, Field(ge=1, le=64)] = 8
    """Soft vectors for each task, shared by all languages."""
    language_vectors: Annotated[int, Field(ge=1, le=64)] = 8
    """Soft vectors for each language, shared by all tasks."""
    version: str = "1"
    """Version of the registry of texts."""
    languages: dict[str, str] = {}
    """Users' own Language-Level Prompts, by language code; they override the registry's."""

    @model_validator(mode="before")
    @classmethod
    def _level_alone(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if value not in _LEVELS:
            raise ValueError(f"expected one of {', '.join(_LEVELS)} or a mapping with levels and form, not '{value}'")
        return {"levels": value}

    @field_validator("version")
    @classmethod
    def _version_is_there(cls, version: str) -> str:
        if version not in known_versions():
            raise ValueError(f"unknown version '{version}' of the prompts; {near_misses(version, known_versions())}")
        return version

    @field_validator("languages")
    @classmethod
    def _own_texts_by_our_code(cls, texts: dict[str, str]) -> dict[str, str]:
        own: dict[str, str] = {}
        for given, text in texts.items():
            code, words = _our_code(given), " ".join(text.split())
            if code in own:
                raise ValueError(f"two texts for language '{code}', one of them under '{given}': keep one")
            if not 0 < len(words) <= LONGEST_OWN_TEXT_CHARACTERS:
                raise ValueError(
                    f"the text for language '{given}' has {len(words)} characters; "
                    f"expected 1 to {LONGEST_OWN_TEXT_CHARACTERS}"
                )
            own[code] = words
        return own

    @property
    def hard_task(self) -> bool:
        """Whether the Task-Level Prompt's text is used."""
        return self.levels in ("T", "T+L") and self.form != "soft"

    @property
    def hard_language(self) -> bool:
        """Whether the Language-Level Prompt's text is used."""
        return self.levels in ("L", "T+L") and self.form != "soft"

    @property
    def soft_task(self) -> bool:
        """Whether there are learned vectors for each task."""
        return self.levels in ("T", "T+L") and self.form != "hard"

    @property
    def soft_language(self) -> bool:
        """Whether there are learned vectors for each language."""
        return self.levels in ("L", "T+L") and self.form != "hard"


def _our_code(code: str) -> str:
    """Return our code of a language; one that is not in the table keeps its own."""
    try:
        return language_code(code)
    except DataError:
        return code
