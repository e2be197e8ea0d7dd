"""Size of a generative model, and its generation speed."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from limbeck.models.generate import Decoding, write_completions
from limbeck.results.sections import Speed

__all__ = ["writing_speed"]

_ROWS, _TOKENS = 8, 32


def writing_speed(model: Any, encoded: Any, rows: Any, timed: bool = True) -> Speed:
    """Measure a model on the prompts of a few rows.

    The speed is ``None`` without prompts, or if the longest leaves no room for an answer.

    Args:
        model: a language model, on its device.
        encoded: `EncodedSequences` of held-out rows.
        rows: rows whose prompts may be answered.
        timed: measure the speed; else only sizes.
    """
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        size = sum(file.stat().st_size for file in Path(folder).glob("*.safetensors"))
    prompts = [encoded.prompt_ids(int(row)).tolist() for row in rows[: _ROWS if timed else 0]]
    rate = None
    # The context of a decoder, or what a causal model has left after the longest prompt.
    budget = encoded.max_length - max((len(prompt) for prompt in prompts if encoded.decoder_start is None), default=0)
    if prompts and budget > 0:
        # No end token, so that all models write the same number of tokens; the first call includes set-up.
        for decoding in (Decoding(1, 0.0), Decoding(min(_TOKENS, budget), 0.0)):
            started = time.perf_counter()
            written = write_completions(model, prompts, decoding, end_ids=[], pad_id=encoded.pad_id, seed=0)
            seconds = time.perf_counter() - started
        rate = sum(len(one.ids) for one in written) / seconds
    return Speed(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        size_bytes=size,
        tokens_per_second=rate,
        batch_size=len(prompts) or None,
        peak_memory_bytes=None,
    )
