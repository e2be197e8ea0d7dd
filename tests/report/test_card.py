"""The model card: front matter that the hub reads, Markdown that holds."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from huggingface_hub import ModelCard
from tests.report.conftest import KINDS, card_of, changed
from tests.report.snippets import run_snippet
from tests.tasks.generation.text_models import CHATML, LLAMA, T5, make_model
from tests.tasks.generation.text_models import make_tokenizer as make_causal_tokenizer

from limbeck.data.prompts.label_prompt import LabelPrompt
from limbeck.data.prompts.scored import make_verbaliser
from limbeck.formatting import EN_DASH
from limbeck.models.label_scorer import LabelScorer
from limbeck.models.load import load_classifier, load_tokenizer, reader_of, save_model
from limbeck.models.pooled_classifier import write_length_limit
from limbeck.report import render_card
from limbeck.report.use import Use, classifier_use, writer_use
from limbeck.results.record import Results
from limbeck.runs.config import run_config
from limbeck.students.adapters import Adapter, add_adapter, merged_for_export
from limbeck.tasks.table import task_of


def front_matter(card: str) -> dict[str, Any]:
    head = re.match(r"---\n(.*?\n)---\n", card, re.DOTALL)
    assert head
    return yaml.safe_load(head[1])


def table_rows(card: str) -> list[str]:
    return [line for line in card.splitlines() if line.startswith("|")]


def test_front_matter(records: dict[str, Results]) -> None:
    card = card_of(records["classification"], "org/base: model", "apache-2.0", ["en", "no"])
    found = front_matter(card)
    assert found.pop("model-index")
    assert found == {
        "library_name": "transformers",
        "pipeline_tag": "text-classification",
        "tags": ["limbeck", "knowledge-distillation"],
        "base_model": "org/base: model",
        "license": "apache-2.0",
        # A bare `no` would be read as false.
        "language": ["en", "no"],
    }


@pytest.mark.parametrize(
    ("kind", "task", "library"),
    [
        ("classification", "text-classification", "transformers"),
        ("ranking", "text-ranking", "limbeck"),
        ("generation", "text-generation", "transformers"),
    ],
)
def test_the_hub_reads_the_figures(kind: str, task: str, library: str, records: dict[str, Results]) -> None:
    results = records[kind]
    card = ModelCard(card_of(results))
    assert (card.data.pipeline_tag, card.data.library_name) == (task, library)
    assert card.data.model_name == results.run.name
    main = results.roles("main")[0]
    budget = max(results.budgets(), default=None)
    figures = {one.metric_type: one.metric_value for one in card.data.eval_results}
    assert figures[results.headline] == results.figure(main.name, results.headline, budget=budget).value
    shown = [m.key for m in results.metrics if m.table == "headline"]
    assert list(figures) == [key for key in shown if results.figure(main.name, key, budget=budget)]


def test_what_is_unknown_is_left_out(bare: dict[str, Results]) -> None:
    assert set(front_matter(card_of(bare["classification"]))) == {"library_name", "pipeline_tag", "tags"}


def test_languages_are_those_of_the_record(records: dict[str, Results]) -> None:
    assert front_matter(card_of(records["ranking"]))["language"] == ["en", "de", "fr", "sw"]


def test_figures_verdict_and_command_are_on_the_card(records: dict[str, Results]) -> None:
    results = records["classification"]
    card = card_of(results)
    assert f"| Distilled | 90.3 % (89.2{EN_DASH}91.4) |" in card
    assert f"| Distilled | 90.1 % (89.0{EN_DASH}91.2) | 99.8 %" in card
    assert "- The distilled student keeps 96.9 % of the teacher's accuracy at 42 % of its size." in card
    assert f"```sh\n{results.run.command}\n```" in card
    assert "accuracy: +1.9 points (95 % interval +1.1 to +2.7), paired bootstrap p &lt; 0.001" in card
    assert "limbeck predict" in card
    assert results.warnings[0] in card


def test_the_card_of_a_student_that_writes(records: dict[str, Results]) -> None:
    card = card_of(records["generation"])
    assert "AutoModelForCausalLM.from_pretrained" in card
    assert "falsehoods" in card
    assert "- Distilled against Fine-tuned, ROUGE-L: +" in card
    assert "Repeated 4-grams" in card
    other = render_card(records["generation"], writer_use(encoder_decoder=True))
    assert "AutoModelForSeq2SeqLM.from_pretrained" in other
    assert "CausalLM" not in other


def test_the_card_of_a_student_that_ranks(records: dict[str, Results]) -> None:
    card = card_of(records["ranking"])
    assert "| Swahili | low | 68.2 % | 56.4 % |" in card
    assert "| English | source | 101.1 % | 83.7 % | 0.919 |" in card
    assert "- Swahili is left behind: 68.2 % of the teacher's accuracy on English (−26.3 points)." in card
    assert "- In Swahili distillation hurt: −3.8 points" in card
    assert "German is left behind" not in card


@pytest.mark.parametrize("kind", KINDS)
def test_a_card_has_no_holes(kind: str, records: dict[str, Results], bare: dict[str, Results]) -> None:
    for results in (records[kind], bare[kind], changed(bare[kind], systems=[], figures=[])):
        card = card_of(results)
        assert "\n\n\n" not in card
        assert not re.search(r"\bNone\b(?! of)", card)
        for sentence in results.verdict:
            assert sentence.replace("<", "&lt;") in card


@pytest.mark.parametrize("kind", KINDS)
def test_foreign_text_breaks_neither_table_nor_fence_nor_front_matter(
    kind: str, hostile_records: dict[str, Results]
) -> None:
    results = hostile_records[kind]
    card = card_of(results, "a\n---\nlicense: mit")
    assert front_matter(card)["base_model"] == "a\n---\nlicense: mit"
    _, body = card.split("\n---\n", 1)
    assert "\n````sh\n" in body, "the fence is longer than the one inside"
    assert "<script" not in body.replace(results.run.command, "")
    lines = body.splitlines()
    for before, row in pairwise(lines):
        if before.startswith("|") and row.startswith("|"):
            assert row.replace("\\|", "").count("|") == before.replace("\\|", "").count("|")


def test_pairs_are_shown_as_pairs(records: dict[str, Results]) -> None:
    results = records["classification"]
    assert "text_pair" not in render_card(results, classifier_use())
    assert "text_pair" in render_card(results, classifier_use(pairs=True))


@pytest.fixture
def student_folder(make_classifier: Callable[..., Any], make_tokenizer: Callable[..., Any], tmp_path: Path) -> Path:
    """A classifier that reads 32 tokens; its tokenizer does not know."""
    make_classifier(scale=4.0).save_pretrained(tmp_path / "student")
    make_tokenizer().save_pretrained(tmp_path / "student")
    return tmp_path / "student"


@pytest.mark.parametrize("pairs", [False, True])
def test_the_snippet_labels_a_text_of_any_length(
    bare: dict[str, Results], student_folder: Path, capsys: pytest.CaptureFixture[str], pairs: bool
) -> None:
    card = render_card(bare["classification"], classifier_use(max_length=32, pairs=pairs))
    asked = "first_text" if pairs else "a_text_to_label"
    printed = run_snippet(card, student_folder, capsys, **{asked: "the cat runs . " * 100})
    assert re.search(r"'label': 'LABEL_[0-2]', 'score': 0\.\d+", printed)


@pytest.mark.parametrize("pairs", [False, True])
def test_a_student_of_pooled_states_is_read_by_sentence_transformers(
    pairs: bool,
    bare: dict[str, Results],
    sentence_encoder_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("sentence_transformers")
    folder = tmp_path / "student"
    model = load_classifier(str(sentence_encoder_folder), labels=["risk", "safe"])
    with torch.no_grad():
        model.head.bias.copy_(torch.tensor([0.0, 50.0]))
    save_model(model, load_tokenizer(str(sentence_encoder_folder)), folder)
    write_length_limit(model, folder, 32)
    card = render_card(bare["classification"], classifier_use(pairs=pairs, reader=reader_of(folder)))
    assert front_matter(card)["library_name"] == "sentence-transformers"
    asked = "first_text" if pairs else "a_text_to_label"
    assert "[('safe', 1.0)]" in run_snippet(card, folder, capsys, **{asked: "my card is lost " * 100})


@pytest.mark.parametrize("kind", ["token_classification", "regression", "multi_label"])
def test_the_library_of_a_student_with_a_head_is_what_loads_it(
    kind: str, bare: dict[str, Results], student_folder: Path, make_classifier: Callable[..., Any], tmp_path: Path
) -> None:
    task = {"kind": kind, **({"words": "words"} if kind == "token_classification" else {})}
    config = run_config(
        {"task": task, "data": {"train": "a.jsonl"}, "teacher": {"model": "a", "fine_tune": {}},
         "student": {"model": "b"}, "recipe": "kd", "output": "runs/x"}
    )  # fmt: skip
    card = task_of(config).card(config, bare["classification"], student_folder)
    assert front_matter(card)["library_name"] == "transformers"
    adapted = merged_for_export(add_adapter(make_classifier(), Adapter(kind="houlsby", width=4)))
    save_model(adapted, None, tmp_path / "adapted")
    card = task_of(config).card(config, bare["classification"], tmp_path / "adapted")
    assert front_matter(card)["library_name"] == "limbeck"


@pytest.mark.parametrize("kind", ["houlsby", "verbaliser"])
def test_a_student_that_transformers_alone_would_misread_is_read_by_limbeck(
    kind: str,
    bare: dict[str, Results],
    make_classifier: Callable[..., Any],
    make_tokenizer: Callable[..., Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "student"
    if kind == "houlsby":
        model, tokenizer = add_adapter(make_classifier(), Adapter(kind="houlsby", width=4)), make_tokenizer()
        save_model(merged_for_export(model), tokenizer, folder)
    else:
        tokenizer = make_causal_tokenizer()
        prompt = LabelPrompt(format="none", input="Input: {{ text }}", body="text")
        verbaliser = make_verbaliser(prompt, ["risk", "safe"], ["text"], tokenizer, explains=False)
        save_model(LabelScorer(make_model(LLAMA, rows=len(tokenizer)), verbaliser), tokenizer, folder)
    assert reader_of(folder) == "limbeck"
    card = render_card(bare["classification"], classifier_use(reader="limbeck"))
    assert front_matter(card)["library_name"] == "limbeck"
    assert "'confidence': 0." in run_snippet(card, folder, capsys)


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize(
    ("use", "encoder_decoder", "read"),
    [
        (
            writer_use(chat=True, system='Say "yes".\n```'),
            False,
            '<|im_start|>system\nSay "yes".\n```<|im_end|>\n'
            "<|im_start|>user\na prompt as in training<|im_end|>\n<|im_start|>assistant\n",
        ),
        (writer_use(system="Be brief.", separator="\n\n"), False, "Be brief.\n\na prompt as in training\n\n"),
        (writer_use(), False, "a prompt as in training"),
        (writer_use(system="Be brief.", encoder_decoder=True), True, "Be brief.\n\na prompt as in training"),
    ],
)
def test_the_snippet_asks_as_in_training(
    use: Use,
    encoder_decoder: bool,
    read: str,
    bare: dict[str, Results],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from transformers import GenerationMixin

    tokenizer = make_causal_tokenizer(template=CHATML if "im_start" in read else None)
    config = {**T5, "decoder_start_token_id": 0} if encoder_decoder else LLAMA
    make_model({**config, "max_position_embeddings": 512}, rows=len(tokenizer)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    asked = []
    generate = GenerationMixin.generate

    def watched(self: object, **inputs: object) -> object:
        asked.append(tokenizer.decode(inputs["input_ids"][0]))
        return generate(self, **inputs)

    monkeypatch.setattr(GenerationMixin, "generate", watched)
    printed = run_snippet(render_card(bare["generation"], use), tmp_path, capsys)
    assert asked == [read]
    assert "a prompt as in training" not in printed, "what was asked is not what was answered"
