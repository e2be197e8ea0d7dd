"""Which sentences stand beside the right translation, and what the English teacher reads."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.data.instructions.originals import original

from limbeck.data.instructions.checks import check_instructions
from limbeck.data.instructions.pairing import pair_records
from limbeck.data.instructions.translation import (
    Distractors,
    choose_distractors,
    english_views,
    for_training,
    read_distractors,
    translation_records,
    word_overlap,
)
from limbeck.errors import ConfigError, DataError
from limbeck.types import Instruction

ENGLISH = {f"s{i}": f"sentence number {i} of group {i % 5}" for i in range(30)}
SETS = {
    "en": ENGLISH,
    "bg": {key: f"изречение {key}" for key in ENGLISH},
    "de": {key: f"Satz {key}" for key in ENGLISH},
}


NINE = Distractors(5, 4)


def records(distractors: Distractors = NINE, **sets: dict[str, str]) -> list[Instruction]:
    return translation_records({**SETS, **sets}, source="own", split="train", distractors=distractors)


def test_translation_records() -> None:
    made = records()
    check_instructions(made)
    assert [record.lang for record in made] == ["bg"] * 30 + ["de"] * 30
    rows = [(record.input, original(record).answer) for record in made[:30]]
    assert rows == [(ENGLISH[key], SETS["bg"][key]) for key in ENGLISH]
    assert {len(record.candidates) for record in made} == {10}
    assert made[3].slots == (("src_lang", "en"), ("tgt_lang", "bg"))
    assert made[3].id == "own/train/bg/translation/s3"
    assert len(Counter(record.gold[0] for record in made)) > 5


def test_candidates_are_in_one_order_in_all_languages() -> None:
    made = records()
    for bulgarian, german in zip(made[:30], made[30:], strict=True):
        assert bulgarian.parallel == german.parallel
        assert bulgarian.gold == german.gold
        assert [text.split()[-1] for text in bulgarian.candidates] == [text.split()[-1] for text in german.candidates]


def test_all_sentences() -> None:
    made = records(Distractors(every=True))
    assert all(set(record.candidates) == set(SETS["bg"].values()) for record in made[:30])


def test_the_nearest_by_words_in_common() -> None:
    chosen = choose_distractors(ENGLISH, set(ENGLISH), Distractors(5, 0))
    assert set(chosen["s3"]) == {"s8", "s13", "s18", "s23", "s28"}


def test_the_nearest_by_an_encoder() -> None:
    def embed(texts: list[str]) -> NDArray[np.float32]:
        angle_N = np.array([int(text.split()[2]) for text in texts]) / 20
        length_N = np.array([1 + int(text.split()[2]) % 7 for text in texts])
        return np.stack([np.cos(angle_N), np.sin(angle_N)], axis=1).astype(np.float32) * length_N[:, None]

    chosen = choose_distractors(ENGLISH, set(ENGLISH), Distractors(2, 3), embed)
    assert set(chosen["s10"][:2]) == {"s9", "s11"}
    assert len(set(chosen["s10"])) == 5
    assert "s10" not in chosen["s10"]


def test_random_ones_by_seed() -> None:
    draws = [choose_distractors(ENGLISH, set(ENGLISH), Distractors(1, 6, seed=seed)) for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]
    assert draws[0]["s0"][1:] != draws[0]["s1"][1:]


def test_a_sentence_that_is_there_twice_in_any_language_is_no_distractor() -> None:
    german = {**SETS["de"], "s1": "Satz  s4"}
    for distractors in (Distractors(20, 7), Distractors(every=True)):
        made = records(distractors, de=german)
        check_instructions(made)
        used = {text for record in made[:30] for text in record.candidates if text != original(record).answer}
        assert used == {SETS["bg"][key] for key in ENGLISH if key not in ("s1", "s4")}
        assert original(made[31]).answer == "Satz  s4"


def test_too_few_sentences() -> None:
    with pytest.raises(ConfigError, match=r"50 nearest and 49 random distractors were requested.* only 29 other"):
        records(Distractors())
    with pytest.raises(ConfigError, match="1 in all, got 0 and 0"):
        records(Distractors(0, 0))
    one = {lang: {"s0": texts["s0"]} for lang, texts in SETS.items()}
    with pytest.raises(DataError, match="sentence s0 has no others"):
        translation_records(one, source="own", split="train", distractors=Distractors(every=True))


def test_a_language_that_lacks_a_sentence() -> None:
    german = {key: text for key, text in SETS["de"].items() if key != "s7"}
    with pytest.raises(DataError, match="1 sentences are not in both 'en' and 'de', the first is s7"):
        records(de=german)


def test_words_in_common() -> None:
    vectors_ND = word_overlap(["A dog", "a  dog dog", "cat"])
    assert (vectors_ND @ vectors_ND.T).tolist() == [[2, 2, 0], [2, 2, 0], [0, 0, 1]]


def test_what_the_english_teacher_reads() -> None:
    made = records()
    views = english_views(made)
    check_instructions([*made, *views])
    number = {text.split()[2]: text for text in ENGLISH.values()}
    assert len(views) == len(ENGLISH)  # once for both languages
    for record, view in zip(made[:30], views, strict=True):
        assert view.candidates == tuple(number[text.split("s")[-1]] for text in record.candidates)
        assert view.candidates[view.gold[0]] == record.input == view.input
        assert (view.parallel, view.lang) == (record.parallel, "en")
    assert views[3].id == "own/train/en/translation/s3"
    assert views[0].slots == (("src_lang", "en"), ("tgt_lang", "en"))
    assert pair_records(made, views) == (made, [*views, *views])


def test_english_views_where_two_sentences_have_one_translation() -> None:
    views = english_views(records(de={**SETS["de"], "s1": "Satz s4"}))
    assert [view.candidates[view.gold[0]] for view in views] == list(ENGLISH.values())


def test_english_views_need_all_records_of_a_set() -> None:
    made = records()
    with pytest.raises(DataError, match=r"candidate \d+ is not the answer of any record here"):
        english_views(made[:2])
    with pytest.raises(DataError, match="expected a translation record, got one of the task 'qa'"):
        english_views([replace(made[0], task="qa")])
    others = records(Distractors(5, 4, seed=1))
    with pytest.raises(DataError, match="own/train/de/translation/s0 has different candidates from translations"):
        english_views([*made[:30], *others[30:]])


def test_training_has_16_candidates_at_most_unless_it_is_told_otherwise() -> None:
    assert for_training(Distractors(50, 49, seed=3)) == Distractors(8, 7, seed=3)
    assert for_training(Distractors(every=True)) == Distractors(8, 7)
    assert for_training(Distractors(2, 1)) == Distractors(2, 1)


def test_distractors_of_a_run_file() -> None:
    assert read_distractors({}, "distractors") == Distractors()
    assert read_distractors({"nearest": 3, "every": True}, "distractors") == Distractors(3, every=True)
    assert read_distractors(NINE, "distractors") is NINE
    for wrong, message in (
        ({"nearst": 3}, r"^x\.nearst: unknown setting; did you mean 'nearest'\?"),
        ({"random": "many"}, r"^x\.random: .* \(got 'many'\)"),
        (3, r"^x: expected nearest, random, every or seed, got 3"),
    ):
        with pytest.raises(ConfigError, match=message):
            read_distractors(wrong, "x")
