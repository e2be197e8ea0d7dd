"""Words that a masked language model puts in the place of one of a text's words, which it can read beside the gap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from limbeck.errors import ModelError
from limbeck.models.layers import accepted_inputs
from limbeck.models.load import load_masked_lm, load_tokenizer
from limbeck.models.trials import readable_tokens

__all__ = ["ReadTwice", "WordFiller", "load_word_filler"]

_LONGEST_TOKENS = 512
_LEADS = ("▁", "Ġ")
"""Marks of a word's first piece in vocabularies of other kinds than WordPiece."""


@dataclass(frozen=True)
class ReadTwice:
    """A text as the model reads it: ``[CLS] text [SEP] text [SEP]``."""

    inputs: dict[str, list[int]]
    spans: tuple[tuple[int, int], ...]
    """Characters of each piece of the first copy."""
    first: int
    """Place of its first piece."""

    def place_of(self, start: int, end: int) -> int | None:
        """Return the place of a word that is one piece; ``None``: it is more, or not read."""
        found = [n for n, (begin, stop) in enumerate(self.spans) if begin < end and stop > start]
        if len(found) != 1 or self.spans[found[0]] != (start, end):
            return None
        return self.first + found[0]


@dataclass(frozen=True)
class WordFiller:
    """A masked language model and its tokenizer."""

    model: Any
    tokenizer: Any
    max_length: int
    """Longest input in tokens, both copies of a text together."""

    @property
    def lowers(self) -> bool:
        """Whether the tokenizer reads all words in lower case."""
        normalizer = self.tokenizer.backend_tokenizer.normalizer
        return normalizer is not None and normalizer.normalize_str("A") == "a"

    def read(self, text: str) -> ReadTwice:
        """Tokenise a text twice, as a pair. Of a text longer than half the model's window, the first part is read."""
        room = max(1, (self.max_length - self.tokenizer.num_special_tokens_to_add(pair=True)) // 2)
        options = {"return_offsets_mapping": True, "verbose": False}
        alone = self.tokenizer(text, add_special_tokens=False, **options)["offset_mapping"]
        kept = text if len(alone) <= room else text[: alone[room - 1][1]]
        # Not every tokenizer gives the numbers of the two parts unless asked, and not every model knows two.
        types = int(getattr(self.model.config, "type_vocab_size", 0)) > 1
        pair = self.tokenizer(kept, kept, return_token_type_ids=types, **options)
        offsets, parts = pair.pop("offset_mapping"), pair.sequence_ids()
        places = [place for place, part in enumerate(parts) if part == 0]
        spans = tuple((int(begin), int(end)) for begin, end in (offsets[place] for place in places))
        return ReadTwice(dict(pair), spans, places[0] if places else 0)

    @torch.no_grad()
    def likeliest(self, texts: Sequence[ReadTwice], places: Sequence[int], count: int) -> NDArray[np.int64]:
        """Return the ids ``[B, count]`` of the likeliest tokens where a text's piece is masked, best first.

        Args:
            texts: as read by `read`, one for each masked piece.
            places: of the pieces.
            count: how many tokens.
        """
        longest = max(len(text.inputs["input_ids"]) for text in texts)
        padding = {"input_ids": self.tokenizer.pad_token_id or 0}
        known = accepted_inputs(type(self.model).forward)
        device = next(self.model.parameters()).device
        inputs = {
            name: torch.tensor([_padded(text.inputs[name], longest, padding.get(name, 0)) for text in texts])
            for name in texts[0].inputs
            if name in known
        }
        rows, place_B = torch.arange(len(texts)), torch.tensor(places)
        inputs["input_ids"][rows, place_B] = self.tokenizer.mask_token_id
        with _only_at(self.model, place_B.to(device)) as picked:
            logits = self.model(**{name: x.to(device) for name, x in inputs.items()}).logits
        # A head that does not call its output embeddings (MobileBERT's) has read all places.
        logits_BV = logits[:, 0] if picked else logits[rows, place_B]
        found: NDArray[np.int64] = logits_BV.float().topk(count, dim=-1).indices.cpu().numpy()
        return found

    def words(self, ids: Sequence[int]) -> list[str]:
        """Return the tokens that are whole words, in order: no continuations such as ``##ing``, no special tokens."""
        tokens = self.tokenizer.convert_ids_to_tokens([int(number) for number in ids])
        special, lead = set(self.tokenizer.all_special_tokens), self._lead()
        whole = [t for t in tokens if t not in special and (t.startswith(lead) if lead else not t.startswith("##"))]
        words = [self.tokenizer.convert_tokens_to_string([token]).strip() for token in whole]
        return [word for word in words if word]

    def _lead(self) -> str:
        """Return the mark of a word's first piece; empty: continuations are marked instead."""
        last = self.tokenizer.tokenize("a a")[-1]
        return next((lead for lead in _LEADS if last.startswith(lead)), "")


def load_word_filler(name: str) -> WordFiller:
    """Load a masked language model from a folder or hub name, in evaluation mode.

    Raises:
        ModelError: it cannot be loaded, has no trained masked-language head, or its tokenizer has no mask token or
            does not say where tokens are in a text.
    """
    tokenizer = load_tokenizer(name)
    if tokenizer.mask_token_id is None:
        raise ModelError(
            f"the tokenizer of '{name}' has no mask token: give a masked language model, such as BERT or MPNet"
        )
    if not tokenizer.is_fast:
        raise ModelError(f"the tokenizer of '{name}' does not say where its tokens are in a text: give another model")
    model = load_masked_lm(name)
    if model.get_output_embeddings() is None:
        raise ModelError(f"cannot find the masked-language head of '{name}' ({type(model).__name__}): give another")
    if torch.accelerator.is_available():
        model.to(torch.accelerator.current_accelerator())
    named = tokenizer.model_max_length  # 10**30 or -1 if the tokenizer has no limit
    limit = readable_tokens(model, int(min(_LONGEST_TOKENS, named)) if named > 0 else _LONGEST_TOKENS)
    return WordFiller(model.eval(), tokenizer, limit)


def _padded(values: list[int], length: int, filler: int) -> list[int]:
    return [*values, *[filler] * (length - len(values))]


@contextmanager
def _only_at(model: Any, place_B: Tensor) -> Iterator[list[Tensor]]:
    """Let the head read the state at one place of each row: logits of all places would fill the memory.

    Yields the list of the states that it has read in this way.
    """
    picked: list[Tensor] = []

    def pick(_module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        state_BTD, *rest = args
        rows = torch.arange(len(place_B), device=state_BTD.device)
        picked.append(state_BTD[rows, place_B][:, None])
        return (picked[-1], *rest)

    handle = model.get_output_embeddings().register_forward_pre_hook(pick)
    try:
        yield picked
    finally:
        handle.remove()
