"""The task of masked language modelling: the field of the text, and which of its tokens are masked."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["MaskedLM"]


class MaskedLM(BaseModel):
    """Predict masked tokens of plain text from both sides."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["masked_lm"] = "masked_lm"
    text: str = "text"
    """Field with the text."""
    mask_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.15
    """Share of a text's tokens that are masked, and at least one; 0.15 is BERT's."""
    frequency_exponent: Annotated[float, Field(le=0, ge=-10)] = 0.0
    """A token is chosen with a weight of its count in the training rows to this power. 0: all alike, as BERT;
    -0.7: rare ones more often, as XLM and the released code of DistilBERT."""
