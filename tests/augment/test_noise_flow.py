"""Rows in, rows and noisy copies out: the fields that stay, labels, pairs, parts of speech, faults."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from limbeck.augment.noise import Noise
from limbeck.augment.noise_flow import Noised, TagFields, add_noise
from limbeck.data.records import Fields
from limbeck.errors import ConfigError, DataError, ModelError

FIELDS = Fields("text", None, "label")
ROWS: list[dict[str, Any]] = [
    {"text": "My card  is lost", "label": "lost", "pos": ["DET", "NOUN", "VERB", "ADJ"], "id": 7},
    {"text": "the bank!", "label": "bank", "pos": "DET NOUN", "id": 8},
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, make_tokenizer: Callable[..., Any]) -> str:
    folder = tmp_path_factory.mktemp("models") / "tokenizer"
    make_tokenizer().save_pretrained(folder)
    return str(folder)


def made(
    folder: Path,
    model: str,
    rows: list[dict[str, Any]] | None = None,
    fields: Fields = FIELDS,
    tags: TagFields | None = None,
    **settings: Any,
) -> list[dict[str, Any]]:
    path, output = folder / "rows.jsonl", folder / "more.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows or ROWS), encoding="utf-8")
    done = add_noise(str(path), model, output, fields, tags or TagFields(), Noise(**settings))
    lines = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert done == Noised(len(rows or ROWS), len(lines) - len(rows or ROWS))
    return lines


def test_rows_are_followed_by_copies_without_labels_and_parts_of_speech(tmp_path: Path, model: str) -> None:
    lines = made(tmp_path, model, tags=TagFields("pos"), copies=60)
    assert [line for line in lines if "label" in line] == ROWS
    copies = [line for line in lines if "label" not in line]
    assert all(line.keys() == {"text", "id"} for line in copies)
    words = {word for line in copies for word in line["text"].split()}
    assert words <= {"My", "card", "is", "lost", "the", "bank!", "[MASK]"}
    of_card = {line["text"] for line in copies if line["id"] == 7}
    assert any("bank!" in text.split() for text in of_card)  # the noun of the other row
    assert all(text.split()[0] in ("My", "the", "[MASK]") for text in of_card if len(text.split()) == 4)
    texts = [line["text"] for line in copies]
    assert "My card is lost" not in texts  # other white space is no other text


def test_labels_on_request_and_other_copies_with_another_seed(tmp_path: Path, model: str) -> None:
    lines = made(tmp_path, model, keep_labels=True)
    assert {line["label"] for line in lines} == {"lost", "bank"}
    assert made(tmp_path, model, keep_labels=True) == lines
    assert made(tmp_path, model, keep_labels=True, seed=1) != lines


def test_other_rows_do_not_matter_without_parts_of_speech(tmp_path: Path, model: str) -> None:
    lines = made(tmp_path, model)
    alone = made(tmp_path, model, ROWS[:1])
    assert alone == [line for line in lines if line["id"] == 7]


def test_pairs(tmp_path: Path, model: str) -> None:
    row = {"a": "my card is lost now", "b": "where is the bank", "label": 1, "t": ["A"] * 5, "u": ["B"] * 4}
    first, *lines = made(tmp_path, model, [row], Fields("a", "b", "label"), TagFields("t", "u"), copies=200)
    assert first == row
    assert all(line.keys() == {"a", "b"} for line in lines)
    sides = {(line["a"] != row["a"], line["b"] != row["b"]) for line in lines}
    assert sides == {(True, True), (True, False), (False, True)}
    assert all(set(line["a"].split()) <= {*str(row["a"]).split(), "[MASK]"} for line in lines)


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        (["DET"], r"rows.jsonl, row 2, field 'pos': 1 parts of speech for the 2 words of 'text'"),
        (None, "row 2, field 'pos': expected a list with the part of speech"),
        ([1, 2], "row 2, field 'pos': expected a list"),
    ],
)
def test_parts_of_speech_that_do_not_fit(tags: Any, said: str, tmp_path: Path, model: str) -> None:
    with pytest.raises(DataError, match=said):
        made(tmp_path, model, [ROWS[0], {**ROWS[1], "pos": tags}], tags=TagFields("pos"))
    assert not (tmp_path / "more.jsonl").exists()


def test_a_tokenizer_without_a_mask(tmp_path: Path, make_causal_tokenizer: Callable[..., Any]) -> None:
    make_causal_tokenizer().save_pretrained(tmp_path / "causal")
    with pytest.raises(ModelError, match="has no mask token"):
        made(tmp_path, str(tmp_path / "causal"))


def test_the_rows_are_not_written_over(tmp_path: Path, model: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(ROWS[0]) + "\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="is the file that is read"):
        add_noise(str(path), model, path, FIELDS, TagFields(), Noise())
