"""Top log-probabilities of an inference server as sparse distributions, ready for a store.

A server gives the most likely tokens of each position; all others together have the remaining probability.

Servers count positions in two ways. Lists about *generated* tokens (OpenAI's ``logprobs.content``) have one entry
per token: the distribution that it was drawn from. Lists about the *prompt* (vLLM's ``prompt_logprobs``) have one
entry per token of the whole sequence, and ``None`` for the first, which nothing predicts. `from_prompt_logprobs` moves
these to limbeck's positions: a prediction counts at the position before its token.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import count, islice
from typing import Any

import torch

from limbeck.errors import DataError
from limbeck.types import UNLABELLED, SparseLogits

__all__ = ["from_prompt_logprobs", "from_top_logprobs"]

_LEAST_TAIL = 2.0**-24
"""The remaining probability is not more precise than this: servers compute in float32."""
_MASS_TOLERANCE = 0.01
_ID_PREFIX = "token_id:"
"""vLLM's form of token ids in text fields, if started with ``--return-tokens-as-token-ids``."""


def from_top_logprobs(
    positions: Sequence[Any],
    *,
    top_k: int,
    vocabulary: int,
    temperature: float = 1.0,
    token_ids: Mapping[str, int] | None = None,
) -> SparseLogits:
    """Return the distributions of a server's lists, one for each element of `positions`.

    >>> content = [{"token": "a", "logprob": -0.7, "top_logprobs": [
    ...     {"token": "a", "logprob": math.log(0.5)}, {"token": "b", "logprob": math.log(0.25)}]}]
    >>> logits = from_top_logprobs(content, top_k=2, vocabulary=9, token_ids={"a": 3, "b": 5})
    >>> logits.ids_SK.tolist(), logits.tail_S.exp().tolist()
    ([[3, 5]], [0.25])

    Args:
        positions: each is an element of OpenAI's ``choices[0].logprobs.content``, or its ``top_logprobs`` list, or a
            dictionary from token id (or its decimal string, as in JSON) to a log-probability, alone or as the
            ``logprob`` of an object.
        top_k: tokens to keep per position. If there are more (vLLM adds the actual token), the most likely are kept;
            if there are fewer, tokens with ``-inf`` fill the row.
        vocabulary: V.
        temperature: temperature of the server's softmax: 1 unless it gives processed log-probabilities.
        token_ids: id of each token text, if the server gives tokens as text.

    Raises:
        DataError: a position is empty, has an unknown token or the same one twice, or sums to more than 1.
    """
    found = [_entries(position, index, token_ids) for index, position in enumerate(positions)]
    return _distributions(found, top_k, vocabulary, temperature)


def from_prompt_logprobs(
    prompt_logprobs: Sequence[Any],
    labels_T: Sequence[int],
    *,
    top_k: int,
    vocabulary: int,
    temperature: float = 1.0,
) -> SparseLogits:
    """Return the distributions at the supervised positions of one sequence that a vLLM server scored.

    Args:
        prompt_logprobs: one element for each token of the sequence: ``None`` for the first, for every other a
            dictionary from token id to log-probability, which includes the actual token, likely or not.
        labels_T: the token id that each position predicts, `UNLABELLED` where none counts: a row of
            ``Batch.labels_BT`` without padding, so position t holds the token at ``t + 1``.
        top_k: as in `from_top_logprobs`.
        vocabulary: V.
        temperature: temperature of the server's softmax.

    Raises:
        DataError: the list does not belong to these tokens, or as in `from_top_logprobs`.
    """
    if len(prompt_logprobs) != len(labels_T) or (prompt_logprobs and prompt_logprobs[0] is not None):
        raise DataError(
            f"a server's prompt_logprobs for a sequence of {len(labels_T)} tokens have {len(labels_T)} elements, the "
            f"first of them None; these are {len(prompt_logprobs)}, beginning with {str(prompt_logprobs[:1])[:60]}. "
            "Send the sequence as token ids, and keep the whole list"
        )
    found = []
    for position, label in enumerate(labels_T):
        if label == UNLABELLED:
            continue
        if position + 1 == len(labels_T):
            raise DataError(
                f"position {position}, the last of the sequence, should predict token {label}, which is not in the "
                "sequence: labels must be shifted by one, as in Batch.labels_BT"
            )
        entries = _entries(prompt_logprobs[position + 1], position + 1, None)
        if label not in {token for token, _ in entries}:
            raise DataError(
                f"element {position + 1} of the server's prompt_logprobs does not include the actual token {label}: "
                "the server read other token ids. Send token ids rather than text; check whether the tokenizers agree"
            )
        found.append(entries)
    return _distributions(found, top_k, vocabulary, temperature)


def _distributions(
    positions: list[list[tuple[int, float]]], top_k: int, vocabulary: int, temperature: float
) -> SparseLogits:
    ids, log_probs, tails = [], [], []
    for index, entries in enumerate(positions):
        _check(entries, index, vocabulary)
        likeliest = sorted(entries, key=lambda entry: (-entry[1], entry[0]))[:top_k]
        named = {token for token, _ in likeliest}
        fill = list(islice((token for token in count() if token not in named), top_k - len(likeliest)))
        ids.append([token for token, _ in likeliest] + fill)
        log_probs.append([log_prob for _, log_prob in likeliest] + [-math.inf] * len(fill))
        mass = math.fsum(math.exp(log_prob) for _, log_prob in likeliest)
        tails.append(math.log(max(1 - mass, _LEAST_TAIL)) if len(likeliest) < vocabulary else -math.inf)
    return SparseLogits(
        ids_SK=torch.tensor(ids, dtype=torch.int64).reshape(-1, top_k),
        log_probs_SK=torch.tensor(log_probs, dtype=torch.float32).reshape(-1, top_k),
        tail_S=torch.tensor(tails, dtype=torch.float32),
        vocabulary=vocabulary,
        temperature=temperature,
    )


def _entries(position: Any, index: int, token_ids: Mapping[str, int] | None) -> list[tuple[int, float]]:
    """Return token ids and log-probabilities of one element of a server's list, in any form, without ``-inf``."""
    try:
        entries = _named(position, index, token_ids)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
        raise DataError(
            f"element {index} of the server's list is {_shown(position)}, not the log-probabilities of a position. "
            "Only the first token of a prompt has none, and it is never supervised"
        ) from None
    return [(token, log_prob) for token, log_prob in entries if log_prob != -math.inf]


def _named(position: Any, index: int, token_ids: Mapping[str, int] | None) -> list[tuple[int, float]]:
    if isinstance(position, Mapping) and "top_logprobs" in position:
        named = [(each["token"], each["logprob"]) for each in position["top_logprobs"]]
        if position["token"] not in {token for token, _ in named}:  # drawn, but not among the most likely
            named.append((position["token"], position["logprob"]))
        return [(_id_of_text(token, index, token_ids), _number(log_prob)) for token, log_prob in named]
    if isinstance(position, Mapping):
        return [(_id_of_key(token, index, token_ids), _number(value)) for token, value in position.items()]
    if isinstance(position, str):
        raise TypeError("a text")
    return [(_id_of_text(each["token"], index, token_ids), _number(each["logprob"])) for each in position]


def _shown(value: Any) -> str:
    """Return a server's value, shortened to fit a line."""
    return repr(value)[:60] if isinstance(value, (int, float, str)) or value is None else f"a {type(value).__name__}"


def _id_of_key(token: int | str, index: int, token_ids: Mapping[str, int] | None) -> int:
    """Return the id of a dictionary key: a string may be a number, as JSON has no other keys, or a token text."""
    if isinstance(token, str) and (token_ids is not None or not token.isdecimal()):
        return _id_of_text(token, index, token_ids)
    return int(token)


def _id_of_text(token: str, index: int, token_ids: Mapping[str, int] | None) -> int:
    if token.startswith(_ID_PREFIX) and token.removeprefix(_ID_PREFIX).isdecimal():
        return int(token.removeprefix(_ID_PREFIX))
    if token_ids is None or token not in token_ids:
        raise DataError(
            f"element {index} of the server's list has the token {token[:60]!r}, which is not in token_ids. Start "
            "the server so that it gives ids (vLLM: --return-tokens-as-token-ids), since tokens may have the same text"
        )
    return token_ids[token]


def _number(value: Any) -> float:
    """Return a log-probability: a plain number, JSON's ``{"logprob": ...}``, or an object of vLLM."""
    if isinstance(value, Mapping):
        value = value["logprob"]
    return float(getattr(value, "logprob", value))


def _check(entries: list[tuple[int, float]], index: int, vocabulary: int) -> None:
    tokens = {token for token, _ in entries}
    mass = math.fsum(math.exp(min(log_prob, 1)) for _, log_prob in entries)
    if len(tokens) < len(entries):
        fault = "has a token twice: some tokens have the same text, so start the server so that it gives ids"
    elif tokens and not 0 <= min(tokens) <= max(tokens) < vocabulary:
        largest = str(max(tokens))[:20]
        fault = f"has token {largest} (or a negative one), but the vocabulary has {vocabulary}: the tokenizers differ"
    elif not 0 < mass < 1 + _MASS_TOLERANCE:
        fault = f"has probabilities that sum to {mass:.6g}: expected log-probabilities of the most likely tokens"
    else:
        return
    raise DataError(f"position {index} of the server's answer {fault}")
