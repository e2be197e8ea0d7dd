"""The model card: front matter that YAML reads, Markdown that holds."""

from __future__ import annotations

import re
from typing import Any

import yaml

from limbeck.formatting import ABSENT, EN_DASH
from limbeck.report import render_card
from limbeck.results import Results


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
