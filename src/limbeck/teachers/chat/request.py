"""Requests to a chat teacher, and the keys under which their answers are stored."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from limbeck.errors import ConfigError

__all__ = ["ChatRequest", "Message"]

_OURS = {
    "model", "messages", "prompt", "n", "best_of", "stream", "max_tokens", "max_completion_tokens", "temperature",
    "top_p", "stop", "seed", "logprobs", "top_logprobs", "logit_bias",
}  # fmt: skip
_TOKENS_PER_MESSAGE = 16
"""Allowance for the marks that a chat template puts around each message."""
_BYTES_PER_TOKEN, _BYTES_PER_ALTERNATIVE = 256, 512
"""Allowance for a token of an answer in JSON, repeated and escaped, and for one with its log-probability."""


@dataclass(frozen=True)
class Message:
    """One message: its role (``system``, ``developer``, ``user`` or ``assistant``) and its content."""

    role: str
    content: str


@dataclass(frozen=True)
class ChatRequest:
    """One sample of one request.

    Creation raises `ConfigError` unless exactly one of messages and prompt is given, or if `extra` sets a value that
    has its own field.
    """

    messages: tuple[Message, ...] = ()
    """Messages, for chat endpoints."""
    prompt: str | None = None
    """Prompt, for completion endpoints."""
    max_tokens: int = 256
    """Maximum length of the answer; 0 for prompts that are echoed with their log-probabilities."""
    sampling_temperature: float | None = 0.0
    """None leaves it to the API: some models accept no temperature."""
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    """Sample i is requested with seed + i, in its own call."""
    sample: int = 0
    """Number of the sample. Requests that differ only in this share a content hash."""
    top_log_probs: int | None = None
    """Number of alternatives per token to get log-probabilities for; None: none; 0: only those of the tokens."""
    logit_bias: Mapping[str, float] = field(default_factory=dict)
    """Added to the logits of tokens, by token id."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Other fields of the API's request, such as ``response_format``; they are part of the content hash."""
    truncated_ok: bool = False
    """Accept an answer that reached `max_tokens`, for requests of its first tokens' log-probabilities."""

    def __post_init__(self) -> None:
        if bool(self.messages) == (self.prompt is not None):
            raise ConfigError("a request needs either messages (chat) or a prompt (completions)")
        if self.max_tokens < (0 if self.prompt is not None else 1):
            raise ConfigError(f"max_tokens must be at least 1 (got {self.max_tokens})")
        if self.sample < 0:
            raise ConfigError(f"sample must be at least 0 (got {self.sample})")
        if taken := sorted(_OURS & set(self.extra)):
            raise ConfigError(f"extra must not set {', '.join(taken)}: these have their own fields")

    def content(self, kind: str, model: str) -> str:
        """Return the request as canonical JSON: model, text and sampling settings, without the sample number."""
        fields = {
            "kind": kind,
            "model": model,
            "messages": [[message.role, message.content] for message in self.messages] or None,
            "prompt": self.prompt,
            "max_tokens": self.max_tokens,
            "temperature": self.sampling_temperature,
            "top_p": self.top_p,
            "stop": list(self.stop) or None,
            "seed": self.seed,
            "top_log_probs": self.top_log_probs,
            "logit_bias": dict(self.logit_bias) or None,
            "extra": dict(self.extra) or None,
        }
        kept = {name: value for name, value in fields.items() if value is not None}
        return json.dumps(kept, sort_keys=True, separators=(",", ":"))

    def content_hash(self, kind: str, model: str) -> str:
        """Return the SHA-256 of `content`, in hexadecimal. With `sample`, it is the key of an answer."""
        return hashlib.sha256(self.content(kind, model).encode("ascii")).hexdigest()

    def body(self, kind: str, model: str, limit_field: str, samples: int) -> bytes:
        """Return the body of the HTTP call that asks for `samples` answers, this one first."""
        fields: dict[str, Any] = {"model": model, limit_field: self.max_tokens, **self.extra}
        if kind == "chat":
            fields["messages"] = [{"role": message.role, "content": message.content} for message in self.messages]
            if self.top_log_probs is not None:
                fields |= {"logprobs": True, "top_logprobs": self.top_log_probs}
        else:
            fields["prompt"] = self.prompt
            if self.top_log_probs is not None:
                fields["logprobs"] = self.top_log_probs
        given: dict[str, Any] = {"temperature": self.sampling_temperature, "top_p": self.top_p}
        given |= {"stop": list(self.stop) or None, "logit_bias": dict(self.logit_bias) or None}
        given |= {"n": samples if samples > 1 else None}
        given |= {"seed": None if self.seed is None else self.seed + self.sample}
        fields |= {name: value for name, value in given.items() if value is not None}
        return json.dumps(fields).encode("ascii")

    def size_bytes(self) -> int:
        """Return the length of the prompt's text in UTF-8, with roles."""
        texts = [self.prompt or "", *(text for m in self.messages for text in (m.role, m.content))]
        return sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)

    def most_prompt_tokens(self) -> int:
        """Return a bound on the prompt's tokens: no tokenizer produces more tokens than the text has UTF-8 bytes."""
        marks = _TOKENS_PER_MESSAGE * (len(self.messages) + 1)
        extra = len(json.dumps(dict(self.extra))) if self.extra else 0
        return self.size_bytes() + marks + extra

    def most_bytes(self, samples: int) -> int:
        """Return a bound on the size of `samples` answers as JSON, with reasoning and log-probabilities."""
        tokens = self.max_tokens * samples + (self.most_prompt_tokens() if self.prompt is not None else 0)
        alternatives = 0 if self.top_log_probs is None else self.top_log_probs + 1
        return tokens * (_BYTES_PER_TOKEN + _BYTES_PER_ALTERNATIVE * alternatives)
