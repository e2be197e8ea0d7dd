"""Rows in, rows and copies out: the fields that stay, labels, pairs, seeds, an interruption, faults."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.models.test_masked_words import save_masked_lm
from tests.runs.interruption import InterruptAfter

from limbeck.augment import flow
from limbeck.augment.flow import Augmentation, Augmented, augment
from limbeck.augment.variants import Word
from limbeck.data.records import Fields
from limbeck.errors import ConfigError, DataError, StorageError
from limbeck.models.masked_words import WordFiller, load_word_filler
from limbeck.types import SilentProgress

FIELDS = Fields("text", None, "label")
ROWS = [
    {"text": "My card is lost", "label": "lost", "id": 7},
    {"text": "the bank!", "label": "bank", "more": {"a": [1]}},
    {"text": "is my", "label": "none"},
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_masked_lm(tmp_path_factory.mktemp("models") / "masked"))


def write(path: Path, rows: list[Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def made(folder: Path, model: str, rows: list[Any] = ROWS, fields: Fields = FIELDS, **settings: Any) -> list[Any]:
    augment(write(folder / "rows.jsonl", rows), model, folder / "more.jsonl", fields, Augmentation(**settings),
            SilentProgress())  # fmt: skip
    return read(folder / "more.jsonl")


def test_rows_are_followed_by_copies_without_labels(tmp_path: Path, model: str) -> None:
    path, output = write(tmp_path / "rows.jsonl", ROWS), tmp_path / "more.jsonl"
    done = augment(path, model, output, FIELDS, Augmentation(), SilentProgress())
    lines = read(output)
    assert [line for line in lines if "label" in line] == ROWS
    starts = [lines.index(row) for row in ROWS]
    assert starts[0] == 0
    assert starts[2] == len(lines) - 1, "stop words alone: no copies"
    of_card, of_bank = lines[1 : starts[1]], lines[starts[1] + 1 : starts[2]]
    assert done == Augmented(3, len(of_card) + len(of_bank), 3)
    assert 1 < len(of_card) <= 30
    assert {line["id"] for line in of_card} == {7}
    assert all(line["more"] == {"a": [1]} for line in of_bank)
    texts = [line["text"] for line in lines]
    assert len(set(texts)) == len(texts)
    assert all(line["text"].startswith("My ") and " is " in line["text"] for line in of_card)
    assert all(line["text"].startswith("the ") and line["text"].endswith("!") for line in of_bank)
    filler = load_word_filler(model)
    allowed = words_for(filler, "My card is lost", Word(3, 7))
    assert {line["text"].split()[1] for line in of_card} <= {*allowed, "card"}
    assert not (tmp_path / "more.jsonl.candidates").exists()


def words_for(filler: WordFiller, text: str, word: Word) -> list[str]:
    twice = filler.read(text)
    place = twice.place_of(word.start, word.end)
    assert place is not None
    return filler.words(filler.likeliest([twice], [place], 15)[0])


def test_labels_on_request_and_settings(tmp_path: Path, model: str) -> None:
    lines = made(tmp_path, model, keep_labels=True, copies=2, probability=1.0, candidates=3)
    assert {line["label"] for line in lines} == {"lost", "bank", "none"}
    assert all(len([line for line in lines if line["label"] == label]) <= 3 for label in ("lost", "bank"))
    other = Fields("text", None, "id")
    assert all("label" in line for line in made(tmp_path, model, fields=other))


def test_texts_of_a_pair_are_altered_one_at_a_time(tmp_path: Path, model: str) -> None:
    row = {"one": "my card", "two": "lost coin", "label": 1}
    first, *lines = made(tmp_path, model, [row], Fields("one", "two", "label"))
    assert first == row
    altered = [(line["one"] != row["one"], line["two"] != row["two"]) for line in lines]
    assert altered == sorted(altered, reverse=True)
    assert set(altered) == {(True, False), (False, True)}


def test_a_seed_and_a_row_decide_what_is_drawn(tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = made(tmp_path, model)
    assert made(tmp_path, model) == lines
    assert made(tmp_path, model, seed=1) != lines
    monkeypatch.setattr(flow, "_BATCH_WORDS", 1)
    assert made(tmp_path, model) == lines
    changed = [*ROWS[:1], {**ROWS[1], "text": "bank coin coin"}, ROWS[2]]
    others = made(tmp_path, model, changed)
    assert [x for x in others if x.get("id") == 7] == [x for x in lines if x.get("id") == 7]


def test_an_interrupted_command_continues(tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "_BATCH_WORDS", 1)
    monkeypatch.setattr("limbeck.teachers.kept_arrays._SAVE_EVERY_BATCHES", 1)
    expected = made(tmp_path, model)
    (tmp_path / "more.jsonl").unlink()
    asked = []
    likeliest = WordFiller.likeliest

    def counted(self: WordFiller, texts: Any, places: Any, count: int) -> Any:
        asked.append(places)
        return likeliest(self, texts, places, count)

    monkeypatch.setattr(WordFiller, "likeliest", counted)
    path, output = write(tmp_path / "rows.jsonl", ROWS), tmp_path / "more.jsonl"
    with pytest.raises(KeyboardInterrupt):
        augment(path, model, output, FIELDS, Augmentation(), InterruptAfter(2))
    assert not output.exists()
    augment(path, model, output, FIELDS, Augmentation(), SilentProgress())
    assert len(asked) == 3, "none twice"
    assert read(output) == expected


def test_faults(tmp_path: Path, model: str) -> None:
    for rows, words in (
        ([{"text": "my card"}, {"text": 3}], "rows.jsonl, line 2, field 'text': "),
        ([{"text": "my card"}, {"body": "x"}], "rows.jsonl, line 2, field 'text': "),
        ([{"text": "my card"}, [1]], "rows.jsonl, line 2: expected a JSON object"),
        ([{"text": " "}], "rows.jsonl, line 1, field 'text': "),
        ([], "holds no rows"),
    ):
        with pytest.raises(DataError, match=words):
            made(tmp_path, model, rows)
    path = write(tmp_path / "rows.jsonl", ROWS)
    with pytest.raises(ConfigError, match="is the file that is read"):
        augment(path, model, Path(path), FIELDS, Augmentation(), SilentProgress())
    assert read(Path(path)) == ROWS
    (tmp_path / "rows.csv").write_text("text\nmy card\n", encoding="utf-8")
    with pytest.raises(DataError, match="expected one JSON Lines file"):
        augment(str(tmp_path / "rows.csv"), model, tmp_path / "x.jsonl", FIELDS, Augmentation(), SilentProgress())
    with pytest.raises(StorageError):
        augment(path, model, tmp_path / "no" / "x.jsonl", FIELDS, Augmentation(), SilentProgress())
    for settings, words in (
        ({"copies": 0}, "must be at least 1, not 0 and 15"),
        ({"candidates": 0}, "must be at least 1, not 30 and 0"),
        ({"probability": 1.5}, "--probability must be above 0 and at most 1, not 1.5"),
    ):
        with pytest.raises(ConfigError, match=words):
            Augmentation(**settings)  # type: ignore[arg-type]
