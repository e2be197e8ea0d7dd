"""Generation settings in a student's folder, by which ``generate``, pipelines and vLLM end its texts."""

from __future__ import annotations

from typing import Any

import numpy as np

from limbeck.data.generation.encoded import EncodedSequences
from limbeck.models.generate import set_own_writing
from limbeck.models.language_model import is_encoder_decoder

__all__ = ["end_tokens_of", "own_end_tokens", "set_padding", "set_writing"]


def own_end_tokens(model: Any, tokenizer: Any) -> tuple[int, ...]:
    """Return the end tokens of a model's own generation settings, if they are special tokens.

    Others are leftovers: the default of a configuration, or the id of another tokenizer.
    """
    own = model.generation_config.eos_token_id
    special = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    return tuple(i for i in (own if isinstance(own, list) else [own]) if isinstance(i, int) and i in special)


def end_tokens_of(model: Any, tokenizer: Any, encoded: EncodedSequences) -> tuple[int, ...]:
    """Return every token that a trained student ends at: those that end its texts, then the model's own.

    A model's own end token after which its texts continue is left out: it was taught to generate that.
    """
    inside = np.isin(own := own_end_tokens(model, tokenizer), encoded.ids[encoded.targets])
    others = (end for end, taught in zip(own, inside, strict=True) if not taught)
    return tuple(dict.fromkeys((*encoded.end_ids, *others)))


def set_writing(model: Any, tokenizer: Any, encoded: EncodedSequences) -> None:
    """Set the generation settings of `model`, trained on `encoded`, so that it ends where its texts end.

    All its former settings are removed. Sampling, penalties, minimum lengths and forced tokens were chosen for the
    model it started from, and no figure of a run uses them: it takes the most likely token, like `limbeck predict`.
    """
    bos = model.generation_config.bos_token_id
    set_own_writing(
        model,
        end_ids=end_tokens_of(model, tokenizer, encoded),
        pad_id=encoded.pad_id,
        bos_id=tokenizer.bos_token_id if bos is None else bos,
        decoder_start=encoded.decoder_start,
    )


def set_padding(tokenizer: Any, model: Any) -> None:
    """Set the padding of `tokenizer` for generation: a causal student continues at the end of a row."""
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if not is_encoder_decoder(model):
        tokenizer.padding_side = tokenizer.init_kwargs["padding_side"] = "left"  # the second is what is saved
