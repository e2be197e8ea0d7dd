"""How a student that writes ends by itself: what its folder says to ``generate``, pipelines and vLLM."""

from __future__ import annotations

from typing import Any

import numpy as np

from limbeck.data.generation.encoded import EncodedSequences
from limbeck.models.generate import set_own_writing
from limbeck.models.language_model import is_encoder_decoder

__all__ = ["end_tokens_of", "own_end_tokens", "set_padding", "set_writing"]


def own_end_tokens(model: Any, tokenizer: Any) -> tuple[int, ...]:
    """Return the ids that a model's own generation settings end at, as far as they are special tokens.

    Others are leftovers: the default of a configuration, or the id of another tokenizer.
    """
    own = model.generation_config.eos_token_id
    special = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    return tuple(i for i in (own if isinstance(own, list) else [own]) if isinstance(i, int) and i in special)


def end_tokens_of(model: Any, tokenizer: Any, encoded: EncodedSequences) -> tuple[int, ...]:
    """Return every token that a trained student ends at: those that end its texts, then the model's own.

    Of these not one that its texts go on after: it was taught to write that.
    """
    inside = np.isin(own := own_end_tokens(model, tokenizer), encoded.ids[encoded.targets])
    others = (end for end, taught in zip(own, inside, strict=True) if not taught)
    return tuple(dict.fromkeys((*encoded.end_ids, *others)))


def set_writing(model: Any, tokenizer: Any, encoded: EncodedSequences) -> None:
    """Have `model`, trained on `encoded`, end where its texts end, whoever lets it write.

    All its former settings go. Sampling, penalties, least lengths and forced tokens were chosen for the model it
    began as, and no figure of a run is with them: it takes the likeliest token, as `limbeck predict` has it.
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
    """Have `tokenizer` fill up rows as a student that writes reads them: a causal one goes on where a row ends."""
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if not is_encoder_decoder(model):
        tokenizer.padding_side = tokenizer.init_kwargs["padding_side"] = "left"  # the second is what is saved
