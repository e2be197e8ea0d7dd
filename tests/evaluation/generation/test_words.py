"""Words in many scripts."""

from __future__ import annotations

import pytest

from limbeck.evaluation.generation.words import words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The cat, sat!", ["the", "cat", "sat"]),
        ("snake_case end.Start", ["snake", "case", "end", "start"]),
        ("don't can’t 'quoted' 5'11", ["don't", "can't", "quoted", "5", "11"]),
        ("3.14, 1,000. 2", ["3.14", "1,000", "2"]),
        ("Straße STRASSE", ["strasse", "strasse"]),
        ("cafe\u0301 caf\u00e9", ["café", "café"]),
        ("ＦＵＬＬ　１２", ["full", "12"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("مُحَمَّد كتب", ["مُحَمَّد", "كتب"]),
        ("می\u200cخواهم بروم", ["می\u200cخواهم", "بروم"]),
        ("한국어 문장입니다", ["한국어", "문장입니다"]),
        ("我爱GPT-2。", ["我", "爱", "gpt", "2"]),
        ("東京タワー", ["東", "京", "タ", "ワ", "ー"]),
        ("สวัสดี", ["ส", "วั", "ส", "ดี"]),
        ("\U00020000\U00020001", ["\U00020000", "\U00020001"]),
        ("😀 -- !?", []),
        ("", []),
        ("\u0301x", ["x"]),
        ("a\ud800b", ["a", "b"]),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_composed_and_decomposed_text_have_the_same_words() -> None:
    assert words("한국어 Ünïcödé") == words("한국어 Ünïcödé".encode().decode())
    import unicodedata

    text = "한국어 Ünïcödé Việt"
    assert words(unicodedata.normalize("NFD", text)) == words(unicodedata.normalize("NFC", text))
