"""Scores of labels under a causal language model: the probability of each label after a prompt.

``l_c = sum_t log p(v_ct | prompt, v_c<t)`` over the tokens v_c of label c and its end marker, and
``s_c = l_c / |v_c|^b``. The end marker distinguishes a label from a longer one that begins with it.

`label_scores` runs every label with its prompt, with gradients. `shared_prefix_scores` runs the prompt once and the
labels on its key-value cache; the scores are the same up to rounding.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from limbeck.errors import ModelError
from limbeck.models.layers import accepted_inputs

__all__ = ["LabelTokens", "label_scores", "label_tokens", "shared_prefix_scores", "shares_prefixes"]

_CLOSE = 1e-2
"""In nats: errors of bfloat16 rounding are smaller, those from reading padding or losing positions larger."""


class LabelTokens(NamedTuple):
    """A prompt followed by one label."""

    ids: list[int]
    """Prompt, label, end marker."""
    start: int
    """Index of the label's first token; at least 1, since some token must predict it."""


def label_tokens(
    tokenizer: Any, text: str, labels: Sequence[str], *, lead: str = " ", end: str = "\n", special_tokens: bool = True
) -> list[LabelTokens]:
    """Tokenise a prompt followed by each label.

    Prompt and label are tokenised as one text, as the model would read them, and the label begins with the first
    token that contains a character of it: a space before a label often belongs to its token.

    Args:
        tokenizer: the model's fast tokenizer, which gives the characters of each token.
        text: the prompt.
        labels: in the task's order.
        lead: text between prompt and label; counts as part of the label.
        end: the end marker. If the tokenizer has no token for it, its end token is used.
        special_tokens: put the tokenizer's initial special tokens (BOS) before the prompt.

    Raises:
        ModelError: the tokenizer is slow, or has neither the end marker nor an end token.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError(
            f"the tokenizer of {tokenizer.name_or_path} does not give the characters of its tokens; use a model "
            "with a tokenizer.json"
        )
    before = _ids_before(tokenizer) if special_tokens else []
    whole = [text + lead + label + end for label in labels]
    encoded = tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    made = []
    for label, ids, offsets in zip(labels, encoded["input_ids"], encoded["offset_mapping"], strict=True):
        start = next((i for i, (_, stop) in enumerate(offsets) if stop > len(text)), len(ids))
        ended = bool(offsets) and offsets[-1][1] > len(text) + len(lead) + len(label)
        if not ended and tokenizer.eos_token_id is None:
            raise ModelError(
                f"the tokenizer of {tokenizer.name_or_path} has no token for {end!r} and no end token, so a label "
                "could not be told from a longer one that begins with it; set tokenizer.eos_token"
            )
        closed = [*before, *ids, *([] if ended else [tokenizer.eos_token_id])]
        if len(before) + start == 0:
            raise ModelError(f"there is nothing before the label '{label}': the prompt is empty")
        made.append(LabelTokens(closed, len(before) + start))
    return made


def label_scores(
    model: Any, prompts: Sequence[Sequence[LabelTokens]], *, length_power: float = 1.0, pad_id: int = 0
) -> Tensor:
    """Return the scores ``[B, M]`` of M labels after each of B prompts, float32, with gradients.

    Args:
        model: a causal language model.
        prompts: the labels of each prompt, equally many for all.
        length_power: b; 0 sums log-probabilities, 1 averages them over a label's tokens.
        pad_id: pads rows; never read.
    """
    flat = [one for labels in prompts for one in labels]
    scores = _scores(model, flat, [0] * len(flat), None, length_power, pad_id)
    return scores.view(len(prompts), -1)


@torch.no_grad()
def shared_prefix_scores(
    model: Any,
    prompts: Sequence[Sequence[LabelTokens]],
    *,
    length_power: float = 1.0,
    pad_id: int = 0,
    labels_at_once: int = 32,
) -> Tensor:
    """Return what `label_scores` returns, without gradients, running the shared part of a prompt's labels once.

    The model must be in evaluation mode, and its cache must tolerate padding on the left (`shares_prefixes`).

    Args:
        model: a causal language model.
        prompts: as for `label_scores`.
        length_power: b.
        pad_id: pads rows.
        labels_at_once: labels that are run together, each on a copy of the prompts' cache.
    """
    shared = [_shared(labels) for labels in prompts]
    if min(shared) < 1:
        return label_scores(model, prompts, length_power=length_power, pad_id=pad_id)
    widest = max(shared)
    device = model.device
    ids_BT = torch.full((len(prompts), widest), pad_id, device=device)
    mask_BT = torch.zeros_like(ids_BT)
    for row, (labels, length) in enumerate(zip(prompts, shared, strict=True)):
        ids_BT[row, widest - length :] = torch.tensor(labels[0].ids[:length], device=device)
        mask_BT[row, widest - length :] = 1
    positions_BT = (mask_BT.cumsum(dim=1) - 1).clamp(min=0)
    inputs = {"input_ids": ids_BT, "attention_mask": mask_BT, "position_ids": positions_BT, "use_cache": True}
    output, _ = _run(model, inputs, 1)
    parts = []
    for first in range(0, len(prompts[0]), labels_at_once):
        part = [labels[first : first + labels_at_once] for labels in prompts]
        many = len(part[0])
        cache = copy.deepcopy(output.past_key_values)
        cache.batch_repeat_interleave(many)
        flat = [one for labels in part for one in labels]
        before = [length for length in shared for _ in range(many)]
        past = _Past(cache, mask_BT.repeat_interleave(many, dim=0))
        parts.append(_scores(model, flat, before, past, length_power, pad_id).view(len(prompts), many))
    return torch.cat(parts, dim=1)


@torch.no_grad()
def shares_prefixes(model: Any, prompts: Sequence[Sequence[LabelTokens]], *, pad_id: int = 0) -> bool:
    """Return whether `shared_prefix_scores` is correct for this model, tried on prompts of different lengths.

    It is not for models without a cache of keys and values (state-space models, some with their own code), nor for
    models that read padding.
    """
    try:
        fast = shared_prefix_scores(model, prompts, length_power=0.0, pad_id=pad_id)
    except (AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError, IndexError):
        return False
    slow = label_scores(model, prompts, length_power=0.0, pad_id=pad_id)
    return bool(torch.allclose(fast, slow, rtol=_CLOSE, atol=_CLOSE))


class _Past(NamedTuple):
    """The part of each row that was already read."""

    cache: Any
    mask_BT: Tensor


def _scores(
    model: Any,
    rows: Sequence[LabelTokens],
    before: Sequence[int],
    past: _Past | None,
    length_power: float,
    pad_id: int,
) -> Tensor:
    """Return each row's score; ``before[i]`` of its tokens are in the cache."""
    device = model.device
    tails = [torch.tensor(row.ids[length:], device=device) for row, length in zip(rows, before, strict=True)]
    ids_BT = pad_sequence(tails, batch_first=True, padding_value=pad_id)
    lengths_B = torch.tensor([len(tail) for tail in tails], device=device)
    before_B = torch.tensor(before, device=device)
    places_T = torch.arange(ids_BT.shape[1], device=device)
    mask_BT = (places_T < lengths_B[:, None]).long()
    inputs: dict[str, Any] = {"input_ids": ids_BT, "attention_mask": mask_BT}
    inputs["position_ids"] = places_T + before_B[:, None]
    if past is None:
        inputs["use_cache"] = False
    else:
        inputs["attention_mask"] = torch.cat([past.mask_BT, mask_BT], dim=1)
        inputs |= {"past_key_values": past.cache, "use_cache": True}
    starts_B = torch.tensor([row.start for row in rows], device=device) - before_B
    # Logits from the first position that predicts a label's token: prompts, the longest part, need none.
    first = int(starts_B.min()) - 1
    _, logits_BTV = _run(model, inputs, ids_BT.shape[1] - first)
    logits_BTV = logits_BTV[:, :-1].float()
    targets_BT = ids_BT[:, first + 1 :]
    own_BT = logits_BTV.gather(2, targets_BT[..., None])[..., 0] - logits_BTV.logsumexp(dim=2)
    places_T = places_T[first + 1 :]
    counted_BT = (places_T >= starts_B[:, None]) & (places_T < lengths_B[:, None])
    tokens_B = counted_BT.sum(dim=1)
    return torch.where(counted_BT, own_BT, 0.0).sum(dim=1) / tokens_B**length_power


def _run(model: Any, inputs: dict[str, Any], last: int) -> tuple[Any, Tensor]:
    """Run a model; return its output, and its logits at the last `last` positions."""
    known = accepted_inputs(type(model).forward)
    given = {name: value for name, value in inputs.items() if name in known}
    if "logits_to_keep" in known:
        given["logits_to_keep"] = last
    output = model(**given)
    return output, output.logits[:, -last:]


def _shared(labels: Sequence[LabelTokens]) -> int:
    """Return the length of all labels' common prefix, before the token that predicts the first label token."""
    most = min(label.start for label in labels) - 1
    columns = zip(*(label.ids[:most] for label in labels), strict=True)
    return next((place for place, tokens in enumerate(columns) if len(set(tokens)) > 1), most)


def _ids_before(tokenizer: Any) -> list[int]:
    """Return the special tokens that `tokenizer` puts before a text."""
    probe = "limbeck"
    bare = tokenizer(probe, add_special_tokens=False)["input_ids"]
    full = tokenizer(probe)["input_ids"]
    start = next((i for i in range(len(full) - len(bare) + 1) if full[i : i + len(bare)] == bare), None)
    if not bare or start is None:
        raise ModelError(
            f"the tokenizer of {tokenizer.name_or_path} reads '{probe}' as {bare} without special tokens and as "
            f"{full} with them: expected the same ids inside. Use the tokenizer that came with the model."
        )
    return list(full[:start])
