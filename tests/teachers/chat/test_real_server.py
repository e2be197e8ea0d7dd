"""A real OpenAI-compatible server: ``transformers serve`` with a small language model.

    pip install fastapi uvicorn openai
    LIMBECK_REAL_SERVER=1 pytest -n 0 tests/teachers/chat/test_real_server.py

Skipped otherwise: the server alone takes longer to start than all other tests of the chat teacher. The oracle is the
same model, asked directly.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from limbeck.teachers.chat.answer import Answer, Failure
from limbeck.teachers.chat.client import ChatTeacher
from limbeck.teachers.chat.endpoint import ChatEndpoint
from limbeck.teachers.chat.journal import Journal
from limbeck.teachers.chat.request import ChatRequest

pytestmark = [
    pytest.mark.skipif(not os.environ.get("LIMBECK_REAL_SERVER"), reason="LIMBECK_REAL_SERVER is not set"),
    pytest.mark.skipif(
        not all(find_spec(name) for name in ("fastapi", "uvicorn", "openai")), reason="transformers serve needs them"
    ),
]

TEMPLATE = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:"
TEXTS = ["the river rises", "roads are open", "help is needed in the north"]


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of 2 layers x 32 with random weights, and a tokenizer of letters with a chat template."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("models") / "llama"
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE({letter: i for i, letter in enumerate(["<s>", "</s>", *letters])}, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>", pad_token="</s>")
    tokenizer.chat_template = TEMPLATE
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(letters) + 2, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=256, bos_token_id=0, eos_token_id=1, pad_token_id=1, initializer_range=0.5,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def base_url(model_folder: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from transformers.cli.transformers import main; main()", "serve",
               str(model_folder), "--port", str(port), "--device", "cpu"]  # fmt: skip
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 240
        while process.poll() is None and time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                    break
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/v1"
        process.kill()


def written(folder: Path, prompt: str, tokens: int) -> str:
    """What the model writes greedily, without a server."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    inputs = tokenizer(prompt, return_tensors="pt", add_special_tokens=False)
    with torch.inference_mode():
        ids = model.generate(**inputs, max_new_tokens=tokens, do_sample=False)
    return str(tokenizer.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))


def test_a_served_model_says_what_the_model_says(
    base_url: str, model_folder: Path, journal: Journal, ask: Callable[..., ChatRequest]
) -> None:
    endpoint = ChatEndpoint(base_url=base_url, model=str(model_folder), concurrency=2, timeout_s=120)
    teacher = ChatTeacher(endpoint, journal)
    requests = [ask(text, max_tokens=6, truncated_ok=True, sampling_temperature=None) for text in TEXTS]
    outcomes = teacher.complete(requests)
    for text, outcome in zip(TEXTS, outcomes, strict=True):
        assert isinstance(outcome, Answer), outcome
        assert outcome.text.strip() == written(model_folder, f"user: {text}\nassistant:", 6).strip()
    summary = journal.summary()
    assert summary.calls == {"answered": len(TEXTS)}
    assert summary.unknown.tokens == 0, "the server says its usage"
    assert teacher.complete(requests) == outcomes
    (outcome,) = teacher.complete([ask(TEXTS[0], max_tokens=3, sampling_temperature=None)])
    assert isinstance(outcome, Failure)
    assert outcome.kind == "truncated"


def test_what_the_server_cannot_do_is_a_failure_and_not_a_guess(
    base_url: str, model_folder: Path, journal: Journal, ask: Callable[..., ChatRequest]
) -> None:
    """It takes no log-probabilities and no n, and ignores both without a word."""
    options: dict[str, Any] = {"base_url": base_url, "model": str(model_folder), "log_probs": 5, "samples_per_call": 4}
    teacher = ChatTeacher(ChatEndpoint(**options), journal)
    (outcome,) = teacher.complete([ask(TEXTS[0], max_tokens=4, truncated_ok=True, top_log_probs=5)])
    assert isinstance(outcome, Failure)
    assert outcome.kind == "malformed"
    assert "log-probabilities were requested" in outcome.detail
    samples = [ask(TEXTS[1], max_tokens=4, truncated_ok=True, sampling_temperature=1.0, sample=n) for n in range(4)]
    assert len(teacher.complete(samples)) == 4
    assert journal.summary().calls == {"answered": 5}


def test_the_completion_endpoint(base_url: str, model_folder: Path, journal: Journal) -> None:
    endpoint = ChatEndpoint(base_url=base_url, model=str(model_folder), kind="completions")
    request = ChatRequest(prompt="the river", max_tokens=6, truncated_ok=True, sampling_temperature=None)
    (outcome,) = ChatTeacher(endpoint, journal).complete([request])
    assert isinstance(outcome, Answer), outcome
    assert outcome.text.strip() == written(model_folder, "the river", 6).strip()
