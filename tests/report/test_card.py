"""The model card: front matter that YAML reads, Markdown that holds."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.report.snippets import run_snippet
from tests.runs.text_models import LLAMA, make_model
from tests.runs.text_models import make_tokenizer as make_causal_tokenizer

from limbeck.data.prompts.label_prompt import LabelPrompt
from limbeck.data.prompts.scored import make_verbaliser
from limbeck.formatting import ABSENT, EN_DASH
from limbeck.models.label_scorer import LabelScorer
from limbeck.models.load import is_plain_folder, save_model
from limbeck.report import render_card
from limbeck.report.card import ClassifierUse
from limbeck.results import Results
from limbeck.students.adapters import Adapter, add_adapter, merged_for_export


def front_matter(card: str) -> dict[str, Any]:
    head = re.match(r"---\n(.*?\n)---\n", card, re.DOTALL)
    assert head
    return yaml.safe_load(head[1])


def table_rows(card: str) -> list[str]:
    return [line for line in card.splitlines() if line.startswith("|")]


def test_front_matter(full_results: Results) -> None:
    card = render_card(full_results, "org/base: model", "apache-2.0", ["en", "no"])
    assert front_matter(card) == {
        "library_name": "transformers",
        "pipeline_tag": "text-classification",
        "tags": ["limbeck", "knowledge-distillation"],
        "base_model": "org/base: model",
        "license": "apache-2.0",
        # A bare `no` would be read as false.
        "language": ["en", "no"],
    }


def test_what_is_unknown_is_left_out(bare_results: Results) -> None:
    assert set(front_matter(render_card(bare_results, None, None, []))) == {
        "library_name",
        "pipeline_tag",
        "tags",
    }


def test_figures_verdict_and_command_are_on_the_card(full_results: Results) -> None:
    card = render_card(full_results, None, None, [])
    assert f"| Distilled | 90.3 % (89.2{EN_DASH}91.4) |" in card
    assert f"| Distilled | 90.1 % (89.0{EN_DASH}91.2) | 99.8 %" in card
    assert "- The distilled student keeps 96.9 % of the teacher's accuracy at 42 % of its size." in card
    assert f"```sh\n{full_results.command}\n```" in card
    assert "accuracy: +1.9 points (95 % interval +1.1 to +2.7), paired bootstrap p < 0.001" in card
    assert "limbeck predict" in card
    assert full_results.warnings[0] in card


def test_a_bare_record_makes_a_card(bare_results: Results) -> None:
    card = render_card(bare_results, None, None, [])
    assert "| Distilled |" + f" {ABSENT} |" * 5 in card
    assert "kept, lost and gained" not in card
    assert "\n\n\n" not in card


def test_foreign_text_breaks_neither_table_nor_fence_nor_front_matter(hostile_results: Results) -> None:
    card = render_card(hostile_results, "a\n---\nlicense: mit", None, [])
    assert front_matter(card)["base_model"] == "a\n---\nlicense: mit"
    _, body = card.split("\n---\n", 1)
    assert "\n````sh\n" in body, "the fence is longer than the one inside"
    prose = body.replace(hostile_results.command, "")
    assert "<script" not in prose
    rows = table_rows(body)
    assert len(rows) == 2 * (2 + len(hostile_results.systems))
    assert {row.replace("\\|", "").count("|") for row in rows} == {12, 4}


def test_pairs_are_shown_as_pairs(hostile_results: Results, full_results: Results) -> None:
    assert "text_pair" in render_card(hostile_results, None, None, [])
    assert "text_pair" not in render_card(full_results, None, None, [])


@pytest.fixture
def student_folder(make_classifier: Callable[..., Any], make_tokenizer: Callable[..., Any], tmp_path: Path) -> Path:
    """A classifier that reads 32 tokens; its tokenizer does not know."""
    make_classifier(scale=4.0).save_pretrained(tmp_path / "student")
    make_tokenizer().save_pretrained(tmp_path / "student")
    return tmp_path / "student"


@pytest.mark.parametrize("pairs", [False, True])
def test_the_snippet_labels_a_text_of_any_length(
    full_results: Results, student_folder: Path, capsys: pytest.CaptureFixture[str], pairs: bool
) -> None:
    card = render_card(full_results, None, None, [], use=ClassifierUse(max_length=32, pairs=pairs))
    asked = "first_text" if pairs else "a_text_to_label"
    printed = run_snippet(card, student_folder, capsys, **{asked: "the cat runs . " * 100})
    assert re.search(r"'label': 'LABEL_[0-2]', 'score': 0\.\d+", printed)


@pytest.mark.parametrize("kind", ["houlsby", "verbaliser"])
def test_a_student_that_transformers_alone_would_misread_is_read_by_limbeck(
    kind: str,
    full_results: Results,
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
    assert not is_plain_folder(folder)
    card = render_card(full_results, None, None, [], use=ClassifierUse(transformers_reads_it=False))
    assert front_matter(card)["library_name"] == "limbeck"
    assert "'confidence': 0." in run_snippet(card, folder, capsys)
