"""Generating with vLLM (an extra, for GPUs): many prompts at a time, of any length.

vLLM loads the weights itself, from a folder or a hub name. It gets only token ids, and as in
`limbeck.models.generate`, nothing is taken from a model's own generation settings.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import Any

from limbeck.errors import ConfigError
from limbeck.models.generate import Completion, Decoding

__all__ = ["VllmEngine", "require_vllm"]

_SHARE_OF_FREE = 0.9
"""Share of the GPU's free memory that vLLM may take: it fills it with caches of keys and values."""

_RULED_OUT = -100.0
"""Added to the logits of padding rows; the protocol takes no lower value."""


def require_vllm() -> None:
    """Check in advance that the extra is installed and there is a GPU. Raises `ConfigError`."""
    import torch

    try:
        import vllm  # noqa: F401
    except ImportError as error:
        raise ConfigError("teacher.engine: vllm needs the package vllm: pip install 'limbeck[vllm]'") from error
    if not torch.cuda.is_available():
        raise ConfigError("teacher.engine: vllm needs a GPU, and there is none: use teacher.engine: transformers")


class VllmEngine:
    """One model, loaded when it first generates. Close it before the GPU's memory is needed again.

    Args:
        model: a folder in Hugging Face format or a hub name of a causal language model.
        max_length: maximum length of prompt and completion together, in tokens.
        bf16: compute in bfloat16; otherwise in float32.
        trust_remote_code: run code that comes with the model.
    """

    def __init__(self, model: str, *, max_length: int, bf16: bool, trust_remote_code: bool = False) -> None:
        self._model = model
        self._settings = {
            "max_model_len": max_length,
            "dtype": "bfloat16" if bf16 else "float32",
            "trust_remote_code": trust_remote_code,
            "generation_config": "vllm",  # not the model's own settings
            "skip_tokenizer_init": True,
        }
        self._engine: Any = None

    def write(
        self,
        prompts: Sequence[Sequence[int]],
        decoding: Decoding,
        *,
        end_ids: Sequence[int],
        seed: int,
        padding: Sequence[int] = (),
    ) -> list[Completion]:
        """Return one completion for each prompt; see `limbeck.models.generate.write_completions`. No beam search.

        Args:
            prompts: token ids of each.
            decoding: how to generate.
            end_ids: tokens that end a text.
            seed: seed of sampling; the prompt's number is added.
            padding: rows of the model's logits that are not tokens.

        Raises:
            ConfigError: the extra is not installed, or there is no GPU.
        """
        require_vllm()
        import torch
        from vllm import LLM, SamplingParams, TokensPrompt

        if self._engine is None:
            free, total = torch.cuda.mem_get_info()
            share = _SHARE_OF_FREE * free / total
            self._engine = LLM(self._model, gpu_memory_utilization=share, **self._settings)
        settings = sampling_settings(decoding, end_ids, padding)
        answers = self._engine.generate(
            [TokensPrompt(prompt_token_ids=list(prompt)) for prompt in prompts],
            [SamplingParams(**settings, seed=seed + number) for number in range(len(prompts))],
            use_tqdm=False,
        )
        return [completion_of(answer.outputs[0], set(end_ids)) for answer in answers]

    def close(self) -> None:
        """Free the GPU's memory."""
        import torch

        if self._engine is not None:
            self._engine = None
            gc.collect()
            torch.cuda.empty_cache()


def sampling_settings(decoding: Decoding, end_ids: Sequence[int], padding: Sequence[int]) -> dict[str, Any]:
    """Return `decoding` as vLLM's sampling parameters."""
    assert decoding.beams == 1
    return {
        "temperature": decoding.temperature,
        "top_p": decoding.top_p if decoding.temperature > 0 else 1.0,
        "max_tokens": decoding.max_new_tokens,
        "ignore_eos": True,  # ignore the model's own; texts end only with these
        "stop_token_ids": list(end_ids),
        # Not allowed_token_ids: each prompt would carry a list of the whole vocabulary.
        "logit_bias": dict.fromkeys(padding, _RULED_OUT) or None,
        "detokenize": False,
    }


def completion_of(output: Any, ends: set[int]) -> Completion:
    """Read one of vLLM's outputs: token ids, the reason it stopped, and the token that stopped it."""
    ids = [int(token) for token in output.token_ids]
    ended = output.finish_reason == "stop"
    if ended and ids[-1:] and ids[-1] not in ends and output.stop_reason in ends:
        ids.append(int(output.stop_reason))  # the token that ended it is part of the text
    return Completion(ids, ended)
