"""Tasks of lm-eval: what is read of its answers, and, where it is installed, the figures of a model on a task."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from limbeck.errors import ConfigError
from limbeck.evaluation.generation.harness import _figures, harness_figures, require_harness
from limbeck.results.sections import HarnessFigure

ANSWER = json.loads("""
{"results": {
   "topics": {"name": "topics", "alias": "topics", "sample_len": 12, "acc,none": 0.75, "acc_stderr,none": 0.13,
              "perplexity,none": 9.5, "perplexity_stderr,none": "N/A"},
   "sums": {"alias": "sums", "exact_match,strict-match": 0.5, "exact_match_stderr,strict-match": 0.1,
            "exact_match,flexible-extract": 0.625, "exact_match_stderr,flexible-extract": 0.1},
   "both": {"alias": "both", "acc,none": 0.6, "acc_stderr,none": 0.05}},
 "versions": {"topics": 1.0, "sums": 3.0, "both": 2},
 "n-shot": {"topics": 0, "sums": 5},
 "n-samples": {"topics": {"original": 12, "effective": 12}, "sums": {"original": 40, "effective": 8}},
 "higher_is_better": {"topics": {"acc": true, "perplexity": false}, "sums": {"exact_match": true}}}
""")


def test_every_metric_of_every_task_is_read() -> None:
    found = {(figure.task, figure.metric): figure for figure in _figures("distilled", ANSWER)}
    assert list(found) == [
        ("topics", "acc"), ("topics", "perplexity"), ("sums", "exact_match (strict-match)"),
        ("sums", "exact_match (flexible-extract)"), ("both", "acc"),
    ]  # fmt: skip
    assert found["topics", "acc"] == HarnessFigure(
        system="distilled", task="topics", metric="acc", value=0.75, standard_error=0.13, higher_is_better=True,
        samples=12, shots=0, version="1.0",
    )  # fmt: skip
    assert found["topics", "perplexity"].standard_error is None
    assert found["topics", "perplexity"].higher_is_better is False
    sums = found["sums", "exact_match (flexible-extract)"]
    assert (sums.value, sums.samples, sums.shots, sums.higher_is_better) == (0.625, 8, 5, True)
    assert (found["both", "acc"].samples, found["both", "acc"].shots) == (None, None)  # a group of tasks


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    with pytest.raises(ConfigError, match=r"pip install 'limbeck\[lm-eval\]'"):
        require_harness()
    with pytest.raises(ConfigError, match=r"pip install 'limbeck\[lm-eval\]'"):
        harness_figures("distilled", None, None, ["hellaswag"], max_length=8, chat=False)


CHOICES = ["card arrival", "exchange rate", "top up failed"]
QUESTIONS = ["Where is my card?", "What do I pay for dollars?", "My money is not there", "Is it under way?"]
GOLD = [0, 1, 2, 0]
TASK = """
task: topics
dataset_path: json
dataset_kwargs: {data_files: {test: ROWS}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}} "
target_delimiter: ""
doc_to_target: gold
doc_to_choice: CHOICES
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
metadata: {version: 2}
"""


@pytest.mark.filterwarnings("ignore")  # of a library that is not ours
def test_accuracy_on_a_task_of_ones_own(tmp_path: Path) -> None:
    """The likeliest choice of each question, counted here from the model's logits alone."""
    pytest.importorskip("lm_eval")
    from tests.tasks.generation.text_models import LLAMA, make_model, make_tokenizer

    rows = tmp_path / "rows.jsonl"
    lines = [json.dumps({"question": q, "gold": g}) for q, g in zip(QUESTIONS, GOLD, strict=True)]
    rows.write_text("\n".join(lines), encoding="utf-8")
    task = tmp_path / "topics.yaml"
    task.write_text(TASK.replace("ROWS", str(rows)).replace("CHOICES", json.dumps(CHOICES)), encoding="utf-8")
    tokenizer = make_tokenizer()
    model = make_model({**LLAMA, "initializer_range": 0.5}, rows=len(tokenizer)).eval()
    found = harness_figures("teacher", model, tokenizer, [str(task)], max_length=96, chat=False)
    right = sum(
        best_choice(model, tokenizer, question) == gold for question, gold in zip(QUESTIONS, GOLD, strict=True)
    )
    (figure,) = found
    assert (figure.system, figure.task, figure.metric) == ("teacher", "topics", "acc")
    assert (figure.samples, figure.shots, figure.version, figure.higher_is_better) == (4, 0, "2", True)
    assert figure.value == pytest.approx(right / 4)
    assert 0 < right < 4  # so that neither always nor never would pass
    with pytest.raises(ConfigError, match=r"lm-eval could not run no_such_task.*lm-eval ls tasks"):
        harness_figures("teacher", model, tokenizer, ["no_such_task"], max_length=96, chat=False)


def best_choice(model: Any, tokenizer: Any, question: str) -> int:
    scores = []
    for choice in CHOICES:
        # The harness tokenises both together, and gives the space between them to the choice.
        start = len(tokenizer(question)["input_ids"])
        ids = tokenizer(f"{question} {choice}")["input_ids"]
        with torch.no_grad():
            log_probs_TV = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        scores.append(float(sum(log_probs_TV[place - 1, ids[place]] for place in range(start, len(ids)))))
    return max(range(len(scores)), key=scores.__getitem__)
