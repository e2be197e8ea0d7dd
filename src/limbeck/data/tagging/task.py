"""The task of token classification: the fields of words and tags, or of the text and its spans."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from limbeck.data.records import Fields
from limbeck.data.tagging.scheme import Scheme

__all__ = ["TokenClassification"]


class TokenClassification(BaseModel):
    """Entities in texts. Rows hold words and a tag for each of them, or a text and spans of its characters."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["token_classification"] = "token_classification"
    words: str | None = None
    """Field with the words: a list, or a text that is split at white space."""
    tags: str | None = None
    """Field with a tag for each word, in the same form; rows without it are unlabelled. Default: ``tags``."""
    scheme: Scheme = "bio"
    """What the tags mean; also the tags that the student gives."""
    text: str | None = None
    """Field with the text."""
    spans: str | None = None
    """Field with the entities: a list of ``{"start": 0, "end": 5, "label": "PER"}`` in characters, the end not
    included; empty if a text has none. Rows without it are unlabelled. Default: ``spans``."""
    labels: list[str] | None = Field(default=None, min_length=1)
    """All labels of entities, without prefixes; default: the teacher's, or those in the training rows, sorted."""

    @model_validator(mode="after")
    def _words_or_text(self) -> TokenClassification:
        if (self.words is None) == (self.text is None):
            raise ValueError(
                "name the field of the words (words: tokens, tags: tags) or of the text (text: text, spans: spans), "
                "one of the two"
            )
        if self.tags is not None and self.words is None:
            raise ValueError("tags belong to words: name their field, or give spans for the text")
        if self.spans is not None and self.text is None:
            raise ValueError("spans belong to a text: name its field, or give tags for the words")
        if self.labels is not None and len(set(self.labels)) < len(self.labels):
            raise ValueError("labels: a name is there twice")
        return self

    @property
    def gold(self) -> str:
        """The field with the user's tags or spans."""
        return (self.tags or "tags") if self.words is not None else (self.spans or "spans")

    def fields(self, teacher: str | None = None, *, gold: bool = True) -> Fields:
        """Return the fields to read: with the user's tags or spans, and with a teacher's, if any."""
        label = self.gold if gold else None
        return Fields(text=self.words or self.text or "", label=label, teacher_label=teacher)
