"""Sets of texts and pairs, one JSON Lines file a split. All rows are made up."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from limbeck.data.instructions.label_sets import masakhanews, news_text, paws_x, sib200, xnli
from limbeck.data.instructions.make import original
from limbeck.errors import ConfigError, DataError
from limbeck.types import Instruction

TOPICS = ["geography", "science/technology", "travel", "travel"]
SIB = [
    {"lang": lang, "index_id": 100 + i, "label": label, "text": f"{word} {i}"}
    for lang, word in (("eng_Latn", "Sentence"), ("bul_Cyrl", "Изречение"), ("swh_Latn", "Sentensi"))
    for i, label in enumerate(TOPICS)
]
NLI_ROWS = [
    {"lang": lang, "pair": i, "premise": f"{lang} p{i}", "hypothesis": f"{lang} h{i}", "label": i, "label_name": name}
    for lang in ("en", "bg")
    for i, name in enumerate(["entailment", "neutral", "contradiction"])
]


def json_lines(path: Path, rows: list[Any]) -> Path:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, encoding="utf-8")
    return path.parent


def test_sib200(tmp_path: Path) -> None:
    records = sib200(json_lines(tmp_path / "train.jsonl.gz", SIB), "train", ["bg", "en", "sw"])
    assert [original(record) for record in records] == [("topic", row["text"], None, row["label"]) for row in SIB]
    assert [record.lang for record in records] == ["en"] * 4 + ["bg"] * 4 + ["sw"] * 4
    assert Counter(original(record).answer for record in records) == Counter(TOPICS * 3)
    assert records[0].id == "sib200/train/en/topic/100"
    assert {record.parallel for record in records} == {f"sib200/topic/{100 + i}" for i in range(4)}
    assert records[1].candidates == records[5].candidates


def test_the_sets_own_code_of_a_language(tmp_path: Path) -> None:
    folder = json_lines(tmp_path / "validation.jsonl", SIB)
    assert {record.lang for record in sib200(folder, "dev", ["bul_Cyrl"])} == {"bg"}


def test_a_language_that_is_not_there(tmp_path: Path) -> None:
    folder = json_lines(tmp_path / "test.jsonl", SIB)
    with pytest.raises(DataError, match=r"nothing in 'sk'. It has: bg \(bul_Cyrl\), en \(eng_Latn\), sw \(swh_Latn\)"):
        sib200(folder, "test", ["bg", "sk"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": "sport"}, "train.jsonl, line 2, field 'label': unknown label 'sport'"),
        ({"text": " "}, "train.jsonl, line 2, field 'text': white space only"),
        ({"index_id": "x"}, "train.jsonl, line 2, field 'index_id': expected a whole number, got 'x'"),
        ({"lang": 3}, "train.jsonl, line 2, field 'lang': expected the code of a language, got 3"),
    ],
)
def test_a_bad_row(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    rows = [dict(row) for row in SIB]
    rows[1].update(change)
    with pytest.raises(DataError, match=message.replace("(", r"\(")):
        sib200(json_lines(tmp_path / "train.jsonl", rows), "train", ["en"])


def test_a_misspelt_label_field(tmp_path: Path) -> None:
    rows = [{("labels" if name == "label" else name): value for name, value in row.items()} for row in SIB]
    with pytest.raises(DataError, match="no row has the label field 'label'; did you mean 'labels'"):
        sib200(json_lines(tmp_path / "train.jsonl", rows), "train", ["en"])


def test_xnli(tmp_path: Path) -> None:
    records = xnli(json_lines(tmp_path / "validation.jsonl", NLI_ROWS), "dev", ["en", "bg"])
    rows = [("nli", row["premise"], row["hypothesis"], row["label_name"]) for row in NLI_ROWS]
    assert [original(record) for record in records] == rows
    assert [record.parallel for record in records] == [f"xnli/nli/dev/{i}" for i in (0, 1, 2, 0, 1, 2)]


def test_paws_x_leaves_out_what_was_not_translated(tmp_path: Path) -> None:
    pairs = [("Eins.", "Zwei.", "different"), ("NS", "Drei.", "different"), ("Vier.", "Vier!", "paraphrase")]
    rows = [
        {"lang": "de", "pair": i, "sentence1": one, "sentence2": two, "label_name": name}
        for i, (one, two, name) in enumerate(pairs)
    ]
    records = paws_x(json_lines(tmp_path / "validation.jsonl", rows), "dev", ["de"])
    assert [original(record) for record in records] == [
        ("paraphrase", "Eins.", "Zwei.", "no"),
        ("paraphrase", "Vier.", "Vier!", "yes"),
    ]
    assert records[1].parallel == "paws_x/paraphrase/dev/2"


def test_masakhanews_cuts_the_text_and_not_the_headline(tmp_path: Path) -> None:
    row = {"lang": "swa", "label": "health", "headline": "Habari ndefu", "text": "Maandishi", "truncated": False}
    folder = json_lines(tmp_path / "train.jsonl", [row])
    (record,) = masakhanews(folder, "train", ["sw"], characters=4)
    assert original(record) == ("topic", "Habari ndefu\nMaan", None, "health")
    assert (record.lang, record.id, record.parallel) == ("sw", "masakhanews/train/sw/topic/1", None)
    assert len(record.candidates) == 7
    with pytest.raises(ConfigError, match="expected 0 or more"):
        masakhanews(folder, "train", ["sw"], characters=-1)


def test_news_without_a_text_or_without_a_headline() -> None:
    assert news_text("Rain", "It rains.", 0) == "Rain"
    assert news_text("", "It rains.", 2) == "It"


def test_every_set_answers_in_the_words_it_is_given(tmp_path: Path) -> None:
    def answers(records: list[Instruction]) -> dict[str, list[str | None]]:
        return {lang: [original(r).answer for r in records if r.lang == lang] for lang in ("en", "bg")}

    topics = ["entertainment", "geography", "health", "politics", "science/technology", "sports", "travel"]
    sib = sib200(
        json_lines(tmp_path / "train.jsonl", SIB), "train", ["bg", "en"],
        label_words={"bg": {topic: topic.upper() for topic in topics}},
    )  # fmt: skip
    assert answers(sib) == {"en": TOPICS, "bg": [topic.upper() for topic in TOPICS]}
    words = {"entailment": "следствие", "neutral": "неутрално", "contradiction": "противоречие"}
    nli = xnli(json_lines(tmp_path / "train.jsonl", NLI_ROWS), "train", ["bg", "en"], label_words={"bg": words})
    assert answers(nli) == {"en": list(words), "bg": list(words.values())}
    pairs = [
        {"lang": lang, "pair": 1, "sentence1": "a", "sentence2": "b", "label_name": "different"}
        for lang in ("en", "bg")
    ]
    paws = paws_x(
        json_lines(tmp_path / "train.jsonl", pairs),
        "train",
        ["bg", "en"],
        label_words={"bg": {"yes": "да", "no": "не"}},
    )
    assert answers(paws) == {"en": ["no"], "bg": ["не"]}
    news = [{"lang": "en", "label": "sports", "headline": "Goal", "text": "A goal."}]
    names = ["business", "entertainment", "health", "politics", "religion", "sports", "technology"]
    said = masakhanews(
        json_lines(tmp_path / "train.jsonl", news), "train", ["en"],
        label_words={"en": {name: name.title() for name in names}},
    )  # fmt: skip
    assert answers(said)["en"] == ["Sports"]
