"""Whole loads of prompts, conversations and texts: formats, refusals, quarantine, duplicates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from limbeck.data.generation.load import load_examples
from limbeck.data.generation.task import Generation
from limbeck.errors import ConfigError, DataError

ALPACA = Generation(prompt=["instruction", "input", "hint"], completion="output")
PAIRS = Generation(prompt="q", completion="a")
CHAT = Generation(messages="chat")
TURNS = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
ROWS = [
    {"instruction": "Add", "input": "1, 2", "hint": "slowly", "output": "3"},
    {"instruction": "Greet", "input": "", "hint": None, "output": "Hello"},
]


def json_lines(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def refusal(*arguments: Any, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        load_examples(*arguments, **options)
    return str(caught.value)


def test_three_prompt_fields_from_every_format(tmp_path: Path) -> None:
    json_lines(tmp_path / "a.jsonl", ROWS)
    (tmp_path / "b.csv").write_text('instruction,input,hint,output\nAdd,"1, 2",slowly,3\nGreet,,,Hello\n')
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "c.parquet")
    for name in ("a.jsonl", "b.csv", "c.parquet"):
        loaded = load_examples(tmp_path / name, ALPACA)
        assert [(row.prompt[0].content, row.completion) for row in loaded.rows] == [
            ("Add\n\n1, 2\n\nslowly", "3"),
            ("Greet", "Hello"),
        ], name


def test_conversations_from_parquet(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([{"chat": TURNS}]), tmp_path / "a.parquet")
    json_lines(tmp_path / "b.jsonl", [{"chat": TURNS}])
    loaded = load_examples(tmp_path, CHAT)
    assert loaded.rows[0].messages == loaded.rows[1].messages
    assert loaded.duplicates == 1
    assert [count.rows for count in loaded.files] == [1, 1]


def test_bad_rows_stop_with_file_line_and_field(tmp_path: Path) -> None:
    path = json_lines(tmp_path / "a.jsonl", [{"q": "x", "a": "y"}, {"q": "x"}, {"q": "", "a": "y"}])
    message = refusal(path, PAIRS)
    assert f"{path}, line 2, field 'a': missing" in message
    assert f"{path}, line 3, field 'q': empty" in message


def test_bad_rows_in_quarantine(tmp_path: Path) -> None:
    path = json_lines(tmp_path / "a.jsonl", [{"q": "x", "a": "y"}, {"q": "z", "a": ""}, {"q": "v", "a": "w"}])
    aside = tmp_path / "out" / "quarantine.jsonl"
    loaded = load_examples(path, PAIRS, on_bad_row="quarantine", quarantine=aside)
    assert [row.origin.line for row in loaded.rows] == [1, 3]
    assert loaded.left_out == 1
    (line,) = map(json.loads, aside.read_text("utf-8").splitlines())
    assert line == {"file": str(path), "line": 2, "field": "a", "reason": "empty", "row": {"q": "z", "a": ""}}


def test_more_than_half_bad_is_refused_even_with_quarantine(tmp_path: Path) -> None:
    path = json_lines(tmp_path / "a.jsonl", [{"q": "x", "a": "y"}, {"q": "z"}, {"q": "v"}])
    assert "more than half" in refusal(path, PAIRS, on_bad_row="quarantine")


def test_a_prompt_field_that_no_row_has_is_a_misspelling(tmp_path: Path) -> None:
    path = json_lines(tmp_path / "a.jsonl", [{"instruction": "x", "imput": "v", "output": "y"}])
    task = Generation(prompt=["instruction", "input"], completion="output")
    assert "no row has the field 'input'; did you mean 'imput'?" in refusal(path, task)


def test_a_completion_field_that_no_row_has_is_a_misspelling(tmp_path: Path) -> None:
    path = json_lines(tmp_path / "a.jsonl", [{"q": "x", "outputs": "y"}])
    task = Generation(prompt="q", completion="output")
    assert "did you mean 'outputs'?" in refusal(path, task, require_completion=False)


def test_prompts_without_completions_where_none_are_needed(tmp_path: Path) -> None:
    path = json_lines(tmp_path / "a.jsonl", [{"q": "x", "a": "y"}, {"q": "z"}])
    assert [row.completion for row in load_examples(path, PAIRS, require_completion=False).rows] == ["y", None]
    with pytest.raises(ConfigError, match=r"task\.completion is missing"):
        load_examples(path, Generation(prompt="q"))


def test_duplicates_are_counted_and_kept(tmp_path: Path) -> None:
    row = {"q": "x", "a": "y"}
    path = json_lines(tmp_path / "a.jsonl", [row, {"q": "x", "a": "z"}, row, row])
    loaded = load_examples(path, PAIRS)
    assert (len(loaded), loaded.duplicates) == (4, 2)


def test_the_fingerprint_is_that_of_the_content_in_order(tmp_path: Path) -> None:
    rows = [{"q": "x", "a": "y"}, {"q": "z", "a": "w"}]
    first = load_examples(json_lines(tmp_path / "a.jsonl", rows), PAIRS)
    again = load_examples(json_lines(tmp_path / "b.jsonl", [{**row, "id": 5} for row in rows]), PAIRS)
    turned = load_examples(json_lines(tmp_path / "c.jsonl", rows[::-1]), PAIRS)
    assert first.fingerprint == again.fingerprint != turned.fingerprint


def test_the_quarantine_file_is_no_source(tmp_path: Path) -> None:
    path = json_lines(tmp_path / "a.jsonl", [{"q": "x", "a": "y"}])
    with pytest.raises(ConfigError, match="also read as data"):
        load_examples(tmp_path, PAIRS, on_bad_row="quarantine", quarantine=path)


@pytest.mark.parametrize(
    ("task", "field"),
    [(Generation(messages="chat"), "chat"), (Generation(text="body"), "body"),
     (Generation(prompt="q", completion="answer"), "answer")],
)  # fmt: skip
def test_a_field_that_no_row_has_is_one_fault(tmp_path: Path, task: Generation, field: str) -> None:
    path = json_lines(tmp_path / "a.jsonl", [{"q": "x", "more": "y"}] * 30)
    assert refusal(path, task) == f"{path}: no row has the field '{field}'; known here: more, q"
