"""The whole search: through an API with a journal, through local weights, resumed, and never on other rows."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from limbeck.data.prompts.label_prompt import LabelPrompt, load_prompt
from limbeck.errors import ConfigError, DataError
from limbeck.prompt_search import tune as tune_module
from limbeck.prompt_search.config import TuneConfig
from limbeck.prompt_search.tune import tune_prompt
from limbeck.tasks.classification.pilot import ONE_ANSWER

LABELS = ["risk", "safe"]
WORDS = {"risk": ["flood", "storm", "fire"], "safe": ["festival", "match", "walk"]}


def rows(count: int) -> list[dict[str, str]]:
    return [
        {"text": f"Text {i} about the {WORDS[label][i % 3]} in the town of our people.", "label": label}
        for i in range(count)
        for label in LABELS
    ]


def write(path: Path, content: list[dict[str, str]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in content), encoding="utf-8")
    return str(path)


class _ManyAtOnce(ThreadingHTTPServer):
    request_queue_size = 64
    daemon_threads = True


class Server:
    """An API that labels well only under a prompt with the magic word."""

    def __init__(self) -> None:
        self.is_good: Callable[[list[str]], bool] = lambda said: any("carefully" in text for text in said)
        self.asked: list[dict[str, Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.asked.append(body)
                answer = json.dumps(outer.answer(body)).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = _ManyAtOnce(("127.0.0.1", 0), Handler)
        self.base_url = f"http://127.0.0.1:{self._server.server_port}/v1"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        said = [message["content"] for message in body["messages"]]
        usage = {"prompt_tokens": 10, "completion_tokens": 1}
        if "Rewrite the instruction" in said[-1]:
            text = "Instruction: Please carefully choose among [LABELS] for the text."
            choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop", "index": 0}
            return {"model": "m", "choices": [choice], "usage": usage}
        options = next(text for text in said if "\nA. " in text)
        of_label = {line[3:]: line[0] for line in options.splitlines() if line[1:3] == ". "}
        last = said[-1].rpartition("Input: ")[2]
        right = next(label for label in LABELS if any(word in last for word in WORDS[label]))
        number = int(last.split()[1])
        wrong = not self.is_good(said) and number % 2 == 0
        letter = of_label[LABELS[1 - LABELS.index(right)] if wrong else right]
        sure = -0.4 if len(said) > 1 and any(word in said[0] for word in WORDS["risk"]) else -0.05
        top = [{"token": one, "logprob": sure if one == letter else -3.0} for one in of_label.values()]
        log_probs = {"content": [{"token": letter, "logprob": -0.05, "top_logprobs": top}]}
        choice = {"message": {"role": "assistant", "content": letter}, "finish_reason": "length", "index": 0}
        return {"model": "m", "choices": [choice | {"logprobs": log_probs}], "usage": usage}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


def config(tmp_path: Path, teacher: dict[str, Any], *, count: int = 12, **search: Any) -> TuneConfig:
    return TuneConfig.model_validate(
        {
            "task": {"labels": LABELS},
            "data": {"dev": write(tmp_path / "dev.jsonl", rows(count)), "pool": write(tmp_path / "pool.jsonl", POOL)},
            "teacher": teacher,
            "search": {"configurations": 6, "per_class": [1], "orders": 2, **search},
            "output": str(tmp_path / "out"),
        }
    )


POOL = [
    {"text": f"A {WORDS[label][i]} was seen by the people here.", "label": label} for i in range(3) for label in LABELS
]


@pytest.mark.slow
def test_the_better_wording_is_found_frozen_and_asked_for_once(tmp_path: Path, server: Server) -> None:
    tuning = config(tmp_path, {"api": {"base_url": server.base_url, "model": "m", "log_probs": 5}}, paraphrases=1)
    tuned = tune_prompt(tuning)
    chosen = tuned.choice.chosen
    assert "carefully" in chosen.candidate.prompt.instruction
    assert chosen.score is not None
    assert chosen.score.macro_f1 == 1.0
    assert chosen.score.rows == 24
    assert load_prompt(tuned.file) == chosen.candidate.prompt
    assert LabelPrompt.model_validate({"file": str(tuned.file)}).hash == chosen.candidate.prompt.hash
    said = json.loads((tmp_path / "out" / "tuning.json").read_text("utf-8"))
    assert [len(rung["measured"]) >= size for rung, size in zip(said["rungs"], [6, 2, 2], strict=True)] == [True] * 3
    assert "wording 1" in (tmp_path / "out" / "tuning.md").read_text("utf-8")

    asked = len(server.asked)
    assert asked > 0
    assert tune_prompt(tuning).choice.chosen == chosen
    assert len(server.asked) == asked, "scores are on disk"
    for folder in (tmp_path / "out" / "scores").iterdir():
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    (tmp_path / "out" / "wordings.json").unlink()
    assert tune_prompt(tuning).choice.chosen == chosen
    assert len(server.asked) == asked, "and answers are in the journal"


@pytest.mark.slow
def test_samples_out_of_a_cache_are_noted(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def same(body: dict[str, Any]) -> dict[str, Any]:
        choice = {"message": {"role": "assistant", "content": LABELS[0]}, "finish_reason": "stop", "index": 0}
        return {"model": "m", "choices": [choice], "usage": {"prompt_tokens": 10, "completion_tokens": 1}}

    monkeypatch.setattr(server, "answer", same)
    teacher = {"api": {"base_url": server.base_url, "model": "m"}, "samples": 2}
    tune_prompt(config(tmp_path, teacher, count=24, paraphrases=0))
    assert ONE_ANSWER in (tmp_path / "out" / "tuning.md").read_text("utf-8")


@pytest.mark.slow
def test_the_chosen_prompt_is_measured_in_other_orders_of_its_demonstrations(tmp_path: Path, server: Server) -> None:
    server.is_good = lambda said: len(said) > 1
    api = {"base_url": server.base_url, "model": "m", "log_probs": 5}
    tuned = tune_prompt(config(tmp_path, {"api": api}, paraphrases=0, orders=3))
    assert len(tuned.choice.chosen.candidate.prompt.demonstrations) == 2
    said = json.loads((tmp_path / "out" / "tuning.json").read_text("utf-8"))["demonstration_orders"]
    assert len(said["objectives"]) == 3
    assert (said["mean"], said["sd"]) == (tuned.order_mean, tuned.order_sd)
    assert tuned.order_mean == pytest.approx(np.mean(said["objectives"]))
    assert tuned.order_sd == pytest.approx(np.std(said["objectives"], ddof=1))
    assert tuned.order_sd
    page = (tmp_path / "out" / "tuning.md").read_text("utf-8")
    assert f"J has mean {tuned.order_mean:.3f}, standard deviation {tuned.order_sd:.3f}" in page


@pytest.mark.slow
def test_a_killed_search_goes_on(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    tuning = config(tmp_path, {"api": {"base_url": server.base_url, "model": "m", "log_probs": 5}}, paraphrases=1)
    calls = 0
    real = tune_module._Context._answers

    def dies(self: Any, *arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 5:
            raise KeyboardInterrupt
        return real(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(tune_module._Context, "_answers", dies)
        with pytest.raises(KeyboardInterrupt):
            tune_prompt(tuning)
    interrupted = len(server.asked)
    chosen = tune_prompt(tuning).choice.chosen
    assert interrupted < len(server.asked)
    bodies = [json.dumps(body, sort_keys=True) for body in server.asked if "Rewrite" not in str(body)]
    assert len(bodies) == len(set(bodies)), "nothing was asked for twice"
    fresh = tuning.model_copy(update={"output": str(tmp_path / "fresh")})
    assert tune_prompt(fresh).choice.chosen == chosen


@pytest.mark.slow
def test_only_development_rows_and_pool_are_read(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "test.jsonl", rows(5))
    read: list[Any] = []
    real = tune_module.load_rows

    def load(sources: Any, *arguments: Any, **options: Any) -> Any:
        read.extend(sources)
        return real(sources, *arguments, **options)

    monkeypatch.setattr(tune_module, "load_rows", load)
    tuning = config(tmp_path, {"api": {"base_url": server.base_url, "model": "m", "log_probs": 5}}, paraphrases=0)
    tune_prompt(tuning)
    assert read == [tuning.data.dev, tuning.data.pool]
    texts = {row["text"] for row in [*rows(12), *POOL]}
    for body in server.asked:
        for message in body["messages"]:
            _, was_input, text = message["content"].rpartition("Input: ")
            assert not was_input or text in texts


@pytest.mark.slow
def test_local_weights_and_rows_split_into_pool_and_development(
    tmp_path: Path, make_causal_tokenizer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its chat template writes the year: of the day on which the search began."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    llama = LlamaConfig(
        vocab_size=420, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=120, initializer_range=0.5, bos_token_id=1, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    LlamaForCausalLM(llama).save_pretrained(tmp_path / "teacher")
    tokenizer = make_causal_tokenizer(chat=True)
    tokenizer.chat_template = "{{ strftime_now('%Y') }}" + tokenizer.chat_template
    tokenizer.save_pretrained(tmp_path / "teacher")
    # The day of an earlier start of this search.
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "template_date.json").write_text('"2019-11-01"', encoding="utf-8")
    read: list[str] = []

    def seen(tokenizer: Any, text: Any, *rest: Any, **options: Any) -> Any:
        read.extend([text] if isinstance(text, str) else text)
        return call(tokenizer, text, *rest, **options)

    call = type(tokenizer).__call__
    monkeypatch.setattr(type(tokenizer), "__call__", seen)
    tuning = TuneConfig.model_validate(
        {
            "task": {"labels": LABELS},
            "data": {"dev": write(tmp_path / "dev.jsonl", rows(12))},
            "teacher": {"model": str(tmp_path / "teacher")},
            "prompt": {"format": "none", "instruction": "Classify: {{ labels }}."},
            "search": {"configurations": 6, "paraphrases": 1, "per_class": [1], "orders": 2},
            "output": str(tmp_path / "out"),
        }
    )
    tuned = tune_prompt(tuning)
    prompts = [text for text in read if "<|im_start|>" in text]
    assert len(prompts) > 9
    assert all(text.startswith("2019<|im_start|>") for text in prompts)
    assert str(load_prompt(tuned.file).date) == "2019-11-01"
    said = json.loads((tmp_path / "out" / "tuning.json").read_text("utf-8"))
    assert said["pool_rows"] == round(0.6 * 24)
    assert said["rungs"][-1]["rows"] == 24 - round(0.6 * 24)
    assert "usable wordings of 1 wanted" in said["notes"][0]  # random weights write nothing of use
    if tuned.choice.chosen.candidate.what != "the default":
        assert "better than the default" in tuned.choice.why
    assert np.isfinite(said["chosen"]["score"]["objective"])
    shown = [text for one in said["rungs"][0]["measured"] if one["score"] is None for text in [one["what"]]]
    assert all("demonstrations" in what for what in shown), "only prompts with demonstrations may be too long"


def test_what_is_refused_before_anything_is_asked(tmp_path: Path, server: Server) -> None:
    api = {"api": {"base_url": server.base_url, "model": "m", "log_probs": 5}}
    few = config(tmp_path, api, count=3)
    with pytest.raises(DataError, match="6 labelled development rows are left"):
        tune_prompt(few)
    wrong = config(tmp_path, api).model_copy(update={"prompt": LabelPrompt(input="{{ title }}: {{ text }}")})
    with pytest.raises(ConfigError, match="rows have no field 'title'"):
        tune_prompt(wrong)
    assert server.asked == []
