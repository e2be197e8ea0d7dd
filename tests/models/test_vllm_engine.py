"""What vLLM is told and how its outputs are read. The engine itself needs a GPU and is not run here."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
import torch

from limbeck.errors import ConfigError
from limbeck.models.generate import Completion, Decoding
from limbeck.models.vllm_engine import VllmEngine, completion_of, require_vllm, sampling_settings


def test_nothing_is_left_to_the_models_own_settings() -> None:
    settings = sampling_settings(Decoding(64, temperature=0.7, top_p=0.9), [2, 4], [5, 6])
    assert settings == {
        "temperature": 0.7, "top_p": 0.9, "max_tokens": 64, "ignore_eos": True, "stop_token_ids": [2, 4],
        "logit_bias": {5: -100.0, 6: -100.0}, "detokenize": False,
    }  # fmt: skip
    likeliest = sampling_settings(Decoding(8, temperature=0.0, top_p=0.9), [2], ())
    assert (likeliest["temperature"], likeliest["top_p"], likeliest["logit_bias"]) == (0.0, 1.0, None)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ({"token_ids": [7, 8, 2], "finish_reason": "stop", "stop_reason": 2}, Completion([7, 8, 2], True)),
        ({"token_ids": [7, 8], "finish_reason": "stop", "stop_reason": 2}, Completion([7, 8, 2], True)),
        ({"token_ids": (7, 8, 9), "finish_reason": "length", "stop_reason": None}, Completion([7, 8, 9], False)),
    ],
    ids=["end token", "end token left out", "cut off"],
)
def test_a_text_ends_with_the_token_that_ended_it(output: dict[str, object], expected: Completion) -> None:
    assert completion_of(SimpleNamespace(**output), {2, 4}) == expected


def test_without_the_extra_or_a_gpu_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(ConfigError, match=r"pip install 'limbeck\[vllm\]'"):
        VllmEngine("model", max_length=64, bf16=True).write([[1]], Decoding(4), end_ids=[2], seed=0)
    monkeypatch.setitem(sys.modules, "vllm", SimpleNamespace())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"there is none: use teacher\.engine: transformers"):
        require_vllm()
