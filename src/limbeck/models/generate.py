"""Generate text with a language model, by sampling or beam search, from prompts of different lengths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from limbeck.models.language_model import decoder_start_token, is_encoder_decoder

__all__ = ["Completion", "Decoding", "set_own_writing", "write_completions"]


class Completion(NamedTuple):
    """A text that a model generated."""

    ids: list[int]
    """Token ids, including the end token."""
    ended: bool
    """False if it was cut off at the limit, so that its end is unknown."""


@dataclass(frozen=True)
class Decoding:
    """Settings of generation. Nothing is taken from a model's own generation settings.

    Those may hold top-p, repetition penalties or forced tokens, with which a sample is no longer drawn from
    the distribution that is trained.
    """

    max_new_tokens: int = 128
    temperature: float = 1.0
    """Sampling temperature; 0: always the most likely token."""
    top_p: float = 1.0
    beams: int = 1
    """More than one: beam search, which ignores the temperature."""


def write_completions(
    model: Any,
    prompts: Sequence[Sequence[int]],
    decoding: Decoding,
    *,
    end_ids: Sequence[int],
    pad_id: int,
    seed: int,
    vocabulary: int | None = None,
    teacher: Any = None,
    teacher_fraction: float = 0.0,
) -> list[Completion]:
    """Return one completion for each prompt.

    The model generates in evaluation mode, without gradients, and is then put back into its former mode. Samples
    depend only on `seed`, and the random state of training is left unchanged.

    Args:
        model: a causal or a sequence-to-sequence language model.
        prompts: token ids of each prompt, unpadded.
        decoding: how to generate.
        end_ids: tokens that end a text.
        pad_id: pads shorter prompts on the left.
        seed: seed of sampling.
        vocabulary: number of tokens, if the model has more rows of logits.
        teacher: another model of the same tokens to mix in; it is put into evaluation mode.
        teacher_fraction: each token is drawn from ``f * teacher + (1 - f) * model``, probabilities at
            temperature 1 (Gu et al. 2024, MiniLLM, section 2.2).
    """
    from transformers import GenerationConfig

    # A decoder continues from the end of a row, so padding is on the left; an encoder reads the row as a whole.
    left = not is_encoder_decoder(model)
    device = model.device
    ids_BT, mask_BT = (padded.to(device) for padded in _padded(prompts, pad_id, left=left))
    settings = GenerationConfig(
        max_new_tokens=decoding.max_new_tokens, num_beams=decoding.beams, do_sample=False,  # `_Draw` does
        eos_token_id=list(end_ids) or None, pad_token_id=pad_id, bos_token_id=model.generation_config.bos_token_id,
        decoder_start_token_id=decoder_start_token(model),  # the one in training
    )  # fmt: skip
    processors = _drawing(decoding)
    if teacher is not None and teacher_fraction > 0:
        processors.insert(0, _TeacherMixed(teacher, teacher_fraction, mask_BT, vocabulary))
    if vocabulary is not None:
        processors.insert(0, _Vocabulary(vocabulary))
    own_settings, was_training = model.generation_config, model.training
    devices = [device] if device.type == "cuda" else []
    model.eval()
    try:
        model.generation_config = GenerationConfig()  # transformers fills missing settings from the model's own
        with torch.random.fork_rng(devices=devices), torch.no_grad():
            torch.manual_seed(seed)
            output_BT = model.generate(
                input_ids=ids_BT, attention_mask=mask_BT, generation_config=settings, logits_processor=processors
            )
    finally:
        model.generation_config = own_settings
        model.train(was_training)
    written_BT = output_BT[:, ids_BT.shape[1] :] if left else output_BT[:, 1:]
    return [_cut(row, set(end_ids)) for row in written_BT.tolist()]


def _padded(prompts: Sequence[Sequence[int]], pad_id: int, *, left: bool) -> tuple[Tensor, Tensor]:
    """Return ids and mask ``[B, T]``."""
    widest = max(map(len, prompts))
    ids_BT = torch.full((len(prompts), widest), pad_id, dtype=torch.int64)
    mask_BT = torch.zeros_like(ids_BT)
    for row, prompt in enumerate(prompts):
        taken = slice(widest - len(prompt), widest) if left else slice(0, len(prompt))
        ids_BT[row, taken], mask_BT[row, taken] = torch.tensor(prompt, dtype=torch.int64), 1
    return ids_BT, mask_BT


def _drawing(decoding: Decoding) -> Any:
    """Return the logits processors for sampling; none for greedy decoding and beam search."""
    from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopPLogitsWarper

    processors = LogitsProcessorList()
    if decoding.temperature > 0 and decoding.beams == 1:
        if decoding.temperature != 1:
            processors.append(TemperatureLogitsWarper(decoding.temperature))
        if decoding.top_p < 1:
            processors.append(TopPLogitsWarper(decoding.top_p))
        processors.append(_Draw())
    return processors


def set_own_writing(
    model: Any, *, end_ids: Sequence[int], pad_id: int, bos_id: int | None, decoder_start: int | None
) -> None:
    """Set a model's default generation settings (``generate``, pipelines, vLLM), dropping its former ones.

    Args:
        model: a language model; its saved folder gets the same settings.
        end_ids: tokens that end a text; none for plain text without an end token.
        pad_id: pads rows.
        bos_id: first token of a text, if any.
        decoder_start: first token of the decoder; ``None``: the model is causal.
    """
    from transformers import GenerationConfig

    model.generation_config = GenerationConfig(
        do_sample=False,  # explicit, since pipelines sample otherwise
        eos_token_id=list(end_ids) if len(end_ids) > 1 else next(iter(end_ids), None),
        pad_token_id=pad_id,
        bos_token_id=bos_id,
        decoder_start_token_id=decoder_start,
    )


def _cut(ids: list[int], ends: set[int]) -> Completion:
    """Cut at the first end token: what follows it is padding."""
    end = next((place for place, token in enumerate(ids) if token in ends), None)
    return Completion(ids, False) if end is None else Completion(ids[: end + 1], True)


class _Vocabulary:
    """Masks the rows of logits after the last token, and renormalises the others.

    Beam search adds up scores that were normalised beforehand, over the masked rows too.
    """

    def __init__(self, size: int) -> None:
        self._size = size

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        scores = scores.clone()
        scores[:, self._size :] = float("-inf")
        return scores.float().log_softmax(dim=-1)


class _Draw:
    """Draws a token for each row and masks all others, so that `generate` takes the drawn one as the most likely.

    Drawing takes one random number per row here. `torch.multinomial`, which `generate` would use, takes one per
    token of the vocabulary: on a CPU, a quarter of a small model's generation time.
    """

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        # In float32 the sums over 128k tokens would be coarser than the tail's probabilities; MPS has nothing better.
        dtype = torch.float32 if scores.device.type == "mps" else torch.float64
        cumulative_BV = scores.softmax(dim=-1, dtype=torch.float32).cumsum(dim=-1, dtype=dtype)
        total_B1 = cumulative_BV[:, -1:]
        drawn_B1 = torch.searchsorted(cumulative_BV, torch.rand_like(total_B1) * total_B1, right=True)
        drawn_B1 = drawn_B1.clamp(max=scores.shape[-1] - 1)  # a product rounded up to the total would be past the end
        return torch.full_like(scores, float("-inf")).scatter_(1, drawn_B1, 0.0)


class _TeacherMixed:
    """Mixes in a teacher's next-token probabilities; the teacher keeps its own key-value cache."""

    def __init__(self, teacher: Any, share: float, mask_BT: Tensor, vocabulary: int | None) -> None:
        self._teacher, self._share, self._mask_BT = teacher.eval(), share, mask_BT
        self._vocabulary = vocabulary
        self._cache: Any = None

    @torch.no_grad()
    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        grown = input_ids.shape[1] - self._mask_BT.shape[1]
        self._mask_BT = torch.cat([self._mask_BT, self._mask_BT.new_ones(len(input_ids), grown)], dim=1)
        positions_BT = (self._mask_BT.cumsum(dim=1) - 1).clamp(min=0)
        new = input_ids if self._cache is None else input_ids[:, -1:]
        output = self._teacher(
            input_ids=new,
            attention_mask=self._mask_BT,
            position_ids=positions_BT[:, -new.shape[1] :],
            past_key_values=self._cache,
            use_cache=True,
        )
        self._cache = output.past_key_values
        teacher_BV = output.logits[:, -1, : self._vocabulary].float()
        size = min(teacher_BV.shape[1], scores[:, : self._vocabulary].shape[1])
        log_p_BV, log_q_BV = (x[:, :size].float().log_softmax(dim=-1) for x in (teacher_BV, scores))
        share = torch.tensor(self._share, device=scores.device)
        mixed_BV = torch.full_like(scores, float("-inf"), dtype=torch.float32)
        mixed_BV[:, :size] = torch.logaddexp(share.log() + log_p_BV, (1 - share).log() + log_q_BV)
        return mixed_BV
