"""The rules for alerts: severities of labels and thresholds, with their defaults."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from limbeck.data.articles.article import ArticleFields
from limbeck.errors import ConfigError, near_misses

__all__ = ["AlertRules", "Bands", "severities_of"]

Share = Annotated[float, Field(ge=0, le=1)]

_KNOWN = {
    "risk": 1.0, "risk warning": 1.0, "risks warnings": 1.0,
    "caution": 0.5, "caution advice": 0.5,
    "safe": 0.0, "harmless": 0.0, "safe harmless": 0.0,
}  # fmt: skip
"""Severities of the three classes of Saxena, Janzen, Maass, "Streamlining LLMs: Adaptive Knowledge Distillation for
Tailored Language Models", under their usual names."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Bands(_Section):
    """Lowest severity of the medium and of the high band."""

    medium: Share = 0.35
    high: Share = 0.7

    @model_validator(mode="after")
    def _in_order(self) -> Bands:
        if self.medium > self.high:
            raise ValueError(f"medium ({self.medium}) must not be above high ({self.high})")
        return self


class AlertRules(_Section):
    """The file of ``limbeck alerts --rules``; every value has a default."""

    severities: dict[str, Share] | None = None
    """Severity of every label of the student, from 0 (harmless, never raised) to 1; default: 1, 0.5 and 0 for risk,
    caution and safe (``risk_and_warning``, ``caution_and_advice``, ``safe_and_harmless``)."""
    bands: Bands = Bands()
    confidence: Share = 0.6
    """Lowest calibrated probability of the label."""
    review_entropy: Share = 0.9
    """Above this entropy, as a share of its maximum, an article needs review."""
    articles_for_high: Annotated[int, Field(ge=1)] = 2
    """Articles of the same crisis and week that a high alert needs, itself included."""
    near_duplicate: Annotated[float, Field(gt=0, le=1)] = 0.6
    """Jaccard index from which two articles are one story."""
    fields: ArticleFields = ArticleFields()
    """Fields of the rows that describe an article."""

    @model_validator(mode="after")
    def _severities_differ(self) -> AlertRules:
        if self.severities is not None and len(set(self.severities.values())) < 2:
            raise ValueError("severities: all labels have the same severity, so they cannot be told apart")
        return self


def severities_of(labels: Sequence[str], given: dict[str, float] | None, model: str) -> list[float]:
    """Return the severity of every label, in order.

    Args:
        labels: labels of the student.
        given: severities from the rules; ``None``: the defaults.
        model: name of the student in messages.

    Raises:
        ConfigError: a label has no severity, or a severity has no label.
    """
    if given is None:
        known = {label: _KNOWN.get(_plain(label)) for label in labels}
        severities = [severity for severity in known.values() if severity is not None]
        if len(severities) == len(labels):
            return severities
        without = [label for label, severity in known.items() if severity is None]
        example = ", ".join(f"{label}: {known[label] or 0.0}" for label in labels[:3])
        raise ConfigError(
            f"{model}: no severity is known for {_names(without)}. Write a file for --rules with a severity "
            f"from 0 (harmless) to 1 for each of its {len(labels)} labels:\n"
            f"  severities: {{{example}{', ...' if len(labels) > 3 else ''}}}"
        )
    if unknown := [label for label in given if label not in labels]:
        raise ConfigError(f"severities: {model} has no label {_names(unknown)}; {near_misses(unknown[0], labels)}")
    if without := [label for label in labels if label not in given]:
        raise ConfigError(f"severities: no severity for {_names(without)} of {model}; give each a number from 0 to 1")
    return [given[label] for label in labels]


def _plain(label: str) -> str:
    words = re.split(r"[\W_]+", label.casefold())
    return " ".join(word for word in words if word not in ("and", ""))


def _names(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - 5} more" if len(labels) > 5 else ""
    return ", ".join(f"'{label}'" for label in labels[:5]) + more
