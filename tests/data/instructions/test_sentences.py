"""FLORES as it is unpacked, and SIB-200's sentences. All sentences are made up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from limbeck.data.instructions.make import original
from limbeck.data.instructions.sentences import flores, sib200_translation
from limbeck.data.instructions.translation import Distractors
from limbeck.errors import ConfigError, DataError

TWO = Distractors(1, 1)


def unpack(folder: Path, part: str, **files: list[str]) -> Path:
    (folder / part).mkdir(exist_ok=True)
    for code, lines in files.items():
        (folder / part / f"{code}.{part}").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return folder


def test_flores_101(tmp_path: Path) -> None:
    unpack(tmp_path, "dev", eng=["One.", "Two.", "Three."], bul=["Едно.", "Две.", "Три."], slk=["1", "2", "3"])
    records = flores(tmp_path, "dev", ["bg", "sk"], distractors=TWO)
    assert [(record.lang, record.input, original(record).answer) for record in records] == [
        ("bg", "One.", "Едно."),
        ("bg", "Two.", "Две."),
        ("bg", "Three.", "Три."),
        ("sk", "One.", "1"),
        ("sk", "Two.", "2"),
        ("sk", "Three.", "3"),
    ]
    assert records[0].id == "flores/dev/bg/translation/dev/1"


def test_flores_200_devtest(tmp_path: Path) -> None:
    unpack(tmp_path, "devtest", eng_Latn=["One.", "Two."], bul_Cyrl=["Едно.", "Две."])
    records = flores(tmp_path, "test", ["en", "bg"], distractors=Distractors(1, 0))
    assert [record.parallel for record in records] == ["flores/translation/devtest/1", "flores/translation/devtest/2"]
    assert {record.split for record in records} == {"test"}


def test_flores_has_no_training_part(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ask for split 'dev' or 'test'"):
        flores(tmp_path, "train", ["bg"])


def test_flores_files_that_do_not_fit(tmp_path: Path) -> None:
    unpack(tmp_path, "dev", eng=["One.", "Two."], bul=["Едно."])
    with pytest.raises(DataError, match=r"bul\.dev has 1 lines, the English file has 2"):
        flores(tmp_path, "dev", ["bg"], distractors=TWO)
    with pytest.raises(DataError, match=r"has nothing in 'sk'. It has: bg \(bul\), en \(eng\)"):
        flores(tmp_path, "dev", ["sk"], distractors=TWO)
    unpack(tmp_path, "dev", bul=["Едно.", " "])
    with pytest.raises(DataError, match=r"bul\.dev, line 2: empty; expected a sentence"):
        flores(tmp_path, "dev", ["bg"], distractors=TWO)
    with pytest.raises(ConfigError, match="a language besides English"):
        flores(tmp_path, "dev", ["en"])


def test_sib200_translation(tmp_path: Path) -> None:
    rows = [
        {"lang": lang, "index_id": i, "label": "travel", "text": f"{lang} {i}"}
        for lang in ("bul_Cyrl", "eng_Latn", "slk_Latn")
        for i in (8, 5, 9)
    ]
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    records = sib200_translation(tmp_path, "train", ["sk", "bul_Cyrl"], distractors=TWO)
    assert [record.id for record in records] == [
        f"sib200/train/{lang}/translation/{i}" for lang in ("sk", "bg") for i in (8, 5, 9)
    ]
    assert (records[0].input, original(records[0]).answer) == ("eng_Latn 8", "slk_Latn 8")
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, rows[0]]))
    with pytest.raises(DataError, match="line 10, field 'index_id': 8 is there twice in 'bg'"):
        sib200_translation(tmp_path, "train", ["bg"], distractors=TWO)
