"""Where another model's labels come from: the keys that a black-box teacher and a member of an ensemble share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from limbeck.data.prompts.label_prompt import LabelPrompt
from limbeck.teachers.chat.endpoint import ChatEndpoint

__all__ = ["Labeller"]


class Labeller(BaseModel):
    """A section that may name labels: in a field of the rows, or of a model that is asked for them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str | None = None
    """A folder in Hugging Face format or a hub name; with `prompt` a causal language model."""
    api: ChatEndpoint | None = None
    """An OpenAI-compatible API, asked with `prompt`."""
    prompt: LabelPrompt | None = None
    """The prompt that asks for a label."""
    calibration: list[Literal["contextual", "temperature"]] = []
    """Calibration of a prompted model's probabilities, in order. ``contextual``: divide by its answers to
    content-free inputs. ``temperature``: fitted on the training rows with a gold label."""
    samples: Annotated[int, Field(ge=1, le=1000)] = 10
    """Answers per text, for an API without log-probabilities."""
    orders_must_agree: bool = False
    """Leave out training rows whose label changes with the order of the options; for an API with log-probabilities."""
    pilot: Annotated[int, Field(ge=0, le=10_000)] = 40
    """Labelled rows that a prompted model is asked about first; the run stops if it is no better on them than always
    giving the most frequent label. 0: none."""
    journal: str | None = None
    """File with an API's answers, which several runs may share; default: in the run folder."""
    labels_from: str | None = None
    """Field of the rows with another model's label."""
    confidence: str | None = None
    """Field with its confidence, from 0 to 1; default: certain."""
    trust_remote_code: bool = False
    """Run Python code that comes with the model. Only for models whose authors you trust."""

    @property
    def asked_title(self) -> str:
        """What people call the model that is asked with the prompt."""
        return f"{self.api.model} via an API" if self.api else f"the causal model {Path(str(self.model)).name}"

    def require_matching_keys(self) -> None:
        """Check that each key is beside the one that it is about. Raises `ValueError`."""
        if self.labels_from is None and self.confidence is not None:
            raise ValueError("confidence needs labels_from, the field with the label")
        if self.api is not None and self.prompt is None:
            raise ValueError("api needs a prompt, which asks it for a label")
        if self.labels_from is not None and self.prompt is not None:
            raise ValueError("prompt is for a model that is asked; with labels_from the rows hold its answers")
        if self.calibration and self.prompt is None:
            raise ValueError("calibration is for a model with a prompt")
        if self.journal is not None and self.api is None:
            raise ValueError("journal is for an api, whose answers it keeps")
        if self.orders_must_agree and (self.api is None or self.api.log_probs == 0):
            raise ValueError("orders_must_agree is for an api with log_probs, which is asked in every order of labels")
