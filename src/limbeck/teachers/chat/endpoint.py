"""The endpoint of a teacher behind an API: its address, what may be asked of it, and what it may cost.

It never holds a secret: `key_env` names an environment variable, which is read when a request is sent.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from limbeck.errors import ConfigError
from limbeck.teachers.chat.request import ChatRequest

__all__ = ["ChatEndpoint", "Endpoint", "Prices", "read_key"]

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,63}")


_Price = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
"""A dollar per token is far above any price: larger ones are typing mistakes, and their sums could overflow."""


class Prices(BaseModel):
    """The provider's prices, in US dollars per million tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input_usd: _Price
    output_usd: _Price

    def usd(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Return the cost of a call, in dollars.

        >>> Prices(input_usd=2.5, output_usd=10).usd(1000, 100)
        0.0035
        """
        return (prompt_tokens * self.input_usd + completion_tokens * self.output_usd) / 1e6


class Endpoint(BaseModel):
    """An OpenAI-compatible API: the settings that every use needs."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    base_url: str
    """The address without the last part: ``https://api.openai.com/v1``, to which ``/completions`` is added."""
    model: str
    """The API's name of the model. A dated name stays the same model for the whole run."""
    key_env: str | None = None
    """Name of the environment variable that holds the key; empty for a server without one."""
    concurrency: Annotated[int, Field(ge=1, le=512)] = 8
    """Concurrent calls."""
    timeout_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 120.0
    """Maximum wait for one whole answer, in seconds."""
    tries: Annotated[int, Field(ge=1, le=20)] = 6
    """Maximum number of tries of a call that fails for a transient reason."""

    @field_validator("base_url")
    @classmethod
    def _plain_address(cls, value: str) -> str:
        if not value.isprintable() or " " in value:
            raise ValueError("base_url must be an address, without spaces or line breaks")
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("base_url must be an address such as https://api.openai.com/v1")
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise ValueError("base_url must not contain a user, password or query: name a variable in key_env instead")
        try:
            good = parts.port != 0
        except ValueError:
            good = False
        if not good:
            raise ValueError("base_url must have a port from 1 to 65535, or none")
        return value.rstrip("/")

    @field_validator("model")
    @classmethod
    def _named(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("model must be the API's name of the model")
        return value

    @field_validator("key_env")
    @classmethod
    def _name_of_a_variable(cls, value: str | None) -> str | None:
        if value is not None and not _VARIABLE.fullmatch(value):
            raise ValueError(
                "key_env must be the name of an environment variable, in capitals, such as OPENAI_API_KEY; "
                "it is never the key itself (the given value is not shown)"
            )
        return value

    @property
    def url(self) -> str:
        """The URL that calls go to."""
        return f"{self.base_url}/completions"


class ChatEndpoint(Endpoint):
    """An OpenAI-compatible API that answers chat requests or prompts."""

    kind: Literal["chat", "completions"] = "chat"
    """The kind of endpoint: messages, or one plain prompt."""
    requests_per_minute: Annotated[int, Field(ge=1)] | None = None
    """Maximum calls in any 60 seconds, in this process."""
    tokens_per_minute: Annotated[int, Field(ge=1)] | None = None
    """Maximum tokens in any 60 seconds, in this process; a call in flight counts at its worst case."""
    budget_usd: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """Ceiling on everything that the journal ever paid for, in dollars; needs `prices`."""
    budget_tokens: Annotated[int, Field(ge=0)] | None = None
    """Ceiling on everything that the journal ever paid for, in tokens of prompts and answers."""
    prices: Prices | None = None
    log_probs: Annotated[int, Field(ge=0, le=100)] = 0
    """Number of alternatives per token that the API gives log-probabilities for; 0 if none."""
    samples_per_call: Annotated[int, Field(ge=1, le=128)] = 1
    """Samples of one request per call (``n``); 1 works with every API."""
    limit_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """The API's name for the limit on the answer's length; reasoning models take the second."""
    temperature: Annotated[float, Field(ge=0, allow_inf_nan=False)] | Literal["usual"] | None = "usual"
    """Temperature that answers are sampled at, instead of the default for each kind of question. None sends none,
    for models that accept only their own."""
    max_tokens: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    """Maximum length of answers in words, with reasoning, instead of the default. One-letter answers keep theirs."""
    reasoning_effort: Annotated[str, Field(pattern=r"^[a-z]{1,20}$")] | None = None
    """How much a reasoning model should reason, in the API's terms: ``low``, ``medium``, ``high``, ..."""

    @field_validator("temperature", mode="before")
    @classmethod
    def _none_as_people_write_it(cls, value: Any) -> Any:
        return None if isinstance(value, str) and value.lower() == "none" else value

    @model_validator(mode="after")
    def _money_needs_prices(self) -> ChatEndpoint:
        if self.budget_usd is not None and self.prices is None:
            raise ValueError("budget_usd needs prices (input_usd and output_usd per million tokens)")
        return self

    @property
    def url(self) -> str:
        """The URL that calls go to."""
        return f"{self.base_url}/{'chat/completions' if self.kind == 'chat' else 'completions'}"

    def settled(self, request: ChatRequest) -> ChatRequest:
        """Return a request with the endpoint's own settings instead of the defaults."""
        changes: dict[str, Any] = {}
        if self.temperature != "usual":
            changes["sampling_temperature"] = self.temperature
        if self.max_tokens is not None and not request.truncated_ok:
            changes["max_tokens"] = self.max_tokens
        if self.reasoning_effort is not None:
            changes["extra"] = {**request.extra, "reasoning_effort": self.reasoning_effort}
        return replace(request, **changes) if changes else request

    @property
    def settings(self) -> str:
        """Return the settings that change answers, for use in names of stored results; empty if all are defaults."""
        settings = {"max_tokens": self.max_tokens, "reasoning_effort": self.reasoning_effort}
        given = [f" {name}={value}" for name, value in settings.items() if value is not None]
        return "".join(given) + ("" if self.temperature == "usual" else f" temperature={self.temperature}")

    def usd(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Return the cost of a call in dollars; 0 without prices."""
        return self.prices.usd(prompt_tokens, completion_tokens) if self.prices else 0.0


def read_key(endpoint: Endpoint) -> str | None:
    """Return the key from the environment, or None if the endpoint needs none.

    Raises:
        ConfigError: the variable is not set, or its value cannot be sent in a header. The value is not shown.
    """
    if endpoint.key_env is None:
        return None
    key = os.environ.get(endpoint.key_env, "").strip()
    if not key:
        raise ConfigError(
            f"the environment variable {endpoint.key_env} (key_env) is not set; put the key of {endpoint.base_url} "
            "there, for example with: export " + endpoint.key_env + "=..."
        )
    if not re.fullmatch(r"[\x21-\x7e]+", key):
        raise ConfigError(
            f"the environment variable {endpoint.key_env} (key_env) holds spaces, line breaks or letters beyond "
            "ASCII, so it cannot be a key (its value is not shown)"
        )
    return key
